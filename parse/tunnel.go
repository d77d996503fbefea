package parse

import "encoding/binary"

// Decoder decodes frames as Frame does, and looks for the segment also in the packets that an encapsulation of its set
// carries. The zero value is Frame. It holds no state.
type Decoder struct{ Tunnels Tunnels }

// MaxTunnels is how many encapsulations within one another a Decoder opens: a mirror of a transit link has two, and a
// crafted packet must not cost more than a few of them.
const MaxTunnels = 4

// IP protocols (IANA) and UDP destination ports of encapsulations.
const (
	protoIPv4 = 4
	protoUDP  = 17
	protoIPv6 = 41
	protoGRE  = 47

	portVXLAN      = 4789 // RFC 7348
	portVXLANLinux = 8472 // of Linux before there was a number, still the default of its devices
	portGENEVE     = 6081 // RFC 8926
	portGTPU       = 2152 // 3GPP TS 29.281
)

// Protocol types of GRE and GENEVE, besides the EtherTypes of IPv4 and IPv6.
const (
	etherBridged = 0x6558 // an Ethernet frame (transparent Ethernet bridging), RFC 1701
	etherERSPAN  = 0x88be // types I and II, draft-foschiano-erspan-03
	etherERSPAN3 = 0x22eb // type III

	// Kinds that have no EtherType: none is as small.
	carriesNothing = 0 // nothing that is decoded
	carriesIP      = 1 // IPv4 or IPv6, by its version
)

// Header lengths in bytes.
const (
	udpLen          = 8
	greLen          = 4 // and 4 for each of checksum, key and sequence number
	vxlanLen        = 8
	geneveLen       = 8 // and options
	gtpuLen         = 8 // and 4 if there are optional fields
	erspan2Len      = 8
	erspan3Len      = 12
	erspanPlatform  = 8 // the platform specific subheader of type III
	geneveMaxOption = 63 << 2
)

// TunnelHeaders is how many bytes the longest stack of headers takes that MaxTunnels encapsulations put before an inner IP
// header: each over IPv6, with the longest fixed header there is, and an Ethernet frame with two VLAN tags inside; one of
// them has all the options that GENEVE can have. What has more IPv6 extension headers or GTP-U ones than that leaves room
// for needs more.
const TunnelHeaders = MaxTunnels*(ipv6Len+greLen+3*4+erspan3Len+erspanPlatform+etherLen+2*4) + geneveMaxOption

// unbounded is the length of what goes on in packets or bytes that are not there: a datagram in IP fragments, of which
// this is the first, or a frame that the mirror has cut. It is above all lengths that an IP header can name, so that
// only those count.
const unbounded = 1 << 20

// inner is what a packet carries.
type inner struct {
	b    []byte // the captured bytes, n at most
	n    uint32 // bytes by the headers around it, or about unbounded
	open bool   // nothing around it says how long it is
}

// Frame decodes one captured frame, as the function Frame does. The segment is that of the innermost packet, and so is
// the reason why there is none:
//
//   - A packet in an encapsulation that is not in the set, or whose header is not one (another version, a control
//     message, a protocol that is not IP), has the reason of its outer protocol: UDP, GRE, IPIP, IPv6InIP.
//   - The payload's length is by the inner IP header, bounded by the length of each packet around it.
//   - A fragment of an outer packet has no inner one but if it is the first. Of that the inner headers alone say how long
//     the segment is, and that of UDP or GTP-U.
//   - So it is of a frame that says it was cut by its mirror (ERSPAN, T).
//   - Segment.WireLen is the length of the whole frame.
func (d Decoder) Frame(link Link, b []byte, wireLen uint32, seg *Segment) Reason {
	why := Frame(link, b, wireLen, seg)
	if why == OK || d.Tunnels == 0 {
		return why
	}
	return d.inside(why, b, seg)
}

// carriers holds the encapsulations that a packet without TCP may be, by its reason.
var carriers = [NumReasons]Tunnels{
	UDP:      TunnelVXLAN | TunnelGENEVE | TunnelGTPU,
	GRE:      TunnelGRE | TunnelERSPAN,
	IPIP:     TunnelIPIP | TunnelSIT,
	IPv6InIP: TunnelSIT,
}

// inside goes from a packet that holds no TCP, for a reason, to what is inside of it, and on from there. b ends where the
// packet does, and seg says where it begins (Segment.leave).
//
//go:noinline
func (d Decoder) inside(why Reason, b []byte, seg *Segment) Reason {
	open := false
	for depth := 0; d.Tunnels&carriers[why%NumReasons] != 0; depth++ {
		in, bad := carriedBy(b, seg)
		if bad != OK {
			return bad
		}
		kind := uint16(carriesNothing)
		switch why {
		case UDP:
			kind, bad = d.udp(&in)
		case GRE:
			kind, bad = d.gre(&in)
		case IPIP:
			if d.Tunnels&TunnelIPIP != 0 || seg.Flags&OverIPv6 != 0 {
				kind = etherIPv4
			}
		case IPv6InIP:
			kind = etherIPv6
		}
		if bad != OK {
			return bad
		}
		if kind == carriesNothing {
			return why
		}
		if depth == MaxTunnels {
			return BadTunnelHeader
		}
		open = open || in.open
		why = in.decode(kind, seg)
		b = in.b
	}
	if why == OK && open && seg.Len > 0xffff { // the inner header does not say how long it is, either
		seg.Len = 0
		seg.Flags |= LenUnknown
	}
	return why
}

// leave has seg say where a packet that holds no TCP is, for Decoder. Until the next decode it is no segment.
//
//	Seq     bytes from there to the end of the frame: from the IPv4 header, or behind the IPv6 headers
//	Len     the same on the wire, by what is around it
//	Flags   OverIPv6, and Fragmented for the first of several fragments of such
func (seg *Segment) leave(b []byte, wireLen uint32, flags Flags) {
	seg.Seq, seg.Len, seg.Flags = Seq(len(b)), wireLen, flags
}

// carriedBy returns what an IP packet carries that seg tells of. b ends where the packet does, or later.
func carriedBy(b []byte, seg *Segment) (in inner, bad Reason) {
	b, in.n = b[uint32(len(b))-min(uint32(seg.Seq), uint32(len(b))):], seg.Len
	if seg.Flags&OverIPv6 != 0 {
		in.open = seg.Flags&Fragmented != 0
	} else {
		if len(b) < ipv4MinLen { // not so: ipv4 has looked
			return in, Truncated
		}
		ihl := uint32(b[0]&0x0f) << 2
		total := uint32(binary.BigEndian.Uint16(b[2:]))
		fragment := binary.BigEndian.Uint16(b[6:])
		if fragment&0x1fff != 0 {
			return in, Fragment
		}
		if total == 0 || total > in.n {
			total = in.n
		}
		if total < ihl {
			return in, BadIPHeader
		}
		if uint32(len(b)) < ihl {
			return in, Truncated
		}
		b, in.n = b[ihl:], total-ihl
		in.open = fragment&0x2000 != 0
	}
	in.b = b[:min(uint32(len(b)), in.n)]
	if in.open {
		in.n = unbounded
	}
	return in, OK
}

// needs returns OK if n bytes are there and captured.
func (in *inner) needs(n uint32) Reason {
	if n > in.n {
		return BadTunnelHeader
	}
	if n > uint32(len(in.b)) {
		return Truncated
	}
	return OK
}

// skip drops a header of n bytes, which must be there (needs).
func (in *inner) skip(n uint32) { in.b, in.n = in.b[n:], in.n-n }

// bound has in end after n bytes, if it does not before.
func (in *inner) bound(n uint32) {
	if n < in.n {
		in.n = n
		in.b = in.b[:min(uint32(len(in.b)), n)]
	}
}

// udp takes off the header of a UDP datagram (RFC 768) and of what it carries by its destination port.
func (d Decoder) udp(in *inner) (kind uint16, bad Reason) {
	if bad := in.needs(udpLen); bad != OK {
		return carriesNothing, bad
	}
	var tunnel Tunnels
	switch binary.BigEndian.Uint16(in.b[2:]) {
	case portVXLAN, portVXLANLinux:
		tunnel = TunnelVXLAN
	case portGENEVE:
		tunnel = TunnelGENEVE
	case portGTPU:
		tunnel = TunnelGTPU
	}
	if d.Tunnels&tunnel == 0 {
		return carriesNothing, OK
	}
	// A length of 0 is a super-packet above 64 KiB, as in IP.
	if n := uint32(binary.BigEndian.Uint16(in.b[4:])); n != 0 {
		if n < udpLen {
			return carriesNothing, BadTunnelHeader
		}
		in.bound(n)
	}
	in.skip(udpLen)
	switch tunnel {
	case TunnelVXLAN:
		return in.vxlan()
	case TunnelGENEVE:
		return in.geneve()
	}
	return in.gtpu()
}

// vxlan takes off a VXLAN header (RFC 7348 section 5). Flag I says that it has a VXLAN identifier, as all have.
func (in *inner) vxlan() (kind uint16, bad Reason) {
	if bad := in.needs(vxlanLen); bad != OK {
		return carriesNothing, bad
	}
	if in.b[0]&0x08 == 0 {
		return carriesNothing, OK
	}
	in.skip(vxlanLen)
	return etherBridged, OK
}

// geneve takes off a GENEVE header and its options (RFC 8926 section 3.4). Control messages (flag O) carry no packet.
func (in *inner) geneve() (kind uint16, bad Reason) {
	if bad := in.needs(geneveLen); bad != OK {
		return carriesNothing, bad
	}
	if in.b[0]>>6 != 0 || in.b[1]&0x80 != 0 {
		return carriesNothing, OK
	}
	kind = binary.BigEndian.Uint16(in.b[2:])
	if kind != etherBridged && kind != etherIPv4 && kind != etherIPv6 {
		return carriesNothing, OK
	}
	n := geneveLen + uint32(in.b[0]&0x3f)<<2
	if bad := in.needs(n); bad != OK {
		return carriesNothing, bad
	}
	in.skip(n)
	return kind, OK
}

// gtpu takes off a GTP-U header with its optional fields and extension headers (3GPP TS 29.281 section 5), of a
// G-PDU, the message that carries a packet.
func (in *inner) gtpu() (kind uint16, bad Reason) {
	const (
		version1      = 1<<5 | 1<<4 // and protocol type GTP
		optional      = 0x07        // E, S, PN: if any is set, all three fields are there
		extended      = 0x04        // E
		gPDU          = 255
		optionalLen   = 4
		nextExtension = 3 // the last byte of them, as of each extension header
	)
	if bad := in.needs(gtpuLen); bad != OK {
		return carriesNothing, bad
	}
	flags := in.b[0]
	if flags&0xf0 != version1 || in.b[1] != gPDU {
		return carriesNothing, OK
	}
	length := uint32(binary.BigEndian.Uint16(in.b[2:])) // of what follows the first 8 bytes
	in.skip(gtpuLen)
	in.bound(length)
	if flags&optional == 0 {
		return carriesIP, OK
	}
	if bad := in.needs(optionalLen); bad != OK {
		return carriesNothing, bad
	}
	next := in.b[nextExtension]
	in.skip(optionalLen)
	if flags&extended == 0 {
		return carriesIP, OK
	}
	for range maxTags {
		if next == 0 {
			return carriesIP, OK
		}
		if bad := in.needs(1); bad != OK {
			return carriesNothing, bad
		}
		n := uint32(in.b[0]) << 2
		if n == 0 {
			return carriesNothing, BadTunnelHeader
		}
		if bad := in.needs(n); bad != OK {
			return carriesNothing, bad
		}
		next = in.b[n-1]
		in.skip(n)
	}
	if next == 0 {
		return carriesIP, OK
	}
	return carriesNothing, BadTunnelHeader
}

// gre takes off a GRE header (RFC 2784, RFC 2890) and that of ERSPAN. Other versions (PPTP's) and source routes
// (RFC 1701) are not looked into, as the kernel does not (gre_parse_header in net/ipv4/gre_demux.c).
func (d Decoder) gre(in *inner) (kind uint16, bad Reason) {
	const (
		checksum = 0x8000
		routing  = 0x4000
		key      = 0x2000
		sequence = 0x1000
		version  = 0x0007
	)
	if bad := in.needs(greLen); bad != OK {
		return carriesNothing, bad
	}
	flags := binary.BigEndian.Uint16(in.b)
	kind = binary.BigEndian.Uint16(in.b[2:])
	tunnel := Tunnels(0)
	switch kind {
	case etherIPv4, etherIPv6, etherBridged:
		tunnel = TunnelGRE
	case etherERSPAN, etherERSPAN3:
		tunnel = TunnelERSPAN
	}
	if d.Tunnels&tunnel == 0 || flags&(routing|version) != 0 {
		return carriesNothing, OK
	}
	n := uint32(greLen)
	for _, field := range [...]uint16{checksum, key, sequence} {
		if flags&field != 0 {
			n += 4
		}
	}
	if bad := in.needs(n); bad != OK {
		return carriesNothing, bad
	}
	in.skip(n)
	switch {
	case kind == etherERSPAN && flags&sequence == 0: // type I, which has no header of its own
		return etherBridged, OK
	case kind == etherERSPAN:
		return in.erspan(1, erspan2Len)
	case kind == etherERSPAN3:
		return in.erspan(2, erspan3Len)
	}
	return kind, OK
}

// erspan takes off an ERSPAN header of type II (version 1) or III (version 2), draft-foschiano-erspan-03 sections 4.2
// and 4.3; include/net/erspan.h of Linux 6.18 draws both. Type III names the frame's type and may have a subheader.
func (in *inner) erspan(version byte, n uint32) (kind uint16, bad Reason) {
	const (
		truncated   = 0x04 // T, in the third byte: the mirror has cut the frame
		frameType   = 0x1f // FT, in type III's eleventh byte, below P and above half of the hardware's number
		subheader   = 0x01 // O, in its last byte
		ftEthernet  = 0
		ftIP        = 2
		frameTypeAt = 10
		subheaderAt = 11
	)
	if bad := in.needs(n); bad != OK {
		return carriesNothing, bad
	}
	if in.b[0]>>4 != version {
		return carriesNothing, OK
	}
	kind = etherBridged
	cut := in.b[2]&truncated != 0
	if n == erspan3Len {
		switch in.b[frameTypeAt] >> 2 & frameType {
		case ftEthernet:
		case ftIP:
			kind = carriesIP
		default:
			return carriesNothing, OK
		}
		if in.b[subheaderAt]&subheader != 0 {
			n += erspanPlatform
			if bad := in.needs(n); bad != OK {
				return carriesNothing, bad
			}
		}
	}
	in.skip(n)
	if cut {
		in.n, in.open = unbounded, true
	}
	return kind, OK
}

// decode decodes what in holds: an Ethernet frame, IP of either version, or what an EtherType says.
func (in *inner) decode(kind uint16, seg *Segment) (why Reason) {
	switch {
	case kind == carriesIP:
		why = ipByVersion(in.b, in.n, seg)
	case kind != etherBridged:
		why = etherType(kind, in.b, in.n, seg)
	default:
		if bad := in.needs(etherLen); bad != OK {
			return bad
		}
		why = etherType(binary.BigEndian.Uint16(in.b[12:]), in.b[etherLen:], in.n-etherLen, seg)
	}
	if why == Truncated && uint32(len(in.b)) >= in.n { // by a length around it, not by the snap length
		return BadTunnelHeader
	}
	return why
}
