package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/tsharkcmp"
)

// lineRate makes a segment take 0.6 ms on the line, several times as long as the handshake. A repair
// comes with an ACK, so no sooner than a segment's time after new data: it cannot look overtaken.
const lineRate = "20mbit"

// Data lost behind the capture point, which is beside the sender: the exporter sees every segment
// that the kernel sends, so their figures are to agree.
func TestLossAgainstTheKernel(t *testing.T) {
	for _, percent := range []int{1, 5} {
		t.Run(fmt.Sprintf("loss=%d%%", percent), func(t *testing.T) {
			t.Parallel()
			l := lab.NewLine(t)
			l.Offloads(t, false)
			l.Slow(t, lineRate)
			loseData(t, l.B, percent)
			quickTimers(t, l.Lab)
			r := runIperf(t, l.A, l.B, 8*time.Second)
			yardstick := r.tshark(t)

			data := func(name string) float64 { return of(t, r.final, r.data, name) }
			acks := func(name string) float64 { return of(t, r.final, r.data.Reverse(), name) }
			// The counter is the namespace's, iperf3's control connection included: its few segments
			// wait in the line behind the data and are sometimes sent again without need.
			allSent := sumFrom(r.final, "tcp_retransmits_total", l.A.Addr)
			t.Logf("retransmissions %v (with the control connection %v, TcpRetransSegs %v, tshark %d), out of order %v (tshark %d), duplicate ACKs %v (tshark %d), delay %.3f ms (tcp_info %.3f ms)",
				data("tcp_retransmits_total"), allSent, r.retrans, yardstick[direction(r.data)].Retransmissions,
				data("tcp_out_of_order_packets_total"), yardstick[direction(r.data)].OutOfOrder,
				acks("tcp_duplicate_acks_total"), yardstick[direction(r.data.Reverse())].DuplicateACKs,
				1e3*mean(r.delays), 1e3*mean(r.tcpInfo))
			if r.retrans < 50 {
				t.Fatalf("TcpRetransSegs grew by %v: too little loss for this test, want 50 at least", r.retrans)
			}
			within(t, "tcp_retransmits_total against TcpRetransSegs", allSent, r.retrans, 0.01)
			if extra := allSent - data("tcp_retransmits_total"); extra > 5 {
				t.Errorf("tcp_retransmits_total of the control connection: %v, want 5 at most: only data is lost", extra)
			}
			within(t, "tcp_duplicate_acks_total against tshark", acks("tcp_duplicate_acks_total"),
				float64(yardstick[direction(r.data.Reverse())].DuplicateACKs), 0.05)
			if got := data("tcp_duplicate_acks_total"); got != 0 {
				t.Errorf("tcp_duplicate_acks_total of the data: %v, want 0", got)
			}
			if got := data("tcp_sequence_gaps_total"); got != 0 {
				t.Errorf("tcp_sequence_gaps_total beside the sender: %v, want 0", got)
			}
			within(t, "mean of tcp_avg_delay_seconds against tcp_info", mean(r.delays), mean(r.tcpInfo), 0.25)
			checkCounted(t, r)
		})
	}
}

// checkCounted wants the figures that only are there if asked for, of a run without offloads.
func checkCounted(t *testing.T, r *iperf) {
	t.Helper()
	const (
		headers    = 14 + 20 + 20 + 12 // Ethernet, IPv4, TCP and its timestamps
		synOptions = 20 - 12           // by which those of a SYN are longer
		mss        = 1460
	)
	f := func(name string) float64 { return of(t, r.final, r.data, name) }
	if got, want := f("tcp_wire_bytes_total"), f("tcp_bytes_transferred_total")+headers*f("tcp_packets_total")+synOptions; got != want {
		t.Errorf("tcp_wire_bytes_total is %v, want %v for %v packets", got, want, f("tcp_packets_total"))
	}
	within(t, "segments in tcp_retransmitted_bytes_total against tcp_retransmits_total", f("tcp_retransmitted_bytes_total")/(mss-12), f("tcp_retransmits_total"), 0.03)
	for _, flow := range []lab.Flow{r.data, r.data.Reverse()} {
		if got := of(t, r.final, flow, "tcp_mss_bytes"); got != mss {
			t.Errorf("tcp_mss_bytes of %v is %v, want %v", flow, got, mss)
		}
		if got := of(t, r.final, flow, "tcp_syns_total"); got != 1 {
			t.Errorf("tcp_syns_total of %v is %v, want 1", flow, got)
		}
	}
	samples, rtt := f("tcp_rtt_samples_total"), f("tcp_rtt_seconds_total")/f("tcp_rtt_samples_total")
	t.Logf("%v RTT samples of %v packets, %.3f ms in the mean; %v bytes sent again", samples, f("tcp_packets_total"), 1e3*rtt, f("tcp_retransmitted_bytes_total"))
	if samples < 100 || samples > f("tcp_packets_total") || rtt < f("tcp_min_delay_seconds") || rtt > f("tcp_max_delay_seconds") {
		t.Errorf("%v samples of %v s in the mean: want 100 at least, between %v and %v", samples, rtt, f("tcp_min_delay_seconds"), f("tcp_max_delay_seconds"))
	}
	within(t, "mean RTT against tcp_info", rtt, mean(r.tcpInfo), 0.25)
}

// With offloads a frame is a super-packet of many segments, and so is what is lost and sent again:
// the exporter counts frames where the kernel counts segments.
func TestLossOfSuperPackets(t *testing.T) {
	l := lab.New(t)
	l.Offloads(t, true)
	loseData(t, l.B, 1)
	r := runIperf(t, l.A, l.B, 3*time.Second, "--bitrate", "200M")
	f := r.tshark(t)[direction(r.data)]
	again := of(t, r.final, r.data, "tcp_retransmits_total") + of(t, r.final, r.data, "tcp_out_of_order_packets_total")
	within(t, "retransmissions and out of order against tshark", again, float64(f.Retransmissions+f.OutOfOrder), 0.01)
	if again == 0 || again > r.retrans {
		t.Errorf("%v frames sent again, TcpRetransSegs grew by %v: want at least one and not more", again, r.retrans)
	}
	// Nothing but the size of the frames makes the difference: the bytes are all there. What iperf3 says
	// that it sent is no measure: some of that may wait for a repair when the server closes, and never
	// leave.
	const mss = 1500 - 20 - 20 - 12 // MTU less the headers of IPv4 and TCP and its timestamps
	bytesAgain := of(t, r.final, r.data, "tcp_bytes_transferred_total") - float64(f.Span)
	within(t, "segments in the bytes sent again against TcpRetransSegs", bytesAgain/mss, r.retrans, 0.05)
	t.Logf("%v frames sent again (%v of them out of order) hold %.0f segments; TcpRetransSegs %v: %.1f segments a frame",
		again, of(t, r.final, r.data, "tcp_out_of_order_packets_total"), bytesAgain/mss, r.retrans, r.retrans/again)
}

// loseData drops one segment with data in so many of iperf's data connection, after a packet
// socket has seen it.
func loseData(t *testing.T, ns *lab.NS, percent int) {
	t.Helper()
	need.Tool(t, "nft")
	ns.Run(t, "nft", "add table ip loss; "+
		"add chain ip loss in { type filter hook input priority 0; }; "+
		fmt.Sprintf("add rule ip loss in tcp sport %d ip length > 1000 numgen random mod 1000 < %d drop", iperfSource, 10*percent))
}

func direction(f lab.Flow) tsharkcmp.Direction { return tsharkcmp.Direction{Src: f.Src, Dst: f.Dst} }

// tshark returns its analysis of the recording. Both directions of the data must be in it.
func (r *iperf) tshark(t *testing.T) tsharkcmp.Table {
	t.Helper()
	return tsharkTable(t, r.capture, r.data)
}

func tsharkTable(t *testing.T, capture string, data lab.Flow) tsharkcmp.Table {
	t.Helper()
	need.Tool(t, "tshark")
	table, err := tsharkcmp.RunTshark(capture)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []lab.Flow{data, data.Reverse()} {
		if table[direction(f)] == nil {
			t.Fatalf("tshark sees no packet of %v", f)
		}
	}
	return table
}

// quickTimers has B acknowledge every segment at once, and A send again after a timeout that fits
// so short a line (ip-route(8)). The ACK after such a repair is a sample of the exporter's (it
// covers a segment that was sent once) and none of the kernel's: with the usual 200 ms it would
// outweigh the other ninety-nine. An ACK that was delayed for 40 ms stands in the kernel's figure
// as long as the line is then silent.
func quickTimers(t *testing.T, l *lab.Lab) {
	t.Helper()
	net := netip.PrefixFrom(l.A.Addr, 24).Masked().String()
	l.A.Run(t, "ip", "route", "change", net, "dev", lab.IfName, "rto_min", "10ms")
	l.B.Run(t, "ip", "route", "change", net, "dev", lab.IfName, "quickack", "1")
}
