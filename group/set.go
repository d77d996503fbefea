package group

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"tcp-stream-exporter/parse"
)

// Set says which group an address belongs to and which ports are services. A Set does not change once it is built, so
// that any goroutine may ask it; another list of groups is another Set. To a nil Set everything is "other".
type Set struct {
	names    *Names
	groups   []Member           // without Net
	prefixes bart.Table[uint32] // the place in groups
	services Services
}

// Find returns the group of a: that of the longest prefix that has a in it. It allocates nothing.
func (s *Set) Find(a parse.Addr) Member {
	if s == nil {
		return Member{}
	}
	g, found := s.prefixes.Lookup(a.Netip())
	if !found {
		return Member{}
	}
	m := s.groups[g]
	if m.Bits != 0 {
		m.Net = masked(a, m.Bits)
	}
	return m
}

// masked returns a without its host bits: those behind the first bits of an IPv4 or IPv6 address, of which at most 64
// stand in an IPv6 one (maxLength6).
func masked(a parse.Addr, bits uint8) parse.Addr {
	if a.Is4() {
		return parse.Addr{Lo: a.Lo &^ (1<<(32-bits) - 1)}
	}
	return parse.Addr{Hi: a.Hi &^ (1<<(64-bits) - 1)}
}

// Service returns port if it is a listed service, else 0.
func (s *Set) Service(port uint16) uint16 {
	if s == nil || !s.services.has(port) {
		return 0
	}
	return port
}

// Label returns what a label calls the group: "other", its name, or of a group that is a subnet the prefix, such as
// 10.1.2.0/24. Groups of Sets before, with the same Names, have their labels too. A name has no slash in it, so that no
// two groups of a Set have the same label.
func (s *Set) Label(m Member) string {
	switch {
	case s == nil || m.Name == 0:
		return Other
	case m.Bits != 0:
		return netip.PrefixFrom(m.Net.Netip(), int(m.Bits)).String()
	}
	return s.names.name(m.Name)
}

// Groups returns the number of names in s.
func (s *Set) Groups() int { return len(s.groups) }

// Prefixes returns the number of prefixes in s.
func (s *Set) Prefixes() int { return s.prefixes.Size() }
