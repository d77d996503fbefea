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

// Options holds what the analysis needs of a segment's options and of its IPv4 header, in 32 bits; 0 if there is none of
// it.
//
//	                31 … 24   23 … 16   15 … 8   7 … 0
//	SYN, SYN+ACK    -         MSS                window scale
//	over IPv4       identification      timestamp, lower half, if Flags has Timestamped
//	over IPv6       timestamp, if Flags has Timestamped
//
// Those of segments that are no SYN tell in which order they were sent: see [Segment.TickedSince] and [Segment.NumberedSince].
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

// SentOptions returns the options of a segment over IPv4 that is no SYN: the identification of its IP header, and its
// timestamp, of which the lower half is kept.
func SentOptions(id uint16, tsval uint32) Options { return Options(id)<<16 | Options(uint16(tsval)) }

// TickedSince reports whether the timestamps of s and of an earlier segment of its sender, whose Options are given, show
// that s was sent later. Both are Timestamped, and neither is a SYN. A timestamp is the time of sending, by a clock of the
// sender that does not go back within a connection and ticks every 1 µs to 1 s (RFC 7323 section 5.4), most often every
// 1 ms. What is kept of it over IPv4 wraps after 65 s then, and means nothing from 32 s on.
func (s *Segment) TickedSince(earlier Options) bool {
	if s.Flags&OverIPv6 != 0 {
		return int32(s.Options-earlier) > 0
	}
	return int16(s.Options-earlier) > 0
}

// mostIDs is how far ahead an identification may be, at most, to tell something. Of a sender that draws them at random
// one pair in 128 is so near.
const mostIDs = 512

// NumberedSince reports whether the identifications of the packets of s and of an earlier segment of its sender, whose
// Options are given, show that s was sent later, be it by less than a tick of the clock. Neither is a SYN.
//
// Linux counts the packets of each connection (ip_select_ident_segs, include/net/ip.h of Linux 6.6), others all packets to
// an address, and what is sent again takes the next number. Senders that set 0, or draw numbers at random, tell nothing
// by it (RFC 6864 section 4.1 allows both), the latter but by chance, and nor does IPv6.
func (s *Segment) NumberedSince(earlier Options) bool {
	id, was := uint16(s.Options>>16), uint16(earlier>>16)
	return id-was-1 < mostIDs && id != 0 && was != 0 && s.Flags&OverIPv6 == 0
}

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
