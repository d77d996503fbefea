package parse

import "encoding/binary"

// TCP option kinds (RFC 9293 section 3.2, RFC 7323 section 2.2).
const (
	optEnd    = 0
	optNop    = 1
	optMSS    = 2
	optWScale = 3
)

// maxWScale is the largest shift; a larger one counts as this (RFC 7323 section 2.3).
const maxWScale = 14

// Options holds the options of a segment that the analysis needs, in 32 bits; 0 if there are none.
//
//	SYN, SYN+ACK    MSS, WScale
//	other segments  TSVal, if Flags has Timestamped
type Options uint32

// What Options.WScale returns besides shifts.
const (
	NoWScale  = -1 // the segment carries no window scale option
	CutWScale = -2 // the captured bytes end within the options, with no window scale before
)

// SYNOptions returns the options of a SYN: the maximum segment size in bytes, 0 for none, and the shift of the
// window scale, 0 to 14, NoWScale or CutWScale.
func SYNOptions(mss uint16, wscale int8) Options {
	return Options(mss)<<8 | Options(uint8(wscale-NoWScale))
}

// MSS returns the maximum segment size option of a SYN in bytes, 0 for none.
func (o Options) MSS() uint16 { return uint16(o >> 8) }

// WScale returns the shift of a SYN's window scale option, at most 14 (RFC 7323 section 2.3), NoWScale or
// CutWScale.
func (o Options) WScale() int8 { return int8(o) + NoWScale }

// TSVal returns the time at which the segment was sent, by a clock of the sender that does not go back within
// a connection and ticks every 1 µs to 1 s (RFC 7323 section 5.4), most often every 1 ms. It wraps.
func (o Options) TSVal() uint32 { return uint32(o) }

// The timestamps option is read only where it comes first, behind two bytes of padding, as RFC 7323 appendix A
// recommends and all common senders do. The kernel's fast path looks for the same
// (tcp_parse_aligned_timestamp in net/ipv4/tcp_input.c).
const (
	alignedTS    = 0x0101080a // NOP, NOP, timestamps, 10 bytes
	alignedTSLen = 12
)

// synOptions returns the options that only a SYN may carry. The walk ends where the snap length has cut off
// bytes, and at a length that leads nowhere; it keeps what it has read before. cut reports that bytes are missing
// at the end of b.
func synOptions(b []byte, cut bool) Options {
	mss, wscale := uint16(0), int8(NoWScale)
	for len(b) > 0 {
		kind := b[0]
		if kind == optEnd {
			return SYNOptions(mss, wscale)
		}
		if kind == optNop {
			b = b[1:]
			continue
		}
		if len(b) < 2 {
			break
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			break
		}
		switch {
		case kind == optMSS && n == 4:
			mss = binary.BigEndian.Uint16(b[2:])
		case kind == optWScale && n == 3:
			wscale = int8(min(b[2], maxWScale))
		}
		b = b[n:]
	}
	if cut && wscale == NoWScale {
		wscale = CutWScale
	}
	return SYNOptions(mss, wscale)
}
