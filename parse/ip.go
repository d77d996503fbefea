package parse

import "encoding/binary"

const (
	protoTCP   = 6
	ipv4MinLen = 20
	ipv6Len    = 40
)

// ipv4 decodes an IPv4 packet (RFC 791) that takes wireLen bytes on the wire, padding included.
func ipv4(b []byte, wireLen uint32, seg *Segment) Reason {
	if len(b) < ipv4MinLen { // also proves the constant indices below
		return Truncated
	}
	ihl := uint32(b[0]&0x0f) << 2
	if b[0]>>4 != 4 || ihl < ipv4MinLen {
		return BadIPHeader
	}
	if b[9] != protoTCP {
		seg.leave(b, wireLen, 0)
		return notTCP(b[9])
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	if fragment&0x1fff != 0 {
		return Fragment
	}
	// A total length of 0 is a super-packet above 64 KiB, whose length only the frame knows.
	// A total length beyond the wire is bounded by it.
	total := uint32(binary.BigEndian.Uint16(b[2:]))
	if total == 0 || total > wireLen {
		total = wireLen
	}
	if total < ihl+tcpMinLen {
		return BadIPHeader
	}
	src, dst := AddrFrom4(binary.BigEndian.Uint32(b[12:])), AddrFrom4(binary.BigEndian.Uint32(b[16:]))
	first := fragment&0x2000 != 0 // more fragments follow: where the segment ends is unknown
	if uint32(len(b)) < ihl+tcpMinLen {
		return Truncated
	}
	why := tcp(b[ihl:], total-ihl, first, src, dst, seg)
	if seg.Flags&SYN == 0 {
		seg.Options = SentOptions(binary.BigEndian.Uint16(b[4:]), uint32(seg.Options))
	}
	return why
}

// IPv6 extension headers that may stand before TCP (RFC 8200 section 4.1, RFC 4302, RFC 6275).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAuth        = 51
	extDestination = 60
	extMobility    = 135
)

// ipv6 decodes an IPv6 packet (RFC 8200) and walks its extension headers.
func ipv6(b []byte, wireLen uint32, seg *Segment) Reason {
	if len(b) < ipv6Len {
		return Truncated
	}
	if b[0]>>4 != 6 {
		return BadIPHeader
	}
	// A payload length of 0 is a jumbogram or a super-packet, whose length only the frame knows.
	payload := uint32(binary.BigEndian.Uint16(b[4:]))
	if wireLen < ipv6Len {
		return BadIPHeader
	}
	if payload == 0 || payload > wireLen-ipv6Len {
		payload = wireLen - ipv6Len
	}
	src := Addr{binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}
	dst := Addr{binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])}
	first := false
	next := b[6]
	b = b[ipv6Len:]
	for range maxTags {
		var n uint32
		switch next {
		case protoTCP:
			if payload < tcpMinLen {
				return BadIPHeader
			}
			if len(b) < tcpMinLen {
				return Truncated
			}
			why := tcp(b, payload, first, src, dst, seg)
			seg.Flags |= OverIPv6
			return why
		case extHopByHop, extRouting, extDestination, extMobility:
			if len(b) < 8 {
				return Truncated
			}
			n = (uint32(b[1]) + 1) << 3
		case extAuth:
			if len(b) < 8 {
				return Truncated
			}
			n = (uint32(b[1]) + 2) << 2
		case extFragment:
			if len(b) < 8 {
				return Truncated
			}
			field := binary.BigEndian.Uint16(b[2:])
			if field>>3 != 0 {
				return Fragment
			}
			first = field&1 != 0
			n = 8
		default:
			flags := OverIPv6
			if first {
				flags |= Fragmented
			}
			seg.leave(b, payload, flags)
			return notTCP(next)
		}
		if n > payload {
			return BadIPHeader
		}
		if n > uint32(len(b)) {
			return Truncated
		}
		next = b[0]
		b, payload = b[n:], payload-n
	}
	return BadIPHeader
}
