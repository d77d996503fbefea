package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const captureGaps = "tcp_stream_exporter_capture_gaps_total"

// A line that loses nothing has no sequence gap, however much of it the ring drops: what it drops is counted apart. With
// a ring that holds everything there is nothing to count.
func TestGapsOfTheCapture(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		stall bool // the exporter stands still now and then
		drops bool
	}{
		{"a ring too small", []string{"-blocksize", "4096", "-numblocks", "2"}, false, true},
		{"an exporter that stands still", []string{"-blocksize", "16384", "-numblocks", "4"}, true, true},
		{"the default ring", nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab.New(t)
			l.Offloads(t, false)
			// Small windows: what is under way fits the processor's receive queue, so that the line loses nothing.
			for _, ns := range []*lab.NS{l.A, l.B} {
				ns.Run(t, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 65536 65536")
			}
			e := l.A.StartExporter(t, binary(t), append([]string{"-interface", lab.IfName}, c.args...)...)
			over, stalled := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stalled)
				for c.stall {
					for _, sig := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
						e.Signal(t, sig)
						time.Sleep(50 * time.Millisecond)
					}
					select {
					case <-over:
						return
					default:
					}
				}
			}()
			x := lab.Transfer{From: l.B, To: l.A, Connections: 4, Forth: 6 << 20, Back: 3 << 20}
			if c.stall { // and it goes on behind each of several stops
				x.Forth, x.Back = 30<<20, 15<<20
			}
			done := x.Run(t)
			close(over)
			<-stalled
			e.Settle(t)
			var retransmits, gaps, queue float64
			e.Await(t, 5*time.Second, func(m lab.Metrics) error {
				retransmits, gaps = 0, 0
				for key, n := range m {
					switch name, _, _ := strings.Cut(key, "{"); name {
					case "tcp_sequence_gaps_total":
						gaps += n
					case "tcp_retransmits_total", "tcp_out_of_order_packets_total":
						retransmits += n
					}
				}
				queue = m["tcp_stream_exporter_softnet_dropped_packets_total"]
				if dropped := m["capture_dropped_packets_total"]; (dropped != 0) != c.drops || (m[captureGaps] != 0) != c.drops {
					return fmt.Errorf("%v packets dropped and %v gaps of the capture, want some: %v", dropped, m[captureGaps], c.drops)
				}
				// The queue is the whole machine's: others may have filled it. Its figure is up to two seconds old.
				if gaps > min(queue, float64(done.RetransSegs)) {
					return fmt.Errorf("%v sequence gaps of streams: the receive queue has lost %v packets, and the kernels have sent %d segments again", gaps, queue, done.RetransSegs)
				}
				t.Logf("%v packets dropped, %v gaps of the capture, %v of streams; %v repairs, the kernels' %d; %v packets lost before the ring",
					m["capture_dropped_packets_total"], m[captureGaps], gaps, retransmits, done.RetransSegs, queue)
				return nil
			})
			if retransmits > float64(done.RetransSegs) {
				t.Errorf("%v segments sent again or out of order, by the kernels %d", retransmits, done.RetransSegs)
			}
		})
	}
}
