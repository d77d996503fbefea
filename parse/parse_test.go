package parse

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

var (
	client  = netip.MustParseAddrPort("192.0.2.1:40000")
	server  = netip.MustParseAddrPort("198.51.100.7:443")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:443")
)

func data(payload int) packet.TCP {
	return packet.TCP{Src: client, Dst: server, Seq: 1000, Ack: 2000, Flags: packet.ACK | packet.PSH, Window: 512, Payload: payload}
}

func v6(payload int) packet.TCP {
	p := data(payload)
	p.Src, p.Dst = client6, server6
	return p
}

// patch returns b with the bytes from off on replaced.
func patch(b []byte, off int, with ...byte) []byte {
	copy(b[off:], with)
	return b
}

func cat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// ext puts an extension header between the IPv6 header and TCP.
func ext(p packet.TCP, kind byte, header ...byte) []byte {
	b := p.IP()
	header[0] = 6
	out := cat(b[:40], header, b[40:])
	out[6] = kind
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}

func TestFrame(t *testing.T) {
	eth := func(typ uint16, rest []byte) []byte {
		return cat(make([]byte, 12), []byte{byte(typ >> 8), byte(typ)}, rest)
	}
	for _, tc := range []struct {
		name     string
		link     Link
		b        []byte
		wireLen  uint32 // 0: all of b
		want     Reason
		len      uint32
		unknown  bool // LenUnknown
		fragment bool // Fragmented
	}{
		{name: "data over Ethernet", link: LinkEthernet, b: data(100).Ethernet(), len: 100},
		{name: "empty ACK padded to the Ethernet minimum", link: LinkEthernet, b: cat(data(0).Ethernet(), make([]byte, 6))},
		{name: "one VLAN tag", link: LinkEthernet, b: data(7).Ethernet(0x81000005), len: 7},
		{name: "QinQ", link: LinkEthernet, b: data(7).Ethernet(0x88a80005, 0x81000006), len: 7},
		{name: "eight VLAN tags", link: LinkEthernet, b: data(7).Ethernet(0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001), len: 7},
		{name: "a VLAN stack without end", link: LinkEthernet, b: data(7).Ethernet(0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001, 0x81000001), want: BadLinkHeader},
		{name: "cut in a VLAN tag", link: LinkEthernet, b: data(7).Ethernet(0x81000005)[:16], want: Truncated},
		{name: "PPPoE session", link: LinkEthernet, b: eth(0x8864, cat([]byte{0x11, 0, 0, 1, 0, 49, 0x00, 0x21}, data(7).IP())), len: 7},
		{name: "PPPoE with Ethernet padding behind it", link: LinkEthernet, b: eth(0x8864, cat([]byte{0x11, 0, 0, 1, 0, 42, 0x00, 0x21}, patch(data(0).IP(), 2, 0, 200), make([]byte, 20)))},
		{name: "PPPoE with LCP", link: LinkEthernet, b: eth(0x8864, []byte{0x11, 0, 0, 1, 0, 4, 0xc0, 0x21, 1, 1}), want: NotIP},
		{name: "PPPoE of one byte", link: LinkEthernet, b: eth(0x8864, cat([]byte{0x11, 0, 0, 1, 0, 1, 0x00, 0x21}, data(7).IP())), want: Truncated},
		{name: "two MPLS labels", link: LinkEthernet, b: eth(0x8847, cat([]byte{0, 1, 0, 64, 0, 1, 1, 64}, data(7).IP())), len: 7},
		{name: "ARP", link: LinkEthernet, b: eth(0x0806, make([]byte, 28)), want: NotIP},
		{name: "raw IPv4", link: LinkRaw, b: data(3).IP(), len: 3},
		{name: "raw IPv6", link: LinkRaw, b: v6(3).IP(), len: 3},
		{name: "raw nonsense", link: LinkRaw, b: []byte{0x10, 0, 0, 0}, want: NotIP},
		{name: "nothing at all", link: LinkRaw, want: Truncated},
		{name: "cooked v1", link: LinkSLL, b: cat(make([]byte, 14), []byte{8, 0}, data(3).IP()), len: 3},
		{name: "cooked v2", link: LinkSLL2, b: cat([]byte{8, 0}, make([]byte, 18), data(3).IP()), len: 3},
		{name: "BSD loopback", link: LinkNull, b: cat([]byte{2, 0, 0, 0}, data(3).IP()), len: 3},
		{name: "PPP with address and control", link: LinkPPP, b: cat([]byte{0xff, 3, 0, 0x21}, data(3).IP()), len: 3},
		{name: "PPP with its protocol in one byte", link: LinkPPP, b: cat([]byte{0x21}, data(3).IP()), len: 3},
		{name: "a link type that is not decoded", link: LinkUnknown, b: data(3).Ethernet(), want: UnknownLink},

		{name: "IP options", link: LinkRaw, b: func() []byte { p := data(9); p.IPOptions = make([]byte, 12); return p.IP() }(), len: 9},
		{name: "IHL 4", link: LinkRaw, b: patch(data(9).IP(), 0, 0x44), want: BadIPHeader},
		{name: "version 5 behind an IPv4 EtherType", link: LinkEthernet, b: patch(data(9).Ethernet(), 14, 0x55), want: BadIPHeader},
		{name: "UDP", link: LinkRaw, b: patch(data(9).IP(), 9, 17), want: UDP},
		{name: "ICMP", link: LinkRaw, b: patch(data(9).IP(), 9, 1), want: ICMP},
		{name: "GRE", link: LinkRaw, b: patch(data(9).IP(), 9, 47), want: GRE},
		{name: "IP in IP", link: LinkRaw, b: patch(data(9).IP(), 9, 4), want: IPIP},
		{name: "6in4", link: LinkRaw, b: patch(data(9).IP(), 9, 41), want: IPv6InIP},
		{name: "ESP", link: LinkRaw, b: patch(data(9).IP(), 9, 50), want: ESP},
		{name: "OSPF", link: LinkRaw, b: patch(data(9).IP(), 9, 89), want: NotTCP},
		{name: "total length 0: a super-packet", link: LinkRaw, b: patch(data(1000).IP(), 2, 0, 0), len: 1000},
		{name: "total length 0 and cut: the wire length counts", link: LinkRaw, b: patch(data(50).IP(), 2, 0, 0), wireLen: 100_040, len: 100_000},
		{name: "total length beyond the wire", link: LinkRaw, b: patch(data(50).IP(), 2, 0xff, 0), len: 50},
		{name: "total length too short for TCP", link: LinkRaw, b: patch(data(50).IP(), 2, 0, 39), want: BadIPHeader},
		{name: "cut by the snap length: the IP length counts", link: LinkRaw, b: data(1400).IP()[:40], wireLen: 1440, len: 1400},
		{name: "the first of several fragments", link: LinkRaw, b: patch(data(9).IP(), 6, 0x20, 0), unknown: true, fragment: true},
		{name: "a later fragment", link: LinkRaw, b: patch(data(9).IP(), 6, 0, 1), want: Fragment},
		{name: "don't fragment", link: LinkRaw, b: patch(data(9).IP(), 6, 0x40, 0), len: 9},
		{name: "data offset 4", link: LinkRaw, b: patch(data(9).IP(), 32, 0x40), unknown: true},
		{name: "data offset beyond the segment", link: LinkRaw, b: patch(data(9).IP(), 32, 0xf0), unknown: true},
		{name: "cut in the TCP header", link: LinkRaw, b: data(9).IP()[:39], wireLen: 49, want: Truncated},

		{name: "IPv6 over Ethernet", link: LinkEthernet, b: v6(9).Ethernet(), len: 9},
		{name: "IPv6 hop-by-hop options", link: LinkRaw, b: ext(v6(9), 0, make([]byte, 8)...), len: 9},
		{name: "IPv6 authentication header", link: LinkRaw, b: ext(v6(9), 51, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), len: 9},
		{name: "IPv6 whole in one fragment", link: LinkRaw, b: ext(v6(9), 44, make([]byte, 8)...), len: 9},
		{name: "IPv6 first fragment", link: LinkRaw, b: ext(v6(9), 44, 0, 0, 0, 1, 0, 0, 0, 0), unknown: true, fragment: true},
		{name: "IPv6 later fragment", link: LinkRaw, b: ext(v6(9), 44, 0, 0, 0, 8, 0, 0, 0, 0), want: Fragment},
		{name: "IPv6 extension longer than the packet", link: LinkRaw, b: ext(v6(9), 60, 0, 200, 0, 0, 0, 0, 0, 0), want: BadIPHeader},
		{name: "IPv6 payload length 0", link: LinkRaw, b: patch(v6(9).IP(), 4, 0, 0), len: 9},
		{name: "IPv6 UDP", link: LinkRaw, b: patch(v6(9).IP(), 6, 17), want: UDP},
		{name: "ICMPv6", link: LinkRaw, b: patch(v6(9).IP(), 6, 58), want: ICMP},
		{name: "IPv6, ESP", link: LinkRaw, b: patch(v6(9).IP(), 6, 50), want: ESP},
		{name: "IPv6, no next header", link: LinkRaw, b: patch(v6(9).IP(), 6, 59), want: NotTCP},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.wireLen == 0 {
				tc.wireLen = uint32(len(tc.b))
			}
			var seg Segment
			got := Frame(tc.link, tc.b, tc.wireLen, &seg)
			if got != tc.want {
				t.Fatalf("reason %v, want %v", got, tc.want)
			}
			var long Segment
			if got := anyFrame(tc.link, tc.b, tc.wireLen, &long); got != tc.want || got == OK && long != seg {
				t.Fatalf("layer by layer: reason %v, want %v, segment\n%+v, want\n%+v", got, tc.want, long, seg)
			}
			if got != OK {
				return
			}
			if unknown := seg.Flags&LenUnknown != 0; unknown != tc.unknown || seg.Len != tc.len {
				t.Errorf("length %d (unknown: %v), want %d (%v)", seg.Len, unknown, tc.len, tc.unknown)
			}
			want := Segment{
				Flow: FlowOf(AddrFrom(client.Addr()), AddrFrom(server.Addr()), 40000, 443),
				Seq:  1000, Ack: 2000, Len: tc.len, WireLen: tc.wireLen, Window: 512, Flags: ACK | PSH,
			}
			if tc.unknown {
				want.Flags |= LenUnknown
			}
			if tc.fragment {
				want.Flags |= Fragmented
			}
			if seg.Flags&OverIPv6 != 0 {
				want.Flow = FlowOf(AddrFrom(client6.Addr()), AddrFrom(server6.Addr()), 40000, 443)
				want.Flags |= OverIPv6
			}
			if seg != want {
				t.Errorf("segment\n%+v, want\n%+v", seg, want)
			}
		})
	}
}

func TestSynOptions(t *testing.T) {
	for _, tc := range []struct {
		name    string
		flags   uint8
		options []byte
		wscale  int8
		mss     uint16
	}{
		{"MSS, NOP and window scale", packet.SYN, []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 7}, 7, 1460},
		{"none", packet.SYN, nil, NoWScale, 0},
		{"window scale behind timestamps and SACK", packet.SYN, []byte{4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 9}, 9, 0},
		{"a shift above 14 counts as 14", packet.SYN, []byte{3, 3, 200, 0}, 14, 0},
		{"an option of length 0 ends the walk", packet.SYN, []byte{9, 0, 3, 3, 5, 1, 1, 1}, NoWScale, 0},
		{"an option longer than the header ends the walk", packet.SYN, []byte{9, 40, 3, 3}, NoWScale, 0},
		{"end of options", packet.SYN, []byte{0, 3, 3, 5}, NoWScale, 0},
		{"an option of the wrong length is passed over", packet.SYN, []byte{3, 4, 5, 5, 3, 3, 6, 0}, 6, 0},
		{"not read without SYN", packet.ACK, []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 7}, NoWScale, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := data(0)
			p.Flags, p.Options = tc.flags, tc.options
			var seg Segment
			b := p.IP()
			if why := Frame(LinkRaw, b, uint32(len(b)), &seg); why != OK {
				t.Fatal(why)
			}
			if seg.Options != SYNOptions(tc.mss, tc.wscale) || seg.Options.WScale() != tc.wscale || seg.Options.MSS() != tc.mss {
				t.Errorf("window scale %d, MSS %d; want %d, %d", seg.Options.WScale(), seg.Options.MSS(), tc.wscale, tc.mss)
			}
		})
	}
}

// What tells when a segment was sent: its timestamp, whole over IPv6 and half over IPv4, and the identification.
func TestWhatTellsWhenASegmentWasSent(t *testing.T) {
	stamp := []byte{1, 1, 8, 10, 0x81, 2, 3, 4, 5, 6, 7, 8}
	for _, tc := range []struct {
		name    string
		flags   uint8
		options []byte
		cut     int // bytes missing at the end of the capture
		want    uint32
		flagged bool
	}{
		{"alone", packet.ACK, stamp, 0, 0x81020304, true},
		{"before SACK", packet.ACK, append(stamp[:12:12], 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2), 0, 0x81020304, true},
		{"of a FIN", packet.FIN | packet.ACK, stamp, 0, 0x81020304, true},
		{"zero", packet.ACK, []byte{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, true},
		{"not read of a SYN", packet.SYN, stamp, 0, 0, false},
		{"other options", packet.ACK, []byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, 0, 0, false},
		{"too short an option", packet.ACK, []byte{1, 1, 8, 6, 0, 0, 0, 1}, 0, 0, false},
		{"cut off", packet.ACK, stamp, 1, 0, false},
		{"none", packet.ACK, nil, 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, ipv6 := range []bool{false, true} {
				p, want := data(0), Options(tc.want)
				p.Flags, p.Options, p.ID = tc.flags, tc.options, 0x7788
				switch {
				case ipv6:
					p.Src, p.Dst = netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")
				case tc.flags&packet.SYN == 0:
					want = want&0xffff | 0x77880000
				}
				b := p.Ethernet()
				whole := uint32(len(b))
				b = b[:len(b)-tc.cut]
				var seg, long Segment
				if why := Frame(LinkEthernet, b, whole, &seg); why != OK {
					t.Fatal(why)
				}
				if why := anyFrame(LinkEthernet, b, whole, &long); why != OK || long != seg {
					t.Errorf("layer by layer: %v, %+v, want %+v", why, long, seg)
				}
				if flagged := seg.Flags&Timestamped != 0; flagged != tc.flagged || seg.Options != want {
					t.Errorf("IPv6 %v: %#x, with a timestamp: %v; want %#x, %v", ipv6, uint32(seg.Options), flagged, uint32(want), tc.flagged)
				}
			}
		})
	}
}

func TestWhichSegmentWasSentLater(t *testing.T) {
	type sent struct {
		id    uint16
		tsval uint32
	}
	for _, tc := range []struct {
		name             string
		earlier, later   sent
		ticked, numbered [2]bool // over IPv4 and IPv6
	}{
		{"the same", sent{7, 9}, sent{7, 9}, [2]bool{}, [2]bool{}},
		{"the next tick, the next packet", sent{7, 9}, sent{8, 10}, [2]bool{true, true}, [2]bool{true}},
		{"the tick and the packet before", sent{7, 9}, sent{6, 8}, [2]bool{}, [2]bool{}},
		{"where both wrap", sent{0xffff, 1<<32 - 1}, sent{1, 0}, [2]bool{true, true}, [2]bool{true}},
		{"where the lower half wraps", sent{1, 0x1ffff}, sent{513, 0x20000}, [2]bool{true, true}, [2]bool{true}},
		{"too many packets later", sent{1, 5}, sent{514, 5}, [2]bool{}, [2]bool{}},
		{"too many ticks later for half of them", sent{5, 5}, sent{5, 5 + 1<<15}, [2]bool{false, true}, [2]bool{}},
		{"no number before", sent{0, 5}, sent{1, 5}, [2]bool{}, [2]bool{}},
		{"no number after", sent{0xffff, 5}, sent{0, 5}, [2]bool{}, [2]bool{}},
	} {
		for i, ipv6 := range []bool{false, true} {
			of := func(s sent) Options {
				if ipv6 {
					return Options(s.tsval)
				}
				return SentOptions(s.id, s.tsval)
			}
			seg := Segment{Options: of(tc.later), Flags: ACK | Timestamped}
			if ipv6 {
				seg.Flags |= OverIPv6
			}
			if ticked, numbered := seg.TickedSince(of(tc.earlier)), seg.NumberedSince(of(tc.earlier)); ticked != tc.ticked[i] || numbered != tc.numbered[i] {
				t.Errorf("%s, IPv6 %v: ticked %v, numbered %v; want %v, %v", tc.name, ipv6, ticked, numbered, tc.ticked[i], tc.numbered[i])
			}
		}
	}
}

// A frame cut anywhere is either refused or, once all of the TCP header is there, read as before.
func TestEveryCut(t *testing.T) {
	syn := data(20)
	syn.Flags, syn.Options = packet.SYN, []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 7}
	for name, b := range map[string][]byte{
		"Ethernet": syn.Ethernet(), "VLAN": syn.Ethernet(0x81000005), "IPv6": v6(20).Ethernet(),
		"hop-by-hop": cat(make([]byte, 12), []byte{0x86, 0xdd}, ext(v6(20), 0, make([]byte, 8)...)),
	} {
		var whole Segment
		if why := Frame(LinkEthernet, b, uint32(len(b)), &whole); why != OK {
			t.Fatalf("%s: %v", name, why)
		}
		for n := range len(b) {
			var seg Segment
			why := Frame(LinkEthernet, b[:n:n], uint32(len(b)), &seg)
			if why != OK && why != Truncated {
				t.Errorf("%s cut at %d: %v", name, n, why)
			}
			if why == OK {
				// Options may be cut off. The scale is returned if it was not.
				if got, all := seg.Options.WScale(), whole.Options.WScale(); got != all && got != CutWScale {
					t.Errorf("%s cut at %d: window scale %d, want %d or %d", name, n, got, all, CutWScale)
				}
				seg.Options = whole.Options
				if seg != whole {
					t.Errorf("%s cut at %d:\n%+v, want\n%+v", name, n, seg, whole)
				}
			}
		}
	}
}

// Where the list of options ends before the cut, what is missing is no option.
func TestCutBehindTheEndOfOptions(t *testing.T) {
	syn := data(0)
	syn.Flags, syn.Options = packet.SYN, []byte{2, 4, 0x05, 0xb4, 0, 0, 0, 0}
	b := syn.Ethernet()
	for cut, want := range map[int]int8{1: NoWScale, 3: NoWScale, 4: CutWScale, 8: CutWScale} {
		var seg Segment
		if why := Frame(LinkEthernet, b[:len(b)-cut], uint32(len(b)), &seg); why != OK || seg.Options.WScale() != want {
			t.Errorf("cut by %d: %v, window scale %d, want %d", cut, why, seg.Options.WScale(), want)
		}
	}
}

func TestSeqWraps(t *testing.T) {
	for _, tc := range []struct {
		a, b   Seq
		before bool
	}{{1, 2, true}, {2, 1, false}, {5, 5, false}, {0xffffffff, 0, true}, {0, 0xffffffff, false}, {0x7fffffff, 0xfffffffe, true}} {
		if got := tc.a.Before(tc.b); got != tc.before {
			t.Errorf("%d before %d: %v", tc.a, tc.b, got)
		}
		if got := tc.b.After(tc.a); got != tc.before {
			t.Errorf("%d after %d: %v", tc.b, tc.a, got)
		}
	}
	if got := Seq(0xfffffffe).Add(4); got != 2 {
		t.Errorf("0xfffffffe + 4 = %d", got)
	}
}

func TestLinkMaps(t *testing.T) {
	for hatype, want := range map[uint16]Link{1: LinkEthernet, 772: LinkEthernet, 0xfffe: LinkRaw, 512: LinkRaw, 280: LinkUnknown} {
		if got := LinkFromARPHRD(hatype); got != want {
			t.Errorf("ARPHRD %d: link %d, want %d", hatype, got, want)
		}
	}
	for dlt, want := range map[uint32]Link{1: LinkEthernet, 101: LinkRaw, 12: LinkRaw, 113: LinkSLL, 276: LinkSLL2, 0: LinkNull, 9: LinkPPP, 147: LinkUnknown} {
		if got := LinkFromDLT(dlt); got != want {
			t.Errorf("link type %d: link %d, want %d", dlt, got, want)
		}
	}
}

func TestReasonNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range Reason(NumReasons) {
		if s := r.String(); s == "" || s == "invalid" || seen[s] {
			t.Errorf("reason %d is named %q", r, s)
		} else {
			seen[s] = true
		}
	}
}

func TestAddr(t *testing.T) {
	for _, s := range []string{"192.0.2.1", "2001:db8::1", "0.0.0.0", "::", "255.255.255.255"} {
		a := AddrFrom(netip.MustParseAddr(s))
		if got := a.Netip().String(); got != s {
			t.Errorf("%s comes back as %s", s, got)
		}
		if a.Is4() != netip.MustParseAddr(s).Is4() {
			t.Errorf("%s: Is4 is %v", s, a.Is4())
		}
	}
}

func TestNoAllocation(t *testing.T) {
	b := v6(20).Ethernet()
	bad := data(20).Ethernet()[:40]
	var seg Segment
	if n := testing.AllocsPerRun(1000, func() {
		Frame(LinkEthernet, b, uint32(len(b)), &seg)
		Frame(LinkEthernet, bad, uint32(len(b)), &seg)
	}); n != 0 {
		t.Fatalf("%v allocations per frame, want 0", n)
	}
}

var sink Segment

func BenchmarkFrame(b *testing.B) {
	syn := data(0)
	syn.Flags, syn.Options = packet.SYN, []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 7}
	for name, frame := range map[string][]byte{
		"ipv4": data(1400).Ethernet()[:96], "vlan": data(1400).Ethernet(0x81000005)[:96],
		"ipv6": v6(1400).Ethernet()[:96], "syn": syn.Ethernet(),
	} {
		b.Run("kind="+name, func(b *testing.B) {
			for b.Loop() {
				Frame(LinkEthernet, frame, 1460, &sink)
			}
		})
	}
}
