package lab

import (
	"crypto/rand"
	"net/netip"
	"os"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

// IfName is the name of the veth end in both namespaces.
const IfName = "veth0"

// Lab is two namespaces joined by a veth pair.
type Lab struct {
	A, B *NS // A has the address 10.99.x.1, B 10.99.x.2
}

// New makes a lab for one test. It needs root and iproute2. x of 10.99.x.0/24 is drawn at random;
// labs cannot meet anyhow. IPv6 is off in both, so that a silent line stays silent. Packets keep
// their order on the way, so that the kernel repeats none without a loss.
func New(t testing.TB) *Lab {
	t.Helper()
	l, _ := newEnds(t)
	run(t, "ip", "link", "add", IfName, "netns", l.A.Name, "type", "veth", "peer", "name", IfName, "netns", l.B.Name)
	t.Cleanup(func() {
		// Both ends go with one. They would go with their namespace too, but that lives on as
		// long as a socket in it does. A test may have removed the pair: no error then.
		command("ip", "-n", l.A.Name, "link", "del", IfName).Run()
	})
	l.configure(t)
	return l
}

// newEnds makes the two namespaces without a link between them, and returns the start of their
// names too.
func newEnds(t testing.TB) (l *Lab, name string) {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	name = netns.NewName()
	var r [1]byte
	rand.Read(r[:])
	subnet := r[0]
	return &Lab{
		A: newNS(t, name+"-a", netip.AddrFrom4([4]byte{10, 99, subnet, 1})),
		B: newNS(t, name+"-b", netip.AddrFrom4([4]byte{10, 99, subnet, 2})),
	}, name
}

// configure gives both ends their address and brings them up.
func (l *Lab) configure(t testing.TB) {
	t.Helper()
	for _, ns := range []*NS{l.A, l.B} {
		run(t, "ip", "-n", ns.Name, "addr", "add", ns.Addr.String()+"/24", "dev", IfName)
		run(t, "ip", "-n", ns.Name, "link", "set", IfName, "up")
		ns.keepOrder(t, IfName)
	}
}

// Offloads turns segmentation, receive and checksum offload of both veth ends on or off. On, a
// frame may be a super-packet of up to 64 KiB; off, no frame is longer than the MTU and every
// checksum is filled in. It needs ethtool.
func (l *Lab) Offloads(t testing.TB, on bool) {
	t.Helper()
	l.A.offloads(t, IfName, on)
	l.B.offloads(t, IfName, on)
}

func (n *NS) offloads(t testing.TB, iface string, on bool) {
	t.Helper()
	need.Tool(t, "ethtool")
	word := "off"
	if on {
		word = "on"
	}
	n.Run(t, "ethtool", "-K", iface, "tx", word, "sg", word, "tso", word, "gso", word, "gro", word)
}

// keepOrder has all packets that the veth ends and lo receive handled on one CPU (receive packet steering).
// Otherwise each is handled where it was sent, the sender moves from CPU to CPU, packets overtake
// each other, and TCP sends whole super-packets again that were never lost.
func (n *NS) keepOrder(t testing.TB, ends ...string) {
	t.Helper()
	n.Run(t, "sh", "-c", "for i in lo "+strings.Join(ends, " ")+"; do f=/sys/class/net/$i/queues/rx-0/rps_cpus; [ ! -e $f ] || echo 1 >$f || exit 1; done")
}

// newNS makes a namespace with lo up.
func newNS(t testing.TB, name string, addr netip.Addr) *NS {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() {
		if out, err := command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("lab: cannot remove namespace %s: %v: %s", name, err, out)
		}
	})
	ns := &NS{Name: name, Addr: addr}
	err := ns.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	})
	if err != nil && !os.IsNotExist(err) { // a kernel without IPv6 is silent already
		t.Fatalf("lab: cannot turn IPv6 off in %s: %v", name, err)
	}
	run(t, "ip", "-n", name, "link", "set", "lo", "up")
	return ns
}
