package lab

import (
	"fmt"
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

// HubLink is the name of the end of a Hub's link in each of its members.
const HubLink = "hub"

// Hub is a namespace that has a link to each of its members, as a management network does: it reaches all of them, and
// they do not reach one another through it.
//
//	member n, HubLink 10.97.n.2 ───── member<n> 10.97.n.1, hub
type Hub struct {
	*NS                  // has no address of its own
	Members []netip.Addr // addresses of the members on their links, in the order of NewHub
}

// NewHub makes a hub for one test. There may be 256 members.
func NewHub(t testing.TB, members ...*NS) *Hub {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	h := &Hub{NS: newNS(t, netns.NewName()+"-h", netip.Addr{})}
	for n, member := range members {
		link := fmt.Sprintf("member%d", n)
		pair(t, h.NS, link, member, HubLink)
		network := [4]byte{10, 97, byte(n), 1}
		h.Run(t, "ip", "addr", "add", netip.AddrFrom4(network).String()+"/30", "dev", link)
		network[3] = 2
		at := netip.AddrFrom4(network)
		member.Run(t, "ip", "addr", "add", at.String()+"/30", "dev", HubLink)
		h.Members = append(h.Members, at)
	}
	return h
}
