package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// summaryLong has TestGroupSummary take its long form: go test ./e2e -run GroupSummary -args -summary
var summaryLong = flag.Bool("summary", false, "the long form of TestGroupSummary: a million streams, 400,000 packets/s")

// summary holds the parameters of TestGroupSummary.
type summary struct {
	connections int // open at once, each in both directions
	rate        int // packets a second
	scrapes     int
	longest     time.Duration // that an answer may take, from the request to its last byte
	median      time.Duration // that half of the answers may take
	allocated   float64       // bytes that the exporter may allocate for one
}

var (
	summaryLongForm = summary{connections: 500_000, rate: 400_000, scrapes: 20, longest: 150 * time.Millisecond, median: 150 * time.Millisecond, allocated: 1e6}
	// The short form's machine may be busy with anything, which delays single answers. If every answer reads the streams
	// again for each of the combinations, the median shows it: 0.44 s or more, even with nothing else to do.
	summaryShortForm = summary{connections: 20_000, rate: 20_000, scrapes: 6, longest: 3 * time.Second, median: 400 * time.Millisecond, allocated: 1e6}
)

const (
	summaryCombinations = 16 * 16
	summaryPause        = 250 * time.Millisecond
	// The first answers make the buffers that later ones use again.
	summaryWarm = 3
)

// While packets come onto many connections, which are in 256 combinations of groups, /metrics/summary is there soon, the
// answers allocate little, nothing is dropped, and every packet is in the groups.
//
// The worker has the last CPU, as in TestExpiry.
func TestGroupSummary(t *testing.T) {
	form := summaryShortForm
	if *summaryLong {
		form = summaryLongForm
	}
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-cpus", strconv.Itoa(lastCPU(t)), "-go-metrics",
		"-max-connections", strconv.Itoa(form.connections*5/4), "-group", "clients/12=10.0.0.0/8", "-group", "servers/32=198.18.0.0/24")
	g := generateConnections(t, l.B, tcpgen, form.connections, form.rate, "-payload", "100", "-duration", "2m", "-per-stream", "")
	e.AwaitPath(t, time.Minute, "/metrics/summary", func(m lab.Metrics) error {
		if n := groupSum(m, "tcp_group_connections", "state", "established"); n != float64(form.connections) {
			return fmt.Errorf("%v connections are established, want %d", n, form.connections)
		}
		return nil
	})
	client := l.A.HTTPClient(20 * time.Second) // not the lab's, which compares each answer with those before
	answer := func(encoding string) (took time.Duration, size int64) {
		t.Helper()
		req, err := http.NewRequest("GET", e.URL()+"/metrics/summary", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", encoding)
		begin := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		size, err = io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %d bytes, %v", resp.Status, size, err)
		}
		return time.Since(begin), size
	}
	const allocations, dropped, freezes = "go_memstats_alloc_bytes_total", "capture_dropped_packets_total", "capture_queue_freezes_total"
	encodings := []string{"identity", "gzip"}
	for range summaryWarm {
		for _, encoding := range encodings {
			answer(encoding)
		}
	}
	before := e.ScrapePath(t, "/metrics/summary")
	if combinations := before[lab.Key("tcp_stream_exporter_group_combinations", "kind", "subnets")]; combinations != summaryCombinations {
		t.Errorf("%v combinations, want %d", combinations, summaryCombinations)
	}
	for _, encoding := range encodings {
		var times []time.Duration
		var size int64
		for range form.scrapes {
			time.Sleep(summaryPause)
			took, n := answer(encoding)
			times, size = append(times, took.Round(100*time.Microsecond)), n
		}
		after := e.ScrapePath(t, "/metrics/summary")
		each := (after[allocations] - before[allocations]) / float64(form.scrapes+1)
		slices.Sort(times)
		median := times[len(times)/2]
		t.Logf("%s: %d answers of %.2f MB in %v, median %v; %.0f bytes allocated each, what else was allocated meanwhile included; %v packets dropped",
			encoding, form.scrapes, float64(size)/1e6, times, median, each, after[dropped]-before[dropped])
		if longest := times[len(times)-1]; longest > form.longest {
			t.Errorf("%s: an answer took %v, want at most %v", encoding, longest, form.longest)
		}
		if median > form.median {
			t.Errorf("%s: half of the answers took %v or more, want at most %v", encoding, median, form.median)
		}
		if each > form.allocated || each == 0 {
			t.Errorf("%s: %.0f bytes allocated for an answer, want up to %.0f", encoding, each, form.allocated)
		}
		before = after
	}
	if g.ended() {
		t.Fatal("the generator ended before the last answer: the answers did not take place under load")
	}
	g.cmd.Process.Signal(syscall.SIGTERM)
	sent := g.wait(t)
	m := e.AwaitPath(t, 20*time.Second, "/metrics/summary", func(m lab.Metrics) error {
		if got := groupSum(m, "tcp_group_packets_total"); got != sent {
			return fmt.Errorf("%v packets in groups, want %v; %v were dropped, %v times the queue was full", got, sent, m[dropped], m[freezes])
		}
		return nil
	})
	nothingDropped(t, m)
	t.Logf("%v packets of %d connections in %s s; a packet waited %v s in the ring at most, %v s of processor time went between two looks at it", sent, form.connections,
		g.seconds(t), m["tcp_stream_exporter_max_packet_wait_seconds"], m["tcp_stream_exporter_max_turn_cpu_seconds"])
}
