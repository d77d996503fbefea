package lab

import (
	"crypto/rand"
	"net/netip"
	"os"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

const (
	// BridgeName is the router's bridge towards the client (RouterConfig.Bridge).
	BridgeName = "br0"
	// WireName is the name of both ends of the link that carries the frames of an Encapsulation.
	WireName = "wire"

	sparePort = "spare" // of the bridge, with nothing behind it
)

// RouterConfig says how a Router is built. Its zero value forwards and does nothing else.
type RouterConfig struct {
	NAT    bool // the server sees the router's address instead of the client's (nft masquerade)
	Bridge bool // the router's end towards the client is a port of BridgeName, with a second port beside it
	Around Encapsulation

	// ClientDelay and ServerDelay are by how much longer a round trip between the router and that end takes, 0: not
	// at all. A link with one has no offloads; the one to the server takes no Encapsulation besides.
	ClientDelay, ServerDelay time.Duration
}

// Router is a client and a server with a router between them, each in a namespace of its own:
//
//	A, client                 M, router                                 B, server
//	veth0 10.99.x.1 ───── toa 10.99.x.254   tob 10.98.x.254 ───── veth0 10.98.x.2
//
// With a bridge, br0 has the address of toa, which is a port of it. With an encapsulation, tob and the server's veth0
// are tap devices, and their frames go through the test's process (Encapsulation) and over a veth pair with a
// header around what they carry:
//
//	tob ═ header put on ═ wire ───── wire ═ header taken off ═ veth0
//
// To capture on wire in M shows a real connection as a router's uplink would. The kernel takes the outer VLAN tag
// of a frame that it receives out of it (PACKET_AUXDATA has it then), and leaves it in one that was sent.
type Router struct {
	A, B, M *NS // M.Addr is the address towards the server

	config                 RouterConfig
	clientLink, serverLink *slowLink // nil: without delay
}

// NewRouter makes a router for one test, as New makes a lab; nft(8) is needed for NAT.
func NewRouter(t testing.TB, c RouterConfig) *Router {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	name := netns.NewName()
	var random [1]byte
	rand.Read(random[:])
	x := random[0]
	towardsClient := netip.AddrFrom4([4]byte{10, 99, x, 254})
	r := &Router{
		config: c,
		A:      newNS(t, name+"-a", netip.AddrFrom4([4]byte{10, 99, x, 1})),
		B:      newNS(t, name+"-b", netip.AddrFrom4([4]byte{10, 98, x, 2})),
		M:      newNS(t, name+"-m", netip.AddrFrom4([4]byte{10, 98, x, 254})),
	}
	if c.ClientDelay > 0 {
		r.clientLink = newSlowLink(t, newNS(t, name+"-c", netip.Addr{}), r.A, IfName, r.M, towardsA, c.ClientDelay)
	} else {
		pair(t, r.A, IfName, r.M, towardsA)
	}
	lan := towardsA
	if c.Bridge {
		lan = BridgeName
		r.M.Run(t, "ip", "link", "add", BridgeName, "type", "bridge")
		pair(t, r.M, sparePort, r.M, sparePort+"0")
		for _, port := range []string{towardsA, sparePort} {
			r.M.Run(t, "ip", "link", "set", port, "master", BridgeName)
		}
	}
	switch {
	case c.ServerDelay > 0:
		r.serverLink = newSlowLink(t, newNS(t, name+"-s", netip.Addr{}), r.B, IfName, r.M, towardsB, c.ServerDelay)
	case c.Around == Plain:
		pair(t, r.B, IfName, r.M, towardsB)
	default:
		r.encapsulate(t, c.Around)
	}
	for _, end := range []struct {
		ns   *NS
		link string
		addr netip.Addr
	}{{r.A, IfName, r.A.Addr}, {r.M, lan, towardsClient}, {r.M, towardsB, r.M.Addr}, {r.B, IfName, r.B.Addr}} {
		end.ns.Run(t, "ip", "addr", "add", end.addr.String()+"/24", "dev", end.link)
		end.ns.Run(t, "ip", "link", "set", end.link, "up")
	}
	r.A.Run(t, "ip", "route", "add", "default", "via", towardsClient.String())
	if c.NAT {
		need.Tool(t, "nft")
		r.M.Run(t, "nft", "table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "+towardsB+" masquerade; }; }")
	} else {
		r.B.Run(t, "ip", "route", "add", "default", "via", r.M.Addr.String())
	}
	err := r.M.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
	if err != nil {
		t.Fatalf("lab: cannot forward in %s: %v", r.M.Name, err)
	}
	return r
}

// RoundTrips returns the median times that packets have spent in the links with a delay, there and back: what the
// delays really were. 0: there is no delay.
func (r *Router) RoundTrips() (client, server time.Duration) {
	return r.clientLink.roundTrip(), r.serverLink.roundTrip()
}

// Offloads does as Lab.Offloads does, and in the router too. With a delay a link has none in any case, and with an
// encapsulation the one to the server.
func (r *Router) Offloads(t testing.TB, on bool) {
	t.Helper()
	if r.clientLink == nil {
		r.A.offloads(t, IfName, on)
		r.M.offloads(t, towardsA, on)
	}
	if r.serverLink == nil && r.config.Around == Plain {
		r.M.offloads(t, towardsB, on)
		r.B.offloads(t, IfName, on)
	}
}

// pair makes a veth pair, both of whose ends are up, for as long as the test runs.
func pair(t testing.TB, n *NS, name string, peer *NS, peerName string) {
	t.Helper()
	run(t, "ip", "link", "add", name, "netns", n.Name, "type", "veth", "peer", "name", peerName, "netns", peer.Name)
	t.Cleanup(func() { command("ip", "-n", n.Name, "link", "del", name).Run() }) // see New
	n.Run(t, "ip", "link", "set", name, "up")
	peer.Run(t, "ip", "link", "set", peerName, "up")
	n.keepOrder(t, name)
	peer.keepOrder(t, peerName)
}
