package parse

import "encoding/binary"

// Link names the header that a frame starts with.
type Link uint8

const (
	LinkUnknown  Link = iota
	LinkEthernet      // Ethernet II, also the kernel's loopback
	LinkRaw           // no link header: IPv4 or IPv6 by its version nibble (tun, PPP, WireGuard)
	LinkSLL           // Linux cooked capture v1 (LINKTYPE_LINUX_SLL)
	LinkSLL2          // Linux cooked capture v2 (LINKTYPE_LINUX_SLL2)
	LinkNull          // BSD loopback: a 4-byte address family in either byte order (LINKTYPE_NULL, _LOOP)
	LinkPPP           // PPP with or without the address and control bytes (LINKTYPE_PPP)
)

// LinkFromARPHRD returns what a SOCK_RAW packet socket delivers for a network device of hardware type hatype
// (ARPHRD_ in linux/if_arp.h; sll_hatype of packet(7)).
func LinkFromARPHRD(hatype uint16) Link {
	switch hatype {
	case 1, 772: // ARPHRD_ETHER, ARPHRD_LOOPBACK
		return LinkEthernet
	case 512, 519, 768, 769, 776, 778, 823, 0xfffe, 0xffff:
		// ARPHRD_PPP, RAWIP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, NONE, VOID
		return LinkRaw
	}
	return LinkUnknown
}

// LinkFromDLT returns the Link of a link type number in a pcap or pcapng file (the LINKTYPE_ registry).
func LinkFromDLT(dlt uint32) Link {
	switch dlt {
	case 1:
		return LinkEthernet
	case 12, 14, 101, 228, 229: // DLT_RAW on Linux and OpenBSD, LINKTYPE_RAW, _IPV4, _IPV6
		return LinkRaw
	case 113:
		return LinkSLL
	case 276:
		return LinkSLL2
	case 0, 108:
		return LinkNull
	case 9:
		return LinkPPP
	}
	return LinkUnknown
}

// EtherTypes (IEEE 802 numbers) and PPP protocol numbers (IANA) that lead to IP.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100 // 802.1Q
	etherQinQ  = 0x88a8 // 802.1ad
	etherQinQ1 = 0x9100 // QinQ before 802.1ad
	etherPPPoE = 0x8864 // PPPoE session, RFC 2516
	etherMPLS  = 0x8847 // RFC 3032
	pppIPv4    = 0x0021
	pppIPv6    = 0x0057
)

const (
	etherLen = 14
	// maxTags bounds the number of VLAN tags, MPLS labels and IPv6 extension headers that are skipped: real
	// packets have two or three, and a crafted one must not cost more than a short loop.
	maxTags = 8
)

// Frame decodes one captured frame that starts with a header of kind link. b holds the captured bytes, and
// wireLen is the frame's length on the wire in bytes. Unless it returns OK, seg is written only in part.
func Frame(link Link, b []byte, wireLen uint32, seg *Segment) Reason {
	if Ordinary(link, b, wireLen, seg) {
		return OK
	}
	return anyFrame(link, b, wireLen, seg)
}

// Ordinary is the fast path of Frame, for nearly all frames: whole IPv4 packets without options over Ethernet
// that are no SYN. It makes the checks of every layer at once, on two words, and the flow is narrow. It
// reports false for other frames, which it leaves to Frame. The tests compare it with the slow path.
func Ordinary(link Link, b []byte, wireLen uint32, seg *Segment) bool {
	const tcpAt = etherLen + ipv4MinLen
	if link != LinkEthernet || len(b) < tcpAt+tcpMinLen ||
		binary.LittleEndian.Uint32(b[12:])&0x00ffffff != 0x45<<16|etherIPv4>>8 || // EtherType, version and IHL
		binary.LittleEndian.Uint32(b[20:])&0xff00ff3f != protoTCP<<24 { // more fragments, offset, protocol
		return false
	}
	wireLen = max(wireLen, uint32(len(b)))
	lenID := binary.BigEndian.Uint32(b[16:]) // total length, identification
	n := lenID >> 16
	ctl := binary.BigEndian.Uint32(b[tcpAt+12:]) // data offset, flags, window
	dataOff := ctl >> 28 << 2
	// Unsigned, so that what is too short fails too.
	if n-(ipv4MinLen+tcpMinLen) > wireLen-(tcpAt+tcpMinLen) || dataOff-tcpMinLen > n-(ipv4MinLen+tcpMinLen) ||
		ctl>>16&uint32(SYN) != 0 {
		return false
	}
	seg.setNarrow(
		uint64(binary.LittleEndian.Uint32(b[26:]))<<16|uint64(binary.LittleEndian.Uint16(b[tcpAt:])),
		uint64(binary.LittleEndian.Uint32(b[30:]))<<16|uint64(binary.LittleEndian.Uint16(b[tcpAt+2:])))
	numbers := binary.BigEndian.Uint64(b[tcpAt+4:])
	seg.Ack, seg.Seq = Seq(numbers), Seq(numbers>>32)
	seg.Len, seg.WireLen = n-ipv4MinLen-dataOff, wireLen
	ctl &= 0x00ff_ffff
	options := lenID << 16
	if dataOff >= tcpMinLen+alignedTSLen && len(b) >= tcpAt+tcpMinLen+alignedTSLen &&
		binary.BigEndian.Uint32(b[tcpAt+tcpMinLen:]) == alignedTS {
		options |= uint32(binary.BigEndian.Uint16(b[tcpAt+tcpMinLen+6:]))
		ctl |= uint32(Timestamped) << 16
	}
	seg.Window, seg.Flags, seg.Options = uint16(ctl), Flags(ctl>>16), Options(options)
	return true
}

// anyFrame is the slow path of Frame: it goes layer by layer.
func anyFrame(link Link, b []byte, wireLen uint32, seg *Segment) Reason {
	// From here on every header that was read lies within wireLen too, so that subtracting its
	// length cannot wrap.
	wireLen = max(wireLen, uint32(len(b)))
	seg.WireLen = wireLen
	if link == LinkEthernet {
		if len(b) < etherLen {
			return Truncated
		}
		return etherType(binary.BigEndian.Uint16(b[12:]), b[etherLen:], wireLen-etherLen, seg)
	}
	return otherLink(link, b, wireLen, seg)
}

// otherLink is anyFrame for links other than Ethernet.
func otherLink(link Link, b []byte, wireLen uint32, seg *Segment) Reason {
	switch link {
	case LinkRaw:
		return ipByVersion(b, wireLen, seg)
	case LinkSLL:
		if len(b) < 16 {
			return Truncated
		}
		return etherType(binary.BigEndian.Uint16(b[14:]), b[16:], wireLen-16, seg)
	case LinkSLL2:
		if len(b) < 20 {
			return Truncated
		}
		return etherType(binary.BigEndian.Uint16(b), b[20:], wireLen-20, seg)
	case LinkNull:
		if len(b) < 4 {
			return Truncated
		}
		return ipByVersion(b[4:], wireLen-4, seg)
	case LinkPPP:
		if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 { // address and control, RFC 1662
			b, wireLen = b[2:], wireLen-2
		}
		return ppp(b, wireLen, seg)
	}
	return UnknownLink
}

// etherType decodes what follows an EtherType: b starts behind it.
func etherType(typ uint16, b []byte, wireLen uint32, seg *Segment) Reason {
	for tags := 0; ; tags++ {
		switch typ {
		case etherIPv4:
			return ipv4(b, wireLen, seg)
		case etherIPv6:
			return ipv6(b, wireLen, seg)
		case etherVLAN, etherQinQ, etherQinQ1:
			if tags == maxTags {
				return BadLinkHeader
			}
			if len(b) < 4 {
				return Truncated
			}
			typ = binary.BigEndian.Uint16(b[2:])
			b, wireLen = b[4:], wireLen-4
		case etherPPPoE:
			if len(b) < 6 {
				return Truncated
			}
			// Only the session's payload counts, not Ethernet padding behind it.
			if n := uint32(binary.BigEndian.Uint16(b[4:])); n < wireLen-6 {
				return ppp(b[6:], n, seg)
			}
			return ppp(b[6:], wireLen-6, seg)
		case etherMPLS:
			return mpls(b, wireLen, seg)
		default:
			return NotIP
		}
	}
}

// ppp decodes a PPP frame from its protocol field on, which may be compressed to one byte
// (RFC 1661 section 6.5).
func ppp(b []byte, wireLen uint32, seg *Segment) Reason {
	if len(b) < 2 || wireLen < 2 {
		return Truncated
	}
	proto, n := binary.BigEndian.Uint16(b), uint32(2)
	if b[0]&1 != 0 {
		proto, n = uint16(b[0]), 1
	}
	switch proto {
	case pppIPv4:
		return ipv4(b[n:], wireLen-n, seg)
	case pppIPv6:
		return ipv6(b[n:], wireLen-n, seg)
	}
	return NotIP
}

// mpls skips labels down to the bottom of the stack (RFC 3032 section 2.1).
func mpls(b []byte, wireLen uint32, seg *Segment) Reason {
	for range maxTags {
		if len(b) < 4 {
			return Truncated
		}
		bottom := b[2]&1 != 0
		b, wireLen = b[4:], wireLen-4
		if bottom {
			return ipByVersion(b, wireLen, seg)
		}
	}
	return BadLinkHeader
}

// ipByVersion decodes IPv4 or IPv6 by the version nibble, where no header gives it.
func ipByVersion(b []byte, wireLen uint32, seg *Segment) Reason {
	if len(b) == 0 {
		return Truncated
	}
	switch b[0] >> 4 {
	case 4:
		return ipv4(b, wireLen, seg)
	case 6:
		return ipv6(b, wireLen, seg)
	}
	return NotIP
}
