package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/packet"
)

// Several workers have each connection once, although fragments have no ports to share them out by: IPv4
// ones are put together, IPv6 ones open nothing. A scrape with a series twice would be an error.
func TestFragmentsWithWorkers(t *testing.T) {
	t.Parallel() // mostly it waits
	const connections = 40
	for workers, want := range map[int]struct{ bytes4, gaps4 float64 }{
		1: {200, 1}, // the first fragment does not show where it ends
		2: {1200, 0},
	} {
		t.Run(fmt.Sprint("workers ", workers), func(t *testing.T) {
			l := lab.New(t)
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-ipv6", "-workers", fmt.Sprint(workers), "-numblocks", "16")
			var flows []lab.Flow
			for i := range connections {
				port := uint16(40000 + i)
				flows = append(flows,
					lab.Flow{Src: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), Dst: netip.MustParseAddrPort("198.51.100.1:443")},
					lab.Flow{Src: netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), port), Dst: netip.MustParseAddrPort("[2001:db8::2]:443")})
			}
			sendFrames(t, l.B, framesInFragments(flows))
			e.Await(t, 5*time.Second, func(m lab.Metrics) error {
				if n := m["capture_packets_processed_total"]; n < 2*connections*5 {
					return fmt.Errorf("%v packets", n)
				}
				return nil
			})
			m := e.Settle(t)
			nothingDropped(t, m)
			if n := m["tcp_stream_count"]; n != 4*connections {
				t.Errorf("tcp_stream_count is %v, want %v", n, 4*connections)
			}
			wrong := 0
			for _, f := range flows {
				bytes, gaps := want.bytes4, want.gaps4
				if f.Src.Addr().Is6() {
					bytes, gaps = 200, 1
				}
				b, g := m[f.Key("tcp_bytes_transferred_total", "active")], m[f.Key("tcp_sequence_gaps_total", "active")]
				if b != bytes || g != gaps {
					if wrong++; wrong <= 3 {
						t.Errorf("%v: %v bytes, %v gaps; want %v, %v", f, b, g, bytes, gaps)
					}
				}
			}
		})
	}
}

// framesInFragments returns 100 bytes, 1000 in two fragments and 100 again of each flow, and their ACKs.
func framesInFragments(flows []lab.Flow) (frames [][]byte) {
	for _, f := range flows {
		segment := func(seq uint32, n int) packet.TCP {
			return packet.TCP{Src: f.Src, Dst: f.Dst, Seq: seq, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: n}
		}
		ack := func(n uint32) []byte {
			return packet.TCP{Src: f.Dst, Dst: f.Src, Seq: 1, Ack: n, Flags: packet.ACK, Window: 1000}.Ethernet()
		}
		first, second := segment(101, 1000).Fragments(504)
		frames = append(frames, segment(1, 100).Ethernet(), ack(101), first, second, segment(1101, 100).Ethernet(), ack(1201))
	}
	return frames
}

// sendFrames sends frames out of the namespace's interface.
func sendFrames(t *testing.T, ns *lab.NS, frames [][]byte) {
	t.Helper()
	if err := ns.Do(func() error { return sendOut(frames) }); err != nil {
		t.Fatal(err)
	}
}

// sendOut sends frames out of the veth in the thread's namespace.
func sendOut(frames [][]byte) error {
	iface, err := net.InterfaceByName(lab.IfName)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, f := range frames {
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: iface.Index, Halen: 6}); err != nil {
			return err
		}
	}
	return nil
}
