package parse

import "encoding/binary"

const tcpMinLen = 20

// TCP option kinds (RFC 9293 section 3.2, RFC 7323 section 2.2).
const (
	optEnd    = 0
	optNop    = 1
	optMSS    = 2
	optWScale = 3
)

// maxWScale is the largest shift; a larger one counts as this (RFC 7323 section 2.3).
const maxWScale = 14

// tcp decodes a TCP header (RFC 9293 section 3.1). The caller has checked that b holds at least
// the 20 fixed bytes; n is the segment's length in bytes, header included, by the IP header. first:
// it is the first of several fragments.
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
		seg.Len, seg.WScale, seg.MSS = 0, NoWScale, 0
		seg.Flags |= LenUnknown | Fragmented
		return OK
	}
	return payload(b, n, seg)
}

// payload finds the length of what the TCP header at b carries, n bytes with the header, and reads
// the options of a SYN.
func payload(b []byte, n uint32, seg *Segment) Reason {
	seg.WScale, seg.MSS = NoWScale, 0
	dataOff := uint32(b[12]>>4) << 2
	if dataOff < tcpMinLen || dataOff > n {
		seg.Len = 0
		seg.Flags |= LenUnknown
		return OK
	}
	seg.Len = n - dataOff
	if seg.Flags&SYN != 0 && dataOff > tcpMinLen {
		whole := synOptions(b[tcpMinLen:min(int(dataOff), len(b))], seg)
		if !whole && seg.WScale == NoWScale && int(dataOff) > len(b) {
			seg.WScale = CutWScale
		}
	}
	return OK
}

// synOptions reads the options that only a SYN may carry. Bytes cut off by the snap length and
// lengths that lead nowhere end the walk; what was read before them stands. whole: the list's own end was
// met.
func synOptions(b []byte, seg *Segment) (whole bool) {
	for len(b) > 0 {
		kind := b[0]
		if kind == optEnd {
			return true
		}
		if kind == optNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 {
			return false
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return false
		}
		switch {
		case kind == optMSS && n == 4:
			seg.MSS = binary.BigEndian.Uint16(b[2:])
		case kind == optWScale && n == 3:
			seg.WScale = int8(min(b[2], maxWScale))
		}
		b = b[n:]
	}
	return false
}
