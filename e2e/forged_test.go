package e2e

import (
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// Three in ten packets in the clients' names are forged: SYNs, RSTs, FINs and data outside the
// window, and data longer than its frame. Streams differ from what their senders sent by no more than the forged packets themselves;
// none is finalized, begun anew or without a round-trip time.
func TestForgedPacketsAmongLiveTraffic(t *testing.T) {
	t.Parallel() // mostly it waits
	const connections = 200
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	e.KeepScraping(100 * time.Millisecond) // what is forged takes nothing from a counter
	g := generateConnections(t, l.B, tcpgen, connections, 30_000, "-duration", "1m", "-forge", "0.3")
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if n := m["tcp_stream_count"]; n != 2*connections {
			return fmt.Errorf("tcp_stream_count is %v, want %v", n, 2*connections)
		}
		return nil
	})
	time.Sleep(3 * time.Second)
	g.cmd.Process.Signal(syscall.SIGTERM)
	g.wait(t)
	m := e.Settle(t)
	nothingDropped(t, m)
	forged, wrong := 0.0, 0
	for _, r := range g.rows(t) {
		v := func(family string) float64 { return m[r.flow.Key(family, "active")] }
		forged += r.forged
		packets := math.Round(v("tcp_packet_rate_pps") * v("tcp_stream_uptime_seconds"))
		odd := v("tcp_retransmits_total") + v("tcp_sequence_gaps_total") + v("tcp_out_of_order_packets_total") +
			v("tcp_duplicate_acks_total") + v("tcp_zero_window_events_total") + v("tcp_resets_total")
		bytes := v("tcp_bytes_transferred_total")
		if packets == r.packets+r.forged && bytes >= r.bytes && bytes <= r.bytes+r.forged*65535 && odd <= r.forged &&
			(r.bytes == 0 || v("tcp_avg_delay_seconds") > 0) {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("%v: %v packets, %v bytes, %v odd ones, delay %v; want %v packets and %v bytes and %v forged ones",
				r.flow, packets, bytes, odd, v("tcp_avg_delay_seconds"), r.packets, r.bytes, r.forged)
		}
	}
	t.Logf("%v forged packets in %d streams", forged, 2*connections)
	if forged < 5000 {
		t.Errorf("only %v packets were forged", forged)
	}
	if n := m["tcp_stream_count"]; wrong > 5 || n != 2*connections {
		t.Errorf("%d streams are wrong; tcp_stream_count is %v, want %v", wrong, n, 2*connections)
	}
}
