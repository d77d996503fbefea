package e2e

import (
	"flag"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// floodTime is how long TestSYNFlood floods: go test ./e2e -run SYNFlood -args -flood 20s
var floodTime = flag.Duration("flood", 5*time.Second, "length of the SYN flood")

const (
	floodTable       = 65_536
	floodConnections = 1000
	floodSynAge      = 3 * time.Second
	// floodFill fills the table before the flood is looked at, with a scrape of it: what grows then
	// grows once.
	floodFill     = 100_000
	floodFillRate = 100_000
	// floodSpare is by how much the resident memory may grow while the flood lasts: none of it is
	// the table's. Each scrape of a full table makes 10 MB of garbage or so.
	floodSpare = 8 << 20
)

// A SYN flood from random sources, as fast as the generator goes, over a table of 65,536
// connections: the 1,000 established ones and a transfer between two kernels lose nothing, the
// memory stays where it is, and every SYN shows in the counters.
func TestSYNFlood(t *testing.T) {
	p := newPressure(t, floodConnections, binary(t),
		"-max-connections", strconv.Itoa(floodTable), "-syn-age", floodSynAge.String(), "-process-metrics")
	flood := func(packets int, rate int, length time.Duration, seed string) *generator {
		return generateConnections(t, p.l.B, p.tcpgen, 1, rate,
			"-syn-flood", "1", "-packets", strconv.Itoa(packets), "-duration", length.String(), "-seed", seed)
	}
	sent := flood(floodFill, floodFillRate, *floodTime, "101").wait(t)
	size := readScrape(t, p)

	p.resident = resident(t, p.PID())
	busy := processor(t, p.PID())
	begin := time.Now()
	g := flood(0, 0, *floodTime, "102")
	scrapes := 0
	for next := 2 * time.Second; ; next += 5 * time.Second {
		select {
		case <-g.done:
		case <-time.After(time.Until(begin.Add(next))):
			readScrape(t, p)
			scrapes++
			continue
		}
		break
	}
	n := g.wait(t)
	seconds, share := time.Since(begin).Seconds(), busy()
	now, most := memory(t, p.PID(), "VmRSS"), peak(t, p.PID())
	sent += n
	t.Logf("%v SYNs in %.1f s, %.0f a second, and %d scrapes of %.0f MB; the exporter took %.0f%% of a processor",
		n, seconds, n/seconds, scrapes, float64(size)/1e6, 100*share)
	t.Logf("resident memory %d KiB before the flood, %d KiB after it, %d KiB at most", p.resident>>10, now>>10, most>>10)
	if most-p.resident > floodSpare {
		t.Errorf("resident memory grew by %d bytes, want at most %d", most-p.resident, int64(floodSpare))
	}

	time.Sleep(floodSynAge + time.Second) // what a scrape has to say is then of the established ones
	m := p.calm(t)
	for _, name := range []string{"max_turn_seconds", "max_turn_cpu_seconds", "max_packet_wait_seconds", "softnet_dropped_packets_total"} {
		t.Logf("%s %v", name, m["tcp_stream_exporter_"+name])
	}
	const closed = "tcp_stream_exporter_streams_closed_total"
	recycled, timeout := m[lab.Key(closed, "reason", "recycled")], m[lab.Key(closed, "reason", "timeout")]
	halfOpen := m[lab.Key("tcp_stream_exporter_connections_recycled_total", "state", "half_open")]
	t.Logf("of %v SYNs %v were recycled and %v timed out", sent, recycled, timeout)
	// Some of the random sources come twice within the three seconds, hardly ever one.
	if ended := recycled + timeout; ended > sent || ended < sent-5 {
		t.Errorf("%v streams were recycled and %v timed out, want the %v of the flood together", recycled, timeout, sent)
	}
	if halfOpen != recycled || m[lab.Key("tcp_stream_exporter_connections_recycled_total", "state", "finalized")] != 0 {
		t.Errorf("%v half-open connections were recycled, and %v streams: want only half-open ones, of one stream each", halfOpen, recycled)
	}
	if recycled < sent-2*floodTable || recycled < floodFill/4 {
		t.Errorf("%v streams of %v were recycled: the table was not full all the time", recycled, sent)
	}
}

// readScrape scrapes and counts the bytes: a full table's answer is too long to be parsed beside
// the flood.
func readScrape(t *testing.T, p *pressure) (size int64) {
	t.Helper()
	client := p.l.A.HTTPClient(time.Minute)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	resp, err := client.Get("http://" + lab.Address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if size, err = io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a scrape of a full table: %s, %d bytes, %v", resp.Status, size, err)
	}
	return size
}
