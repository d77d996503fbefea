package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// TestSYNFlood floods as fast as the generator goes, for 20 s, with
//
//	go test -v ./e2e -run SYNFlood -args -flood 20s -floodrate 0
//
// Between other tests it takes less time, and leaves room for whatever else the machine is doing.
var (
	floodTime = flag.Duration("flood", 4*time.Second, "length of the SYN flood")
	floodRate = flag.Int("floodrate", 100_000, "SYNs a second; 0: as fast as it goes")
)

const (
	floodTable       = 65_536
	floodConnections = 1000
	floodTraffic     = 30_000 // packets a second of all of them
	floodSynAge      = 2 * time.Second
	// floodFill fills the table before the flood is looked at, with a scrape of it: what grows then
	// grows once.
	floodFill     = 100_000
	floodFillRate = 100_000
	// floodSpare is by how much the resident memory may grow while the flood lasts: none of it is
	// the table's.
	floodSpare = 8 << 20
)

// A SYN flood from random sources over a table of 65,536 connections: the 1,000 established ones lose
// nothing, the memory stays where it is, and every SYN shows in the counters.
//
// All traffic is the generators', who know what reached the interface. A kernel does not: what the
// flood crowds out of the other end's receive queue, the exporter has seen and the sender's TCP
// takes for not yet sent.
//
// The worker has the last CPU, and the kernel hands over the lab's packets on the first one, as a
// router's card and its worker have a CPU each.
func TestSYNFlood(t *testing.T) {
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-cpus", strconv.Itoa(lastCPU(t)),
		"-max-connections", strconv.Itoa(floodTable), "-syn-age", floodSynAge.String())
	flood := func(seed string, packets, rate int) *generator {
		return generateConnections(t, l.B, tcpgen, 1, rate,
			"-syn-flood", "1", "-packets", strconv.Itoa(packets), "-duration", floodTime.String(), "-seed", seed)
	}
	established := generateConnections(t, l.B, tcpgen, floodConnections, floodTraffic, "-seed", "100", "-duration", "2m")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if n := m["tcp_stream_count"]; n != 2*floodConnections {
			return fmt.Errorf("tcp_stream_count is %v, want %v", n, 2*floodConnections)
		}
		return nil
	})
	syns := flood("101", floodFill, floodFillRate).wait(t)
	size := readScrape(t, e)

	before := resident(t, e.PID())
	busy := processor(t, e.PID())
	begin := time.Now()
	g := flood("102", 0, *floodRate)
	scrapes := 0
	for next := 2 * time.Second; ; next += 5 * time.Second {
		select {
		case <-g.done:
		case <-time.After(time.Until(begin.Add(next))):
			readScrape(t, e)
			scrapes++
			continue
		}
		break
	}
	n := g.wait(t)
	seconds, share := time.Since(begin).Seconds(), busy()
	after, most := memory(t, e.PID(), "VmRSS"), peak(t, e.PID())
	syns += n
	t.Logf("%v SYNs in %.1f s, %.0f a second, and %d scrapes of %.0f MB; the exporter took %.0f%% of a processor",
		n, seconds, n/seconds, scrapes, float64(size)/1e6, 100*share)
	t.Logf("resident memory %d KiB before the flood, %d KiB after it, %d KiB at most", before>>10, after>>10, most>>10)
	if most-before > floodSpare {
		t.Errorf("resident memory grew by %d bytes, want at most %d", most-before, int64(floodSpare))
	}

	time.Sleep(floodSynAge + time.Second) // only the established ones are left then
	established.cmd.Process.Signal(syscall.SIGTERM)
	sent := established.wait(t)
	const packets = "capture_packets_processed_total"
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if m[packets] != sent+syns {
			return fmt.Errorf("%s is %v, want the %v packets and %v SYNs that were sent", packets, m[packets], sent, syns)
		}
		return nil
	})
	m := e.Scrape(t) // the totals of a scrape may be a little newer than its streams
	nothingDropped(t, m)
	established.checkStreams(t, m)
	floodCounted(t, m, syns)
	t.Logf("%v packets of %d established connections, all accounted", sent, floodConnections)
	for _, name := range []string{"max_packet_wait_seconds", "max_turn_seconds"} {
		t.Logf("%s %v", name, m["tcp_stream_exporter_"+name])
	}
}

// floodCounted wants every SYN of the flood to show as a connection that made room for another one
// or timed out, and nothing else to have gone.
func floodCounted(t *testing.T, m lab.Metrics, syns float64) {
	t.Helper()
	closed := func(reason string) float64 {
		return m[lab.Key("tcp_stream_exporter_streams_closed_total", "reason", reason)]
	}
	recycled := func(state string) float64 {
		return m[lab.Key("tcp_stream_exporter_connections_recycled_total", "state", state)]
	}
	t.Logf("of %v SYNs %v were recycled and %v timed out", syns, closed("recycled"), closed("timeout"))
	// A random source that comes twice within the time of the others is hardly ever seen.
	if ended := closed("recycled") + closed("timeout"); ended > syns || ended < syns-5 {
		t.Errorf("%v streams were recycled and %v timed out, want the %v of the flood together", closed("recycled"), closed("timeout"), syns)
	}
	if recycled("half_open") != closed("recycled") || recycled("finalized") != 0 {
		t.Errorf("%v half-open and %v finalized connections were recycled, and %v streams: want only half-open ones of one stream each",
			recycled("half_open"), recycled("finalized"), closed("recycled"))
	}
	if room := float64(floodTable - floodConnections); closed("recycled") < syns-2*room {
		t.Errorf("%v of %v streams were recycled, want all but %v: was the table full all the time?", closed("recycled"), syns, 2*room)
	}
	if n := m[lab.Key("tcp_stream_exporter_streams", "state", "active")]; n != 2*floodConnections {
		t.Errorf("%v streams are left, want those of the %d established connections", n, floodConnections)
	}
}

// readScrape scrapes and counts the bytes: a full table's answer is too long to be parsed beside
// the flood.
func readScrape(t *testing.T, e *lab.Exporter) (size int64) {
	t.Helper()
	resp, err := e.Open(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if size, err = io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("a scrape of a full table: %s, %d bytes, %v", resp.Status, size, err)
	}
	return size
}
