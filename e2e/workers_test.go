package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// Two workers share out a thousand connections: every stream's counts are exact, which both
// directions at the same worker are needed for, and neither worker has more than 60 % of the packets.
func TestWorkersShareOutTheTraffic(t *testing.T) {
	const connections = 1000
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-workers", "2", "-cpus", "0-1", "-numblocks", "64",
		"-stream-age", "8s", "-finalized-age", "4s")
	g := generateConnections(t, l.B, tcpgen, connections, 40_000, "-duration", "1m")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if n := m["tcp_stream_count"]; n != 2*connections {
			return fmt.Errorf("tcp_stream_count is %v, want %v", n, 2*connections)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	g.cmd.Process.Signal(syscall.SIGTERM)
	sent := g.wait(t)
	m := e.Settle(t)
	nothingDropped(t, m)
	if n := m["capture_packets_processed_total"]; n < sent || n > sent+50 { // the kernels' own neighbour and router messages are not TCP
		t.Errorf("%v packets processed, %v sent", n, sent)
	}
	g.checkStreams(t, m)
	worker := func(m lab.Metrics, i int) float64 {
		return m[fmt.Sprintf(`tcp_stream_exporter_worker_packets_total{worker="%d"}`, i)]
	}
	e.Await(t, 3*time.Second, func(m lab.Metrics) error {
		a, b := worker(m, 0), worker(m, 1)
		if a+b < sent {
			return fmt.Errorf("the workers had %v and %v packets of %v", a, b, sent)
		}
		if share := a / (a + b); share < 0.4 || share > 0.6 {
			t.Errorf("the workers had %v and %v packets: more than 60:40", a, b)
		}
		return nil
	})
	m = e.Settle(t)
	t.Logf("%v packets: %v and %v", sent, worker(m, 0), worker(m, 1))
	e.Await(t, 30*time.Second, func(m lab.Metrics) error {
		if n, gone := m["tcp_stream_count"], m[`tcp_stream_exporter_streams_closed_total{reason="timeout"}`]; n != 0 || gone < 2*connections {
			return fmt.Errorf("%v streams left, %v gone for their age", n, gone)
		}
		if n, ok := m["tcp_stream_exporter_one_sided_streams_total"]; !ok || n != 0 {
			t.Errorf("%v streams whose reverse never came to the same worker (there: %v)", n, ok)
		}
		return nil
	})
}

// Each worker loses its ring with the interface, and all of them come back together, with one line in
// the log each way.
func TestWorkersComeBackWithTheInterface(t *testing.T) {
	t.Parallel() // mostly it waits
	f := newLife(t, "-workers", "3")
	for range 2 {
		wentAway, cameBack := f.lines()
		reopens := f.last[reopensTotal]
		f.beat.resume()
		f.replaceVeth(t)
		f.resumed(t, reopens+1)
		f.settle(t)
		if a, b := f.lines(); a-wentAway != 1 || b-cameBack != 1 {
			t.Errorf("%d lines of the interface going away and %d of it coming back, want one each", a-wentAway, b-cameBack)
		}
		f.kept(t)
	}
}
