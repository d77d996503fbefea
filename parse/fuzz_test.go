package parse

import (
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/internal/recorded"
)

// slowFrame decodes an Ethernet frame field by field with no thought of speed, checking each byte
// as it goes: the oracle of FuzzFrame. It covers Ethernet, VLAN tags and IPv4.
func slowFrame(b []byte, wire int) (why Reason, payload int, unknown bool) {
	byteAt := func(i int) (int, bool) {
		if i < 0 || i >= len(b) {
			return 0, false
		}
		return int(b[i]), true
	}
	word := func(i int) (int, bool) {
		hi, ok := byteAt(i)
		lo, ok2 := byteAt(i + 1)
		return hi*256 + lo, ok && ok2
	}
	at := 12
	for tags := 0; ; tags++ {
		typ, ok := word(at)
		if !ok {
			return Truncated, 0, false
		}
		at += 2
		if typ == 0x0800 {
			break
		}
		if typ != 0x8100 && typ != 0x88a8 && typ != 0x9100 {
			return UnknownLink, 0, false // not covered here
		}
		if tags == 8 {
			return BadLinkHeader, 0, false
		}
		if _, ok := word(at + 2); !ok {
			return Truncated, 0, false
		}
		at += 2
	}
	if _, ok := byteAt(at + 19); !ok {
		return Truncated, 0, false
	}
	first, _ := byteAt(at)
	ihl := first % 16 * 4
	if first/16 != 4 || ihl < 20 {
		return BadIPHeader, 0, false
	}
	if protocol, _ := byteAt(at + 9); protocol != 6 {
		why, common := slowReasons[protocol]
		if !common {
			why = NotTCP
		}
		return why, 0, false
	}
	frag, _ := word(at + 6)
	if frag%0x2000 != 0 {
		return Fragment, 0, false
	}
	total, _ := word(at + 2)
	if total == 0 || total > wire-at {
		total = wire - at
	}
	if total < ihl+20 {
		return BadIPHeader, 0, false
	}
	if _, ok := byteAt(at + ihl + 19); !ok {
		return Truncated, 0, false
	}
	off, _ := byteAt(at + ihl + 12)
	off = off / 16 * 4
	if frag&0x2000 != 0 || off < 20 || off > total-ihl {
		return OK, 0, true
	}
	return OK, total - ihl - off, false
}

// slowReasons holds the reasons for packets of other protocols that have one of their own, by IANA's protocol numbers.
var slowReasons = map[int]Reason{1: ICMP, 4: IPIP, 17: UDP, 41: IPv6InIP, 47: GRE, 50: ESP, 58: ICMP}

func FuzzFrame(f *testing.F) {
	syn := data(0)
	syn.Flags, syn.Options = packet.SYN, []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 7}
	for _, b := range [][]byte{data(10).Ethernet(), syn.Ethernet(), data(3).Ethernet(0x81000001), data(3).Ethernet(0x88a80001, 0x81000002), v6(5).Ethernet(), data(9).IP(), ext(v6(9), 0, make([]byte, 8)...)} {
		f.Add(uint8(LinkEthernet), b, uint32(len(b)))
		f.Add(uint8(LinkRaw), b, uint32(1500))
	}
	for _, r := range recorded.Frames(recorded.Ethernet) {
		f.Add(uint8(LinkEthernet), r.Data, r.WireLen)
		f.Add(uint8(LinkRaw), r.Data[14:], r.WireLen-14)
	}
	for _, r := range recorded.Frames(recorded.Cooked) {
		f.Add(uint8(LinkSLL), r.Data, r.WireLen)
	}
	for protocol := range 256 {
		b := data(9).Ethernet()
		b[14+9] = byte(protocol)
		f.Add(uint8(LinkEthernet), b, uint32(len(b)))
	}
	f.Fuzz(func(t *testing.T, link uint8, b []byte, wire uint32) {
		var seg Segment
		why := Frame(Link(link), b, wire, &seg)
		if int(why) >= NumReasons {
			t.Fatalf("reason %d", why)
		}
		var long Segment
		if other := anyFrame(Link(link), b, wire, &long); other != why || why == OK && long != seg {
			t.Fatalf("%v %+v; layer by layer %v %+v", why, seg, other, long)
		}
		if v := FrameVLANs(Link(link), b, 0); v.Count() > 2 || v.Count() > 0 != (v.Outer() != 0) || v.Count() > 1 != (v.Inner() != 0) {
			t.Fatalf("VLANs %#x", v)
		}
		if why == OK && seg.Len > max(wire, uint32(len(b))) {
			t.Fatalf("payload of %d bytes in a frame of %d", seg.Len, wire)
		}
		if Link(link) != LinkEthernet {
			return
		}
		want, payload, unknown := slowFrame(b, int(max(wire, uint32(len(b)))))
		if want == UnknownLink {
			return
		}
		if why != want || why == OK && (int(seg.Len) != payload || (seg.Flags&LenUnknown != 0) != unknown) {
			t.Fatalf("%v, %d bytes (%b); want %v, %d (%v)", why, seg.Len, seg.Flags, want, payload, unknown)
		}
	})
}
