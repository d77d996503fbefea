package parse

import "encoding/binary"

const tcpMinLen = 20

// tcp decodes a TCP header (RFC 9293 section 3.1). The caller has checked that b holds at least the 20 fixed
// bytes. n is the segment's length in bytes by the IP header, TCP header included. first: the packet
// is the first of several fragments.
func tcp(b []byte, n uint32, first bool, src, dst Addr, seg *Segment) Reason {
	if len(b) < tcpMinLen { // proves the constant indices below
		return Truncated
	}
	seg.set(src, dst, binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]))
	seg.Seq = Seq(binary.BigEndian.Uint32(b[4:]))
	seg.Ack = Seq(binary.BigEndian.Uint32(b[8:]))
	seg.Flags = Flags(b[13])
	seg.Window = binary.BigEndian.Uint16(b[14:])
	if first {
		seg.Len, seg.Options = 0, 0
		seg.Flags |= LenUnknown | Fragmented
		return OK
	}
	return payload(b, n, seg)
}

// payload sets the length of the payload of the segment at b, which has n bytes with its header, and the
// options.
func payload(b []byte, n uint32, seg *Segment) Reason {
	seg.Options = 0
	dataOff := uint32(b[12]>>4) << 2
	if dataOff < tcpMinLen || dataOff > n {
		seg.Len = 0
		seg.Flags |= LenUnknown
		return OK
	}
	seg.Len = n - dataOff
	options := b[tcpMinLen:min(int(dataOff), len(b))]
	switch {
	case seg.Flags&SYN != 0:
		seg.Options = synOptions(options, int(dataOff) > len(b))
	case len(options) >= alignedTSLen && binary.BigEndian.Uint32(options) == alignedTS:
		seg.Flags |= Timestamped
		seg.Options = Options(binary.BigEndian.Uint32(options[4:])) // of which IPv4 keeps half
	}
	return OK
}
