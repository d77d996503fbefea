package parse

import "testing"

// slowTunnels decodes an Ethernet frame with tunnels byte by byte, by where on the wire each layer ends: the oracle of
// FuzzTunnel. Link layers other than VLAN tags are not covered.
type slowTunnels struct {
	b         []byte
	set       Tunnels
	at        int // where the layer begins
	end       int // where it ends by all lengths so far
	have      int // up to where bytes are captured
	open      bool
	opened    int
	uncovered bool

	payload int
	unknown bool
}

// stop ends the decode: there is no segment.
type stop struct{}

func (s *slowTunnels) must(ok bool) {
	if !ok {
		panic(stop{})
	}
}

// at8 and at16 return what stands so many bytes behind the beginning of the layer.
func (s *slowTunnels) at8(off int) int {
	s.must(s.at+off < s.end && s.at+off < s.have)
	return int(s.b[s.at+off])
}

func (s *slowTunnels) at16(off int) int { return s.at8(off)<<8 + s.at8(off+1) }

func (s *slowTunnels) advance(n int) {
	if n > 0 {
		s.at8(n - 1)
	}
	s.at += n
}

func (s *slowTunnels) endAt(n int) { s.end, s.have = min(s.end, s.at+n), min(s.have, s.at+n) }

func (s *slowTunnels) goesOn() { s.open, s.end = true, s.at+1<<20 }

func (s *slowTunnels) segment() (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(stop); !is {
				panic(r)
			}
			ok = false
		}
	}()
	s.ethernet()
	return true
}

func (s *slowTunnels) ethernet() {
	typ := s.at16(12)
	s.advance(14)
	for tags := 0; typ == 0x8100 || typ == 0x88a8 || typ == 0x9100; tags++ {
		s.must(tags < 8)
		typ = s.at16(2)
		s.advance(4)
	}
	s.uncovered = s.uncovered || typ == 0x8864 || typ == 0x8847
	s.must(typ != 0x6558) // names an Ethernet frame in GRE and GENEVE alone
	s.byType(typ)
}

func (s *slowTunnels) byType(typ int) {
	switch typ {
	case 0x0800:
		s.ipv4()
	case 0x86dd:
		s.ipv6()
	case 0x6558:
		s.ethernet()
	default:
		s.must(false)
	}
}

func (s *slowTunnels) ipv4() {
	ihl := s.at8(0) % 16 * 4
	s.at8(19)
	s.must(s.at8(0)/16 == 4 && ihl >= 20)
	if total := s.at16(2); total != 0 {
		s.endAt(total)
	}
	protocol, fragment := s.at8(9), s.at16(6)
	s.must(fragment%0x2000 == 0 && s.end >= s.at+ihl)
	if ihl > 0 {
		s.must(s.at+ihl <= s.have)
	}
	s.at += ihl
	s.carried(protocol, fragment&0x2000 != 0, false)
}

func (s *slowTunnels) ipv6() {
	s.at8(39)
	s.must(s.at8(0)/16 == 6)
	n, next, first := s.at16(4), s.at8(6), false
	s.advance(40)
	if n != 0 {
		s.endAt(n)
	}
	for headers := 0; ; headers++ {
		s.must(headers < 8)
		length := 0
		switch next {
		case 0, 43, 60, 135:
			length = s.at8(1)*8 + 8
		case 51:
			length = s.at8(1)*4 + 8
		case 44:
			s.must(s.at16(2)/8 == 0)
			first, length = s.at8(3)%2 == 1, 8
		default:
			s.carried(next, first, true)
			return
		}
		next = s.at8(0)
		s.advance(length)
	}
}

func (s *slowTunnels) carried(protocol int, first, six bool) {
	if protocol == 6 {
		s.tcp(first)
		return
	}
	on := func(t Tunnels) bool { return s.set&t != 0 }
	if first {
		s.have = min(s.have, s.end)
		s.goesOn()
	}
	switch protocol {
	case 4:
		s.must(on(TunnelIPIP) || six && on(TunnelSIT))
		s.deeper(0x0800)
	case 41:
		s.must(on(TunnelSIT))
		s.deeper(0x86dd)
	case 47:
		s.gre()
	case 17:
		s.udp()
	default:
		s.must(false)
	}
}

// deeper goes into a packet of a type; 0: IP by its version.
func (s *slowTunnels) deeper(typ int) {
	s.opened++
	s.must(s.opened <= 4)
	if typ == 0 {
		typ = map[int]int{4: 0x0800, 6: 0x86dd}[s.at8(0)/16]
	}
	s.byType(typ)
}

func (s *slowTunnels) gre() {
	flags, typ := s.at16(0), s.at16(2)
	s.must(flags&0x4007 == 0)
	n := 4
	for _, bit := range []int{0x8000, 0x2000, 0x1000} {
		if flags&bit != 0 {
			n += 4
		}
	}
	s.advance(n)
	switch {
	case typ == 0x88be || typ == 0x22eb:
		s.must(s.set&TunnelERSPAN != 0)
		if typ == 0x88be && flags&0x1000 == 0 {
			s.deeper(0x6558)
			return
		}
		n, inside := 8, 0x6558
		if typ == 0x22eb {
			n = 12
			switch s.at8(10) / 4 % 32 {
			case 0:
			case 2:
				inside = 0
			default:
				s.must(false)
			}
			n += s.at8(11) % 2 * 8
		}
		s.must(s.at8(0)/16 == map[int]int{0x88be: 1, 0x22eb: 2}[typ])
		cut := s.at8(2)&4 != 0
		s.advance(n)
		if cut {
			s.have = min(s.have, s.end)
			s.goesOn()
		}
		s.deeper(inside)
	default:
		s.must(s.set&TunnelGRE != 0)
		s.must(typ == 0x0800 || typ == 0x86dd || typ == 0x6558)
		s.deeper(typ)
	}
}

func (s *slowTunnels) udp() {
	port, n := s.at16(2), s.at16(4)
	s.at8(7)
	if n != 0 {
		s.must(n >= 8)
		s.endAt(n)
	}
	s.advance(8)
	switch port {
	case 4789, 8472:
		s.must(s.set&TunnelVXLAN != 0 && s.at8(0)&8 != 0)
		s.advance(8)
		s.deeper(0x6558)
	case 6081:
		s.must(s.set&TunnelGENEVE != 0 && s.at8(0) < 64 && s.at8(1) < 128)
		typ := s.at16(2)
		s.must(typ == 0x0800 || typ == 0x86dd || typ == 0x6558)
		s.at8(7)
		s.advance(8 + s.at8(0)*4)
		s.deeper(typ)
	case 2152:
		flags := s.at8(0)
		s.must(s.set&TunnelGTPU != 0 && flags/16 == 3 && s.at8(1) == 255)
		n := s.at16(2)
		s.advance(8)
		s.endAt(n)
		if flags&7 != 0 {
			next := s.at8(3)
			s.advance(4)
			for headers := 0; flags&4 != 0 && next != 0; headers++ {
				n := s.at8(0) * 4
				s.must(headers < 8 && n > 0)
				next = s.at8(n - 1)
				s.advance(n)
			}
		}
		s.deeper(0)
	default:
		s.must(false)
	}
}

func (s *slowTunnels) tcp(first bool) {
	s.at8(19)
	header := s.at8(12) / 16 * 4
	s.payload = s.end - s.at - header
	s.unknown = first || header < 20 || s.payload < 0 || s.open && s.payload > 0xffff
	if s.unknown {
		s.payload = 0
	}
}

// checkSlowly holds a decode of an Ethernet frame against that of slowTunnels, and reports whether there is a segment.
func checkSlowly(t *testing.T, b []byte, wire uint32, set Tunnels) bool {
	t.Helper()
	var seg, plain Segment
	why := Decoder{set}.Frame(LinkEthernet, b, wire, &seg)
	if int(why) >= NumReasons {
		t.Fatalf("% x: reason %d", b, why)
	}
	if without := Frame(LinkEthernet, b, wire, &plain); without == OK && (why != OK || seg != plain) {
		t.Fatalf("% x: %v %+v, without tunnels %+v", b, why, seg, plain)
	}
	s := slowTunnels{b: b, set: set, end: max(int(wire), len(b)), have: len(b)}
	ok := s.segment()
	if s.uncovered {
		return false
	}
	if ok != (why == OK) || ok && (int(seg.Len) != s.payload || s.unknown != (seg.Flags&LenUnknown != 0)) {
		t.Fatalf("% x, %d bytes, %v: %v, %d bytes (%b); want %v, %d (%v)", b, wire, set, why, seg.Len, seg.Flags, ok, s.payload, s.unknown)
	}
	return ok
}

func FuzzTunnel(f *testing.F) {
	for _, frame := range tunnelFrames {
		f.Add(uint8(LinkEthernet), frame.frame, uint32(len(frame.frame)), uint8(allTunnels))
		f.Add(uint8(LinkRaw), frame.frame[14:], uint32(1500), uint8(frame.set))
	}
	// The type that GRE has for an Ethernet frame, in a frame's own header: no tunnel.
	f.Add(uint8(LinkEthernet), []byte("000000000000eX000000000000\b\x00E00000 \x000\x06000000000000000000000000000000"), uint32(192), uint8(allTunnels))
	f.Fuzz(func(t *testing.T, link uint8, b []byte, wire uint32, set uint8) {
		wire %= 1 << 18
		if Link(link) == LinkEthernet {
			checkSlowly(t, b, wire, Tunnels(set)&allTunnels)
			return
		}
		var seg, again Segment
		why := Decoder{Tunnels(set)}.Frame(Link(link), b, wire, &seg)
		if int(why) >= NumReasons {
			t.Fatalf("reason %d", why)
		}
		again.leave(b, wire, OverIPv6) // what was there before does not matter
		if other := (Decoder{Tunnels(set)}).Frame(Link(link), b, wire, &again); other != why || why == OK && again != seg {
			t.Fatalf("%v %+v, and then %v %+v", why, seg, other, again)
		}
	})
}
