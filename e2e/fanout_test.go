package e2e

import (
	be "encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
)

// What the kernel's flow hash shares out among workers and what it puts on one, with both directions of a connection on
// the same in any case: the table in docs/tuning.md, from the log of this test. The tunnels' outer addresses are the same for
// all connections, and what becomes of them is the kernel's choice.
func TestWhatTheFlowHashSharesOut(t *testing.T) {
	t.Parallel() // mostly it waits
	const workers, connections = 4, 64
	l := lab.New(t)
	ip := func(b []byte) []byte { return packet.InEthernet(packet.TypeOf(b), b) }
	kinds := []struct {
		name   string
		around func(frame []byte) []byte
		ipv6   bool
		spread bool // on every kernel: all workers get some of it
	}{
		{"IPv4", func(f []byte) []byte { return f }, false, true},
		{"IPv6", func(f []byte) []byte { return f }, true, true},
		{"two VLAN tags", func(f []byte) []byte {
			return packet.InEthernet(packet.TypeOf(f[14:]), f[14:], 0x88a80001, 0x81000002)
		}, false, true},
		{"PPPoE", func(f []byte) []byte { return inPPPoE(f[14:]) }, false, true},
		{"MPLS, one label", func(f []byte) []byte { return packet.InEthernet(0x8847, append([]byte{0, 1, 1, 64}, f[14:]...)) }, false, false},
		{"GRE", func(f []byte) []byte {
			return ip(packet.InIPv4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, f[14:])))
		}, false, false},
		{"IPIP", func(f []byte) []byte { return ip(packet.InIPv4(packet.ProtoIPv4, f[14:])) }, false, false},
		{"SIT", func(f []byte) []byte { return ip(packet.InIPv4(packet.ProtoIPv6, f[14:])) }, true, false},
		{"GTP-U", func(f []byte) []byte {
			return ip(packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 0, f[14:]))))
		}, false, false},
		{"ERSPAN", func(f []byte) []byte {
			return ip(packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, f))))
		}, false, false},
	}
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-workers", strconv.Itoa(workers), "-ipv6",
		"-tunnels", "gre,ipip,sit,gtpu,erspan", "-metrics", "default,tcp_packets_total")
	taken := func(m lab.Metrics) (packets [workers]float64) {
		for i := range packets {
			packets[i] = m[lab.Key("tcp_stream_exporter_worker_packets_total", "worker", strconv.Itoa(i))]
		}
		return packets
	}
	before := taken(e.Settle(t))
	streams := 0.0
	for i, kind := range kinds {
		var frames [][]byte
		for n := range connections {
			client, server := netip.AddrFrom4([4]byte{10, 1, byte(i), byte(n)}), netip.AddrFrom4([4]byte{10, 2, 0, 1})
			if kind.ipv6 {
				client, server = netip.AddrFrom16([16]byte{0xfd, 1, 14: byte(i), 15: byte(n)}), netip.AddrFrom16([16]byte{0xfd, 2, 15: 1})
			}
			a, b := netip.AddrPortFrom(client, uint16(40000+7*n)), netip.AddrPortFrom(server, 443)
			for _, p := range []packet.TCP{
				{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 100, Payload: 100},
				{Src: b, Dst: a, Seq: 1, Ack: 101, Flags: packet.ACK, Window: 100},
			} {
				frames = append(frames, kind.around(p.Ethernet()))
			}
		}
		inject(t, l.B, frames)
		streams += 2 * connections
		m := e.Await(t, 5*time.Second, func(m lab.Metrics) error {
			all := 0.0
			for _, n := range taken(m) { // as of once a second
				all += n
			}
			if n := m["tcp_stream_count"]; n != streams || all != streams {
				return fmt.Errorf("%s: %v streams and %v packets, want %v of each", kind.name, n, all, streams)
			}
			return nil
		})
		now := taken(m)
		var got [workers]float64
		busy := 0
		for w := range got {
			if got[w] = now[w] - before[w]; got[w] != 0 {
				busy++
			}
		}
		before = now
		t.Logf("%-42s %v", kind.name, got)
		if kind.spread && busy != workers {
			t.Errorf("%s: %d of %d workers get some of %d connections: %v", kind.name, busy, workers, connections, got)
		}
		if slices.ContainsFunc(got[:], func(n float64) bool { return int(n)%2 != 0 }) {
			t.Errorf("%s: the two packets of a connection went to two workers: %v", kind.name, got)
		}
	}
	nothingDropped(t, e.Settle(t))
}

// inPPPoE returns an Ethernet frame of a PPPoE session (RFC 2516) with an IPv4 packet.
func inPPPoE(ip []byte) []byte {
	b := []byte{0x11, 0, 0, 1}
	b = be.BigEndian.AppendUint16(b, uint16(2+len(ip)))
	b = be.BigEndian.AppendUint16(b, 0x0021)
	return packet.InEthernet(0x8864, append(b, ip...))
}
