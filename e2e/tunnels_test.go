package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
)

// What two hosts say to one another through the kernel's own VXLAN devices is seen on the line below them to the byte,
// with the offloads that put several segments, or several outer packets, into one, and without.
func TestVXLANOnTheLine(t *testing.T) {
	t.Parallel() // mostly it waits
	const sent = 2_000_001
	for _, offloads := range []bool{true, false} {
		t.Run(fmt.Sprintf("offloads=%v", offloads), func(t *testing.T) {
			l := lab.New(t)
			l.Offloads(t, offloads)
			for _, end := range []struct {
				ns, peer *lab.NS
				addr     string
			}{{l.A, l.B, "10.77.0.1/24"}, {l.B, l.A, "10.77.0.2/24"}} {
				out, err := end.ns.Command("ip", "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789",
					"local", end.ns.Addr.String(), "remote", end.peer.Addr.String(), "dev", lab.IfName).CombinedOutput()
				need.That(t, err == nil, fmt.Sprintf("needs VXLAN devices: ip link add: %v: %s", err, out))
				end.ns.Run(t, "ip", "addr", "add", end.addr, "dev", "vx0")
				end.ns.Run(t, "ip", "link", "set", "vx0", "up")
			}
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-tunnels", "vxlan")
			outer := l.B.StartExporter(t, binary(t), "-interface", lab.IfName, "-packet-filter", "")
			listener, err := l.B.Listen("tcp4", "10.77.0.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			got := make(chan int64, 1)
			go func() {
				c, err := listener.Accept()
				if err != nil {
					got <- -1
					return
				}
				n, _ := io.Copy(io.Discard, c)
				c.Close()
				got <- n
			}()
			c, err := l.A.Dial(t.Context(), "tcp4", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.CopyN(c, zeros{}, sent); err != nil {
				t.Fatal(err)
			}
			c.(*net.TCPConn).CloseWrite()
			if n := <-got; n != sent {
				t.Fatalf("%d bytes received", n)
			}
			io.Copy(io.Discard, c)
			f := lab.Flow{Src: c.LocalAddr().(*net.TCPAddr).AddrPort(), Dst: c.RemoteAddr().(*net.TCPAddr).AddrPort()}
			m := e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if n := m[f.Key("tcp_bytes_transferred_total", "finalized")]; n < sent {
					return fmt.Errorf("%v bytes", n)
				}
				return nil
			})
			nothingDropped(t, m)
			again := m[f.Key("tcp_retransmits_total", "finalized")] + m[f.Key("tcp_out_of_order_packets_total", "finalized")]
			if n := m[f.Key("tcp_bytes_transferred_total", "finalized")]; again == 0 && n != sent {
				t.Errorf("%v bytes, want %d", n, sent)
			}
			if gaps := m[f.Key("tcp_sequence_gaps_total", "finalized")]; gaps > again {
				t.Errorf("%v gaps, %v segments again", gaps, again)
			}
			if m[f.Key("tcp_avg_delay_seconds", "finalized")] <= 0 {
				t.Error("no delay")
			}
			without := outer.Await(t, 10*time.Second, func(m lab.Metrics) error { // these totals are a second old
				if skipped(m, "udp") == 0 {
					return fmt.Errorf("without -tunnels no packets are skipped as udp")
				}
				return nil
			})
			if n := without["tcp_stream_count"]; n != 0 {
				t.Errorf("without -tunnels %v streams", n)
			}
		})
	}
}

// Frames of all kinds of tunnels that come over the line, with headers as long as they get, are accounted if their tunnel
// is named, whatever the filter, and cut by -snaplen alone.
func TestTunnelsOnTheLine(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	deep := func(frame []byte) []byte { // four within one another, as long as the snap length allows for
		b := packet.InIPv4(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeBridged, 252, frame)))
		for range 3 {
			b = packet.InIPv6(packet.ProtoGRE, packet.InGRE(packet.GREChecksum|packet.GREKey|packet.GRESequence, packet.TypeERSPAN3,
				packet.InERSPAN3(false, true, false, packet.InEthernet(packet.TypeOf(b), b, 0x88a80001, 0x81000002))))
		}
		return b
	}
	kinds := []struct {
		tunnels string
		around  func(frame []byte) []byte
	}{
		{"gre", func(f []byte) []byte { return packet.InIPv4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, f[14:])) }},
		{"ipip", func(f []byte) []byte { return packet.InIPv4(packet.ProtoIPv4, f[14:]) }},
		{"sit", func(f []byte) []byte { return packet.InIPv6(packet.ProtoIPv4, f[14:]) }},
		{"vxlan", func(f []byte) []byte { return packet.InIPv4(packet.ProtoUDP, packet.InUDP(8472, packet.InVXLAN(f))) }},
		{"gtpu", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 1, f[14:])))
		}},
		{"erspan", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, f)))
		}},
		{"geneve,erspan", deep},
	}
	for _, c := range []struct {
		name string
		args []string
		deep bool // the last kind is accounted
	}{
		{"default filter", nil, true},
		{"empty filter", []string{"-packet-filter", ""}, true},
		{"a filter of others", []string{"-packet-filter", "tcp port 9"}, true},
		{"several interfaces", []string{"-interface", "veth*"}, true},
		{"a snap length", []string{"-snaplen", "300"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-tunnels", "gre,ipip,sit,vxlan,geneve,gtpu,erspan"}, c.args...)
			if c.name != "several interfaces" {
				args = append(args, "-interface", lab.IfName)
			}
			e := l.A.StartExporter(t, binary(t), args...)
			flow := func(i int) lab.Flow {
				return lab.Flow{Src: netip.AddrPortFrom(netip.MustParseAddr("10.88.0.1"), uint16(1000+i)), Dst: netip.MustParseAddrPort("10.88.0.2:80")}
			}
			var frames [][]byte
			for i, kind := range kinds {
				for n := range 10 {
					p := packet.TCP{Src: flow(i).Src, Dst: flow(i).Dst, Seq: uint32(n * 400), Ack: 1, Flags: packet.ACK, Window: 100, Payload: 400}
					ip := kind.around(p.Ethernet())
					frames = append(frames, packet.InEthernet(packet.TypeOf(ip), ip))
				}
			}
			inject(t, l.B, frames)
			want := len(kinds)
			if !c.deep {
				want--
			}
			e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if n := m["tcp_stream_count"]; n != float64(want) {
					return fmt.Errorf("%v streams, want %d", n, want)
				}
				return nil
			})
			m := e.Settle(t)
			on := m
			if c.name == "several interfaces" {
				on = m.On(lab.IfName)
			}
			for i := range want {
				if n := on[flow(i).Key("tcp_bytes_transferred_total", "active")]; n != 4000 {
					t.Errorf("%s: %v bytes, want 4000", kinds[i].tunnels, n)
				}
			}
			if !c.deep {
				e.Await(t, 10*time.Second, func(m lab.Metrics) error {
					if n := skipped(m, "truncated"); n != 10 {
						return fmt.Errorf("%v packets were cut off, want 10", n)
					}
					return nil
				})
			}
		})
	}
}

// skipped returns how many packets were skipped for a reason.
func skipped(m lab.Metrics, reason string) float64 {
	return m[lab.Key("tcp_stream_exporter_skipped_packets_total", "reason", reason)]
}

// inject sends frames over the line from a namespace.
func inject(t *testing.T, ns *lab.NS, frames [][]byte) {
	t.Helper()
	injectOn(t, ns, lab.IfName, frames)
}

// injectOn is inject on an interface of a name.
func injectOn(t *testing.T, ns *lab.NS, name string, frames [][]byte) {
	t.Helper()
	err := ns.Do(func() error {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: iface.Index}); err != nil {
				return fmt.Errorf("send %d bytes: %w", len(f), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
