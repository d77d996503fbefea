package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

const allTunnels = Tunnels(1<<7 - 1)

// ipEth returns an Ethernet frame with an IP packet.
func ipEth(ip []byte, tags ...uint32) []byte {
	return packet.InEthernet(packet.TypeOf(ip), ip, tags...)
}

// fragment makes an IPv4 packet a fragment, by its flags and offset.
func fragment(ip []byte, field uint16) []byte {
	binary.BigEndian.PutUint16(ip[6:], field)
	return ip
}

// fragment6 puts a fragment header between an IPv6 header and what follows.
func fragment6(next byte, field uint16, payload []byte) []byte {
	return packet.InIPv6(extFragment, cat([]byte{next, 0, byte(field >> 8), byte(field), 0, 0, 0, 1}, payload))
}

// tunnelFrames are frames with a segment in a tunnel.
var tunnelFrames = func() []tunnelFrame {
	inner, inner6 := data(100).IP(), v6(100).IP()
	frame, frame6 := data(100).Ethernet(), v6(100).Ethernet(0x81000005)
	v4, six := packet.InIPv4, packet.InIPv6
	nested := v4(packet.ProtoIPv4, v4(packet.ProtoIPv4, v4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, v4(packet.ProtoIPv4, inner)))))
	return []tunnelFrame{
		{"GRE, IPv4", TunnelGRE, ipEth(v4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, inner))), GRE},
		{"GRE, IPv6", TunnelGRE, ipEth(v4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv6, inner6))), GRE},
		{"GRE, a frame", TunnelGRE, ipEth(v4(packet.ProtoGRE, packet.InGRE(0, packet.TypeBridged, frame))), GRE},
		{"GRE with a checksum", TunnelGRE, ipEth(v4(packet.ProtoGRE, packet.InGRE(packet.GREChecksum, packet.TypeIPv4, inner))), GRE},
		{"GRE with all fields, over IPv6", TunnelGRE, ipEth(six(packet.ProtoGRE, packet.InGRE(packet.GREChecksum|packet.GREKey|packet.GRESequence, packet.TypeBridged, frame6))), GRE},
		{"ERSPAN type I", TunnelERSPAN, ipEth(v4(packet.ProtoGRE, packet.InGRE(0, packet.TypeERSPAN, frame))), GRE},
		{"ERSPAN type II", TunnelERSPAN, ipEth(v4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, frame6)))), GRE},
		{"ERSPAN type III", TunnelERSPAN, ipEth(v4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN3, packet.InERSPAN3(false, false, false, frame)))), GRE},
		{"ERSPAN type III with a subheader", TunnelERSPAN, ipEth(six(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN3, packet.InERSPAN3(false, true, false, frame)))), GRE},
		{"ERSPAN type III, an IP packet", TunnelERSPAN, ipEth(v4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN3, packet.InERSPAN3(false, true, true, inner6)))), GRE},
		{"IPIP", TunnelIPIP, ipEth(v4(packet.ProtoIPv4, inner)), IPIP},
		{"IPv4 in IPv6", TunnelIPIP, ipEth(six(packet.ProtoIPv4, inner)), IPIP},
		{"IPv4 in IPv6, as sit", TunnelSIT, ipEth(six(packet.ProtoIPv4, inner)), IPIP},
		{"6in4", TunnelSIT, ipEth(v4(packet.ProtoIPv6, inner6)), IPv6InIP},
		{"IPv6 in IPv6", TunnelSIT, ipEth(six(packet.ProtoIPv6, inner6)), IPv6InIP},
		{"IPv6 in IPv6 with a limit", TunnelSIT, ipEth(six(extDestination, cat([]byte{packet.ProtoIPv6, 0, 4, 1, 4, 1, 1, 0}, inner6))), IPv6InIP},
		{"VXLAN", TunnelVXLAN, ipEth(v4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(frame)))), UDP},
		{"VXLAN behind tags", TunnelVXLAN, ipEth(v4(packet.ProtoUDP, packet.InUDP(8472, packet.InVXLAN(frame6))), 0x88a80001, 0x81000002), UDP},
		{"VXLAN over IPv6", TunnelVXLAN, ipEth(six(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(frame)))), UDP},
		{"GENEVE", TunnelGENEVE, ipEth(v4(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeBridged, 0, frame)))), UDP},
		{"GENEVE, all options", TunnelGENEVE, ipEth(six(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeIPv6, 252, inner6)))), UDP},
		{"GENEVE, IPv4", TunnelGENEVE, ipEth(v4(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeIPv4, 8, inner)))), UDP},
		{"GTP-U", TunnelGTPU, ipEth(v4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 0, inner)))), UDP},
		{"GTP-U, a sequence number", TunnelGTPU, ipEth(v4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(packet.GTPSequence, 0, inner6)))), UDP},
		{"GTP-U, extension headers", TunnelGTPU, ipEth(six(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 8, inner)))), UDP},
		{"four within one another", TunnelIPIP | TunnelGRE, ipEth(nested), IPIP},
	}
}()

type tunnelFrame struct {
	name  string
	set   Tunnels
	frame []byte
	plain Reason // without a tunnel
}

// want returns what the segment inside is, with so many bytes of payload.
func (f tunnelFrame) check(t *testing.T, seg *Segment, payload uint32) {
	t.Helper()
	src, dst, srcPort, dstPort := seg.Endpoints(int(seg.Dir()))
	wantSrc, wantDst := client.Addr(), server.Addr()
	if seg.Flags&OverIPv6 != 0 {
		wantSrc, wantDst = client6.Addr(), server6.Addr()
	}
	if src.Netip() != wantSrc || dst.Netip() != wantDst || srcPort != 40000 || dstPort != 443 || seg.Seq != 1000 ||
		seg.Ack != 2000 || seg.Window != 512 || seg.Flags&^OverIPv6 != ACK|PSH {
		t.Fatalf("%v:%d > %v:%d, %+v", src.Netip(), srcPort, dst.Netip(), dstPort, seg)
	}
	if seg.Len != payload {
		t.Fatalf("%d bytes of payload, want %d", seg.Len, payload)
	}
}

// Each is decoded if its tunnel is on and not otherwise, at every cut of the captured bytes with the right length or
// not at all, and at every cut of the frame with the bytes that are left.
func TestTunnels(t *testing.T) {
	for _, f := range tunnelFrames {
		t.Run(f.name, func(t *testing.T) {
			wire := uint32(len(f.frame))
			var seg Segment
			for _, set := range []Tunnels{f.set, allTunnels} {
				if why := (Decoder{set}).Frame(LinkEthernet, f.frame, wire, &seg); why != OK {
					t.Fatalf("%v: %v", set, why)
				}
				f.check(t, &seg, 100)
				if seg.WireLen != wire {
					t.Errorf("%d bytes on the wire, want %d", seg.WireLen, wire)
				}
			}
			if f.plain == IPIP && f.frame[14]>>4 == 6 {
				f.set |= TunnelIPIP | TunnelSIT
			}
			others := allTunnels &^ f.set
			for _, set := range []Tunnels{0, others} {
				if why := (Decoder{set}).Frame(LinkEthernet, f.frame, wire, &seg); why != f.plain {
					t.Errorf("%v: %v, want %v", set, why, f.plain)
				}
			}
			d, needed := Decoder{allTunnels}, len(f.frame)-100
			for n := range f.frame {
				cut := f.frame[:n:n]
				why := d.Frame(LinkEthernet, cut, wire, &seg)
				if ok := n >= needed; ok != (why == OK) || !ok && why != Truncated {
					t.Fatalf("%d of %d bytes captured: %v", n, wire, why)
				}
				if why == OK {
					f.check(t, &seg, 100)
				}
				why = d.Frame(LinkEthernet, cut, uint32(n), &seg)
				if ok := n >= needed; ok != (why == OK) {
					t.Fatalf("%d of %d bytes there: %v", n, wire, why)
				}
				if why == OK {
					f.check(t, &seg, uint32(n-needed))
				}
			}
			for _, link := range []struct {
				link Link
				b    []byte
			}{{LinkRaw, f.frame[14:]}, {LinkSLL, cat(make([]byte, 14), f.frame[12:])}} {
				if link.link == LinkRaw && len(f.frame) > 17 && binary.BigEndian.Uint16(f.frame[12:]) == etherQinQ {
					continue
				}
				if why := d.Frame(link.link, link.b, 0, &seg); why != OK {
					t.Fatalf("link %d: %v", link.link, why)
				}
				f.check(t, &seg, 100)
			}
		})
	}
}

// What is no tunnel has the reason of its protocol, and what contradicts itself one of its own.
func TestNoTunnels(t *testing.T) {
	inner, frame := data(100).IP(), data(100).Ethernet()
	v4 := packet.InIPv4
	udp := func(port uint16, payload []byte) []byte { return v4(packet.ProtoUDP, packet.InUDP(port, payload)) }
	gre := func(flags, typ uint16, payload []byte) []byte {
		return v4(packet.ProtoGRE, packet.InGRE(flags, typ, payload))
	}
	many := inner
	for range MaxTunnels + 1 {
		many = v4(packet.ProtoIPv4, many)
	}
	with := func(b []byte, at int, value ...byte) []byte { return patch(bytes.Clone(b), at, value...) }
	const ip, udpAt, geneve, erspan = 0, 20, 28, 28
	vxlan, geneveIP, gtpu := udp(4789, packet.InVXLAN(frame)), udp(6081, packet.InGENEVE(packet.TypeIPv4, 8, inner)), udp(2152, packet.InGTPU(0, 2, inner))
	erspan3 := gre(packet.GRESequence, packet.TypeERSPAN3, packet.InERSPAN3(false, false, false, frame))
	for _, c := range []struct {
		name string
		ip   []byte
		want Reason
	}{
		{"five within one another", many, BadTunnelHeader},
		{"DNS", udp(53, packet.InVXLAN(frame)), UDP},
		{"from the port of VXLAN", with(udp(53, packet.InVXLAN(frame)), udpAt, 0x12, 0xb5), UDP},
		{"VXLAN without an identifier", with(vxlan, 28, 0), UDP},
		{"VXLAN, a UDP length below its header", with(vxlan, udpAt+4, 0, 7), BadTunnelHeader},
		{"VXLAN, a UDP length without the VXLAN header", with(vxlan, udpAt+4, 0, 15), BadTunnelHeader},
		{"VXLAN, a UDP length without the TCP header", with(vxlan, udpAt+4, 0, 16+14+20+19), BadIPHeader},
		{"VXLAN, a total length within the frame's header", with(vxlan, 2, 0, 20+8+8+13), BadTunnelHeader},
		{"VXLAN, UDP ends within a tag", with(udp(4789, packet.InVXLAN(data(100).Ethernet(0x81000005))), udpAt+4, 0, 8+8+14+2), BadTunnelHeader},
		{"VXLAN, no UDP header", v4(packet.ProtoUDP, []byte{1, 2, 0x12, 0xb5}), BadTunnelHeader},
		{"VXLAN, ARP", udp(4789, packet.InVXLAN(packet.InEthernet(0x0806, make([]byte, 28)))), NotIP},
		{"VXLAN, ICMP", udp(4789, packet.InVXLAN(ipEth(v4(1, make([]byte, 8))))), ICMP},
		{"VXLAN, UDP", udp(4789, packet.InVXLAN(ipEth(udp(53, nil)))), UDP},
		{"VXLAN, a TCP fragment", udp(4789, packet.InVXLAN(ipEth(fragment(data(0).IP(), 3)))), Fragment},
		{"GENEVE version 1", with(geneveIP, geneve, 0x42), UDP},
		{"GENEVE, a control message", with(geneveIP, geneve+1, 0x80), UDP},
		{"GENEVE, a network service header", with(geneveIP, geneve+2, 0x89, 0x4f), UDP},
		{"GENEVE, options beyond the packet", with(geneveIP, geneve, 63), BadTunnelHeader},
		{"GENEVE, options beyond the datagram", with(with(geneveIP, geneve, 63), udpAt+4, 0, 100), BadTunnelHeader},
		{"GTP-U, an echo request", with(gtpu, 29, 1), UDP},
		{"GTP-U version 2", with(gtpu, 28, 0x54), UDP},
		{"GTP'", with(gtpu, 28, 0x24), UDP},
		{"GTP-U, an extension header of no length", with(gtpu, 28+12, 0), BadTunnelHeader},
		{"GTP-U, an extension header beyond its end", with(gtpu, 28+12, 255), BadTunnelHeader},
		{"GTP-U, nine extension headers", udp(2152, packet.InGTPU(0, 9, inner)), BadTunnelHeader},
		{"GTP-U, a length of nothing", with(gtpu, 30, 0, 0), BadTunnelHeader},
		{"GTP-U, no IP", udp(2152, packet.InGTPU(0, 0, make([]byte, 60))), NotIP},
		{"GRE version 1, PPTP", gre(0x2001, 0x880b, inner), GRE},
		{"GRE version 1", gre(0x0001, packet.TypeIPv4, inner), GRE},
		{"GRE with a source route", gre(0x4000, packet.TypeIPv4, inner), GRE},
		{"GRE, MPLS", gre(0, etherMPLS, cat([]byte{0, 1, 1, 64}, inner)), GRE},
		{"GRE, a header that is not whole", v4(packet.ProtoGRE, []byte{0x80, 0, 8, 0, 0}), BadTunnelHeader},
		{"GRE, a frame that ends within its tag", with(gre(0, packet.TypeBridged, data(100).Ethernet(0x81000005)), 2, 0, 20+4+14+2), BadTunnelHeader},
		{"GRE, a frame that ends within a label", with(gre(0, packet.TypeBridged, packet.InEthernet(etherMPLS, cat([]byte{0, 1, 1, 64}, inner))), 2, 0, 20+4+14+2), BadTunnelHeader},
		{"ERSPAN, version 3", with(erspan3, erspan, 0x30), GRE},
		{"ERSPAN type III in the place of type II", gre(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN3(false, false, false, frame)), GRE},
		{"ERSPAN type III, a frame of another type", with(erspan3, erspan+10, 1<<2), GRE},
		{"ERSPAN type III, a subheader beyond the packet", with(with(erspan3, erspan+11, 1), 2, 0, 20+8+12+7), BadTunnelHeader},
		{"IPIP, an IPv6 packet", v4(packet.ProtoIPv4, v6(0).IP()), BadIPHeader},
		{"IPIP, a later fragment", fragment(v4(packet.ProtoIPv4, inner), 0x0001), Fragment},
		{"VXLAN, a later fragment", fragment(bytes.Clone(vxlan), 0x2001), Fragment},
		{"IPv6 in IPv6, a later fragment", fragment6(packet.ProtoIPv6, 0x0008, v6(0).IP()), Fragment},
		{"IPIP, a total length within its own header", with(v4(packet.ProtoIPv4, inner), 2, 0, 19), BadIPHeader},
		{"IPIP, options beyond the packet", with(v4(packet.ProtoIPv4, nil), ip, 0x4f), BadIPHeader},
		{"ESP", v4(50, inner), ESP},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seg Segment
			if why := (Decoder{allTunnels}).Frame(LinkEthernet, ipEth(c.ip), 0, &seg); why != c.want {
				t.Errorf("%v, want %v: %+v", why, c.want, seg)
			}
		})
	}
	// IPv4 in IPv4 is no matter of sit.
	var seg Segment
	if why := (Decoder{TunnelSIT}).Frame(LinkEthernet, ipEth(v4(packet.ProtoIPv4, inner)), 0, &seg); why != IPIP {
		t.Errorf("IPIP with sit: %v", why)
	}
}

// The payload ends where the first of all lengths around it says.
func TestTunnelsBoundTheLength(t *testing.T) {
	inner, frame := data(100).IP(), data(100).Ethernet()
	with := func(b []byte, at int, value ...byte) []byte { return patch(bytes.Clone(b), at, value...) }
	vxlan := packet.InIPv4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(frame)))
	gtpu := packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 0, inner)))
	ipip := packet.InIPv4(packet.ProtoIPv4, inner)
	first := func(ip []byte, n int) []byte { // the first fragment, which has n bytes
		ip = fragment(bytes.Clone(ip[:n]), 0x2000)
		binary.BigEndian.PutUint16(ip[2:], uint16(n))
		return ip
	}
	mirrored := data(1000).Ethernet()[:14+20+20+8]
	const unknown = -1
	for _, c := range []struct {
		name  string
		ip    []byte
		wire  int // bytes of IP; 0: as captured
		bytes int
	}{
		{"VXLAN, UDP ends earlier", with(vxlan, 24, 0, 8+8+14+40+30), 0, 30},
		{"VXLAN, the outer packet ends earlier", with(vxlan, 2, 0, 20+8+8+14+40+20), 0, 20},
		{"VXLAN, both say more", with(with(vxlan, 2, 255, 255), 24, 255, 255), 0, 100},
		{"VXLAN, no UDP length", with(vxlan, 24, 0, 0), 0, 100},
		{"VXLAN, padding behind it", cat(vxlan, make([]byte, 50)), 0, 100},
		{"VXLAN, a super-packet without lengths", with(with(with(vxlan, 2, 0, 0), 24, 0, 0), 20+8+8+14+2, 0, 0), 100_000, 100_000 - 20 - 8 - 8 - 14 - 40},
		{"GTP-U ends earlier", with(gtpu, 30, 0, 40+10), 0, 10},
		{"GTP-U says more", with(gtpu, 30, 255, 255), 0, 100},
		{"IPIP, the outer packet ends earlier", with(ipip, 2, 0, 20+40+5), 0, 5},
		{"IPIP, a first fragment", first(ipip, 96), 0, 100},
		{"IPIP, a first fragment without an inner length", with(first(ipip, 96), 22, 0, 0), 0, unknown},
		{"VXLAN, a first fragment", first(vxlan, 104), 0, 100},
		{"VXLAN, a first fragment, UDP ends earlier", with(first(vxlan, 104), 24, 0, 8+8+14+40+30), 0, 30},
		{"IPv6 in IPv6, a first fragment", fragment6(packet.ProtoIPv6, 1, v6(100).IP()[:64]), 0, 100},
		{"ERSPAN type II, cut by the mirror", packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(true, mirrored))), 0, 1000},
		{"ERSPAN type II, cut and not said so", packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, mirrored))), 0, 8},
		{"ERSPAN type III, cut by the mirror", packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN3, packet.InERSPAN3(true, true, false, mirrored))), 0, 1000},
		{"a first fragment inside", packet.InIPv4(packet.ProtoIPv4, fragment(data(100).IP(), 0x2000)), 0, unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seg Segment
			wire := c.wire
			if wire == 0 {
				wire = len(c.ip)
			}
			why := (Decoder{allTunnels}).Frame(LinkEthernet, ipEth(c.ip), uint32(14+wire), &seg)
			got := int(seg.Len)
			if seg.Flags&LenUnknown != 0 {
				got = unknown
			}
			if why != OK || got != c.bytes {
				t.Errorf("%v, %d bytes, want %d", why, got, c.bytes)
			}
		})
	}
}

// A length on the wire beyond an int of 32 bits is a length like any other.
func TestTunnelsInHugeFrames(t *testing.T) {
	b := ipEth(packet.InIPv4(packet.ProtoIPv4, data(100).IP()))
	patch(b, 14+2, 0, 0) // the frame alone says how long the outer packet is
	var seg Segment
	if why := (Decoder{TunnelIPIP}).Frame(LinkEthernet, b, math.MaxUint32, &seg); why != OK || seg.Len != 100 {
		t.Errorf("%v, %d bytes", why, seg.Len)
	}
}

// A frame that holds the longest stack of headers needs no more than TunnelHeaders in front.
func TestTunnelHeaders(t *testing.T) {
	b := v6(0).Ethernet(0x88a80001, 0x81000002)
	deep := func(b []byte) []byte {
		return ipEth(packet.InIPv6(packet.ProtoGRE, packet.InGRE(packet.GREChecksum|packet.GREKey|packet.GRESequence, packet.TypeERSPAN3,
			packet.InERSPAN3(false, true, false, b))), 0x88a80001, 0x81000002)
	}
	for range MaxTunnels {
		b = deep(b)
	}
	var seg Segment
	if why := (Decoder{allTunnels}).Frame(LinkEthernet, b, 0, &seg); why != OK {
		t.Fatal(why)
	}
	if around := len(b) - len(v6(0).Ethernet(0x88a80001, 0x81000002)); around > TunnelHeaders-252 {
		t.Errorf("%d bytes of headers around, TunnelHeaders says %d", around, TunnelHeaders)
	}
}

func TestParseTunnels(t *testing.T) {
	for _, c := range []struct {
		list string
		want Tunnels
		bad  string
	}{
		{"", 0, ""},
		{"vxlan", TunnelVXLAN, ""},
		{"erspan,gre", TunnelGRE | TunnelERSPAN, ""},
		{"gre,gre", TunnelGRE, ""},
		{TunnelNames(), allTunnels, ""},
		{"GRE", 0, `"GRE"`},
		{"gre,", 0, `""`},
		{"gre, ipip", 0, `" ipip"`},
		{"gre,pptp", 0, `"pptp"`},
	} {
		got, err := ParseTunnels(c.list)
		if got != c.want || (err == nil) != (c.bad == "") ||
			err != nil && (!strings.Contains(err.Error(), c.bad) || !strings.Contains(err.Error(), TunnelNames())) {
			t.Errorf("%q: %v, %v", c.list, got, err)
		}
	}
	for set := Tunnels(0); set <= allTunnels; set++ {
		if got, err := ParseTunnels(set.String()); got != set || err != nil {
			t.Errorf("%v: %v, %v", set, got, err)
		}
	}
	protocols, ports := allTunnels.Outer()
	if got := fmt.Sprint(protocols, ports); got != "[47 4 41] [4789 8472 6081 2152]" {
		t.Error(got)
	}
}

// layers makes frames with packets within one another at random.
type layers struct{ *rand.Rand }

// frame returns a frame with a segment in up to five tunnels, with some bytes changed if they are to be.
func (r layers) frame(changed bool) (b []byte, depth, payload int) {
	payload = r.IntN(200)
	ip := data(payload).IP()
	if r.IntN(3) == 0 {
		ip = v6(payload).IP()
	}
	depth = r.IntN(MaxTunnels + 2)
	for range depth {
		ip = packet.Nest(r.Rand, ip)
	}
	b = ipEth(ip)
	if changed {
		for range r.IntN(4) {
			b[r.IntN(len(b)-payload)] ^= byte(1) << r.IntN(8)
		}
		b = b[:len(b)-r.IntN(2)*r.IntN(len(b)/2)]
	}
	return b, depth, payload
}

// Nestings at random hold what was put into them, and changed ones what a slow decoder finds.
func TestRandomTunnels(t *testing.T) {
	r := layers{rand.New(rand.NewPCG(20, 26))}
	accepted := 0
	for range 50_000 {
		b, depth, payload := r.frame(false)
		var seg Segment
		why := Decoder{allTunnels}.Frame(LinkEthernet, b, 0, &seg)
		switch {
		case depth > MaxTunnels && why != BadTunnelHeader:
			t.Fatalf("% x: %v, %d tunnels", b, why, depth)
		case depth <= MaxTunnels && (why != OK || int(seg.Len) != payload):
			t.Fatalf("% x: %v, %d bytes of %d", b, why, seg.Len, payload)
		}
		b, _, _ = r.frame(true)
		if checkSlowly(t, b, uint32(len(b)+r.IntN(2)*r.IntN(100)), Tunnels(r.Uint32()|r.Uint32())&allTunnels) {
			accepted++
		}
	}
	if accepted < 5000 {
		t.Errorf("%d changed frames held a segment: too few", accepted)
	}
}

func TestNoAllocationInTunnels(t *testing.T) {
	var seg Segment
	if n := testing.AllocsPerRun(100, func() {
		for i := range tunnelFrames {
			(Decoder{allTunnels}).Frame(LinkEthernet, tunnelFrames[i].frame, 0, &seg)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
