package e2e

import (
	be "encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// Connections are shared out among all workers whatever is around them, with both directions of each on the same one, in
// what arrives and in what is sent: the table in docs/tuning.md, from the log of this test. The outer addresses of the
// tunnels are the same for all connections, and differ by direction; so do the outer ports of VXLAN, GENEVE and GTP-U.
func TestFanoutSharesOutConnections(t *testing.T) {
	t.Parallel() // mostly it waits
	const workers, connections = 4, 64
	l := lab.New(t)
	ip := func(b []byte) []byte { return packet.InEthernet(packet.TypeOf(b), b) }
	// outer is an outer packet from one end of a tunnel, or back.
	outer := func(protocol byte, body []byte, back bool) []byte {
		b := packet.InIPv4(protocol, body)
		if back {
			src, dst := [4]byte(b[12:]), [4]byte(b[16:])
			copy(b[12:], dst[:])
			copy(b[16:], src[:])
		}
		return ip(b)
	}
	udp := func(port uint16, body []byte, back bool) []byte {
		d := packet.InUDP(port, body)
		if back {
			d[0] ^= 0x11 // another source port
		}
		return outer(packet.ProtoUDP, d, back)
	}
	kinds := []struct {
		name   string
		around func(frame []byte, back bool) []byte
		ipv6   bool
	}{
		{"IPv4", func(f []byte, _ bool) []byte { return f }, false},
		{"IPv6", func(f []byte, _ bool) []byte { return f }, true},
		{"two VLAN tags", func(f []byte, _ bool) []byte {
			return packet.InEthernet(packet.TypeOf(f[14:]), f[14:], 0x88a80001, 0x81000002)
		}, false},
		{"PPPoE", func(f []byte, _ bool) []byte { return inPPPoE(f[14:]) }, false},
		{"MPLS, one label", func(f []byte, back bool) []byte {
			label := []byte{0, 1, 1, 64}
			if back {
				label[1] = 2
			}
			return packet.InEthernet(0x8847, append(label, f[14:]...))
		}, false},
		{"GRE", func(f []byte, back bool) []byte {
			return outer(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, f[14:]), back)
		}, false},
		{"IPIP", func(f []byte, back bool) []byte { return outer(packet.ProtoIPv4, f[14:], back) }, false},
		{"SIT", func(f []byte, back bool) []byte { return outer(packet.ProtoIPv6, f[14:], back) }, true},
		{"GTP-U", func(f []byte, back bool) []byte {
			extensions := 0
			if back {
				extensions = 1
			}
			return udp(2152, packet.InGTPU(0, extensions, f[14:]), back)
		}, false},
		{"ERSPAN", func(f []byte, back bool) []byte {
			return outer(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, f)), back)
		}, false},
		{"VXLAN", func(f []byte, back bool) []byte { return udp(4789, packet.InVXLAN(f), back) }, false},
		{"GENEVE", func(f []byte, back bool) []byte { return udp(6081, packet.InGENEVE(0x6558, 8, f), back) }, false},
		{"VXLAN over IPv6, a tag inside", func(f []byte, _ bool) []byte {
			f = packet.InEthernet(packet.TypeOf(f[14:]), f[14:], 0x81000002)
			return ip(packet.InIPv6(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(f))))
		}, false},
		{"ERSPAN of VXLAN", func(f []byte, back bool) []byte {
			return outer(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN,
				packet.InERSPAN2(false, udp(4789, packet.InVXLAN(f), back))), false)
		}, false},
	}
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-workers", strconv.Itoa(workers), "-ipv6",
		"-tunnels", parse.TunnelNames(), "-metrics", "default,tcp_packets_total")
	taken := func(m lab.Metrics) (packets [workers]float64) {
		for i := range packets {
			packets[i] = m[lab.Key("tcp_stream_exporter_worker_packets_total", "worker", strconv.Itoa(i))]
		}
		return packets
	}
	before := taken(e.Settle(t))
	streams := 0.0
	for i, kind := range kinds {
		var arrives, sent [][]byte
		for n := range connections {
			client, server := netip.AddrFrom4([4]byte{10, 1, byte(i), byte(n)}), netip.AddrFrom4([4]byte{10, 2, 0, 1})
			if kind.ipv6 {
				client, server = netip.AddrFrom16([16]byte{0xfd, 1, 14: byte(i), 15: byte(n)}), netip.AddrFrom16([16]byte{0xfd, 2, 15: 1})
			}
			a, b := netip.AddrPortFrom(client, uint16(40000+7*n)), netip.AddrPortFrom(server, 443)
			there := packet.TCP{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 100, Payload: 100}
			back := packet.TCP{Src: b, Dst: a, Seq: 1, Ack: 101, Flags: packet.ACK, Window: 100}
			arrives = append(arrives, kind.around(there.Ethernet(), false))
			sent = append(sent, kind.around(back.Ethernet(), true))
		}
		inject(t, l.B, arrives)
		inject(t, l.A, sent)
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
		if busy != workers {
			t.Errorf("%s: %d of %d workers get some of %d connections: %v", kind.name, busy, workers, connections, got)
		}
		if slices.ContainsFunc(got[:], func(n float64) bool { return int(n)%2 != 0 }) {
			t.Errorf("%s: the two packets of a connection went to two workers: %v", kind.name, got)
		}
	}
	nothingDropped(t, e.Settle(t))
}

// So they are on interfaces without a link header, and where the rings are of several interfaces of both kinds.
func TestFanoutWithoutALinkHeader(t *testing.T) {
	t.Parallel() // mostly it waits
	const workers, connections = 4, 64
	l := lab.New(t)
	fd := tun(t, l.A, "tun0")
	defer unix.Close(fd)
	e := l.A.StartExporter(t, binary(t), "-interface", "tun0,"+lab.IfName, "-workers", strconv.Itoa(workers), "-ipv6",
		"-tunnels", "gtpu", "-metrics", "default,tcp_packets_total")
	var arrives, sent [][]byte
	for n := range connections {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(n)}), uint16(40000+7*n))
		b := netip.MustParseAddrPort("10.2.0.1:443")
		if n%2 != 0 {
			a, b = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 1, 15: byte(n)}), a.Port()), netip.MustParseAddrPort("[fd02::1]:443")
		}
		there := packet.TCP{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 100, Payload: 100}.IP()
		back := packet.TCP{Src: b, Dst: a, Seq: 1, Ack: 101, Flags: packet.ACK, Window: 100}.IP()
		if n >= connections/2 {
			there = packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 1, there)))
			back = packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 0, back)))
		}
		arrives, sent = append(arrives, there), append(sent, back)
	}
	for _, p := range arrives {
		if _, err := unix.Write(fd, p); err != nil {
			t.Fatal(err)
		}
	}
	injectOn(t, l.A, "tun0", sent)
	m := e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		all := 0.0
		for i := range workers {
			all += m[lab.Key("tcp_stream_exporter_worker_packets_total", "worker", strconv.Itoa(i))] // as of once a second
		}
		if n := m["tcp_stream_count"]; n != 2*connections || all < 2*connections {
			return fmt.Errorf("%v streams and %v packets, want %d of each", n, all, 2*connections)
		}
		return nil
	})
	for i := range workers {
		n := int(m[lab.Key("tcp_stream_exporter_worker_packets_total", "worker", strconv.Itoa(i))])
		if t.Logf("worker %d: %d packets", i, n); n == 0 || n%2 != 0 {
			t.Errorf("worker %d has %d packets, want both of each of its connections", i, n)
		}
	}
}

// inPPPoE returns an Ethernet frame of a PPPoE session (RFC 2516) with an IPv4 packet.
func inPPPoE(ip []byte) []byte {
	b := []byte{0x11, 0, 0, 1}
	b = be.BigEndian.AppendUint16(b, uint16(2+len(ip)))
	b = be.BigEndian.AppendUint16(b, 0x0021)
	return packet.InEthernet(0x8864, append(b, ip...))
}
