package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
)

// The interface comes back as one of another kind, whose frames have no Ethernet header, and then
// as the first kind again: each takes a packet filter of its own.
func TestInterfaceOfAnotherKind(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	f := &life{Exporter: e, l: l, last: e.Settle(t)}
	f.beat = startBeat(t, l.B)
	f.ip("link del veth0")(t)
	f.gone(t)

	fd := tun(t, l.A, lab.IfName)
	flow := lab.Flow{Src: netip.MustParseAddrPort("192.0.2.1:1000"), Dst: netip.MustParseAddrPort("192.0.2.2:80")}
	segment := packet.TCP{Src: flow.Src, Dst: flow.Dst, Flags: packet.ACK, Payload: beatPayload}
	e.Await(t, resumeWithin, func(m lab.Metrics) error {
		segment.Seq += beatPayload
		if _, err := unix.Write(fd, segment.IP()); err != nil {
			return err
		}
		if m[flow.Key("tcp_bytes_transferred_total", "active")] == 0 {
			return fmt.Errorf("no byte of %v, %s %v", flow, interfaceUp, m[interfaceUp])
		}
		return nil
	})

	unix.Close(fd) // and the interface is gone
	f.gone(t)
	f.makeVeth(t)
	f.resumed(t, 2)
	nothingDropped(t, f.last)
}

// tun makes a tun interface in the namespace, up. What is written to the descriptor arrives at it.
func tun(t *testing.T, ns *lab.NS, name string) (fd int) {
	t.Helper()
	need.File(t, "/dev/net/tun")
	err := ns.Do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	})
	if err != nil {
		t.Fatalf("make the tun interface %s: %v", name, err)
	}
	ns.Run(t, "ip", "link", "set", name, "up")
	return fd
}
