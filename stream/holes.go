package stream

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// holes describes the holes that are open in a direction, between contig and nxt. 24 bytes.
//
//	contig      middle        start    end       nxt
//	  | oldest    | middle      | newest |  seen   |
//
// Three are distinguished: the newest, the one before it, which is there if middle is before start, and all
// older ones together, if contig is before middle. A segment in between, of what was seen, counts to the hole before it.
type holes struct {
	start, end parse.Seq     // of the newest hole
	middle     parse.Seq     // start of the hole before it
	opened     uint32        // when the newest one was opened, in holeUnit; it wraps
	middleBy   lead          // how much earlier the middle one was
	oldestBy   lead          // and the oldest of the older ones
	opener     parse.Options // of the segment that opened the newest one: what tells when that was sent
}

const (
	holeUnit = 64 // ns
	// quarter is a quarter of the time after which holes.opened would mean another time, in holeUnit: 69 s.
	quarter = 1 << 30
)

// lead is a time in holeUnit, 0 to 2³²-1, rounded down to eleven binary digits, 0.1 %.
type lead uint16

const leadBits = 11

func leadOf(units uint32) lead {
	shift := max(bits.Len32(units)-leadBits, 0)
	return lead(shift<<leadBits) | lead(units>>shift)
}

func (l lead) units() uint32 { return uint32(l&(1<<leadBits-1)) << (l >> leadBits) }

// units returns a time of ns as holes keep it.
func units(now int64) uint32 { return uint32(now / holeUnit) }

// age returns how long ago the hole was opened that a segment at seq would fill, in ns.
func (h *holes) age(seq parse.Seq, now int64) int64 {
	age := units(now) - h.opened
	switch {
	case !seq.Before(h.start):
	case !seq.Before(h.middle):
		age += h.middleBy.units()
	default:
		age += h.oldestBy.units()
	}
	return int64(age) * holeUnit
}

// young reports whether an age is below limit. An age below zero is that of a clock that was set back:
// nothing is known then, and it counts as long.
func young(age, limit int64) bool { return uint64(age) < uint64(limit) }

// jump opens a hole from nxt to the segment at seq. A hole that is limit old is forgotten: what fills it was
// sent again, and so it counts as seen.
func (s *Stream) jump(h *holes, seg *parse.Segment, now, limit int64) {
	opened := units(now)
	since := opened - h.opened
	middle, oldest := h.middleBy.units(), h.oldestBy.units()
	if !s.contig.Before(h.start) { // what was before the newest one is filled
		middle, oldest = 0, 0
	} else if !s.contig.Before(h.middle) {
		oldest = middle
	}
	old := func(units uint32) bool { return !young(int64(since+units)*holeUnit, limit) }
	switch {
	case s.contig == s.nxt || old(0):
		s.contig, h.start = s.nxt, s.nxt
		since, oldest = 0, 0
	case old(middle):
		s.contig = latest(s.contig, h.start)
		oldest = 0
	case old(oldest):
		s.contig = latest(s.contig, h.middle)
		oldest = middle
	}
	h.middle, h.middleBy, h.oldestBy = h.start, leadOf(since), leadOf(since+oldest)
	h.start, h.end, h.opened = s.nxt, seg.Seq, opened
	s.flags &^= stamped
	h.opener = 0
	if seg.Flags&parse.SYN == 0 {
		h.opener = seg.Options
	}
	if seg.Flags&parse.Timestamped != 0 {
		s.flags |= stamped
	}
}

func latest(a, b parse.Seq) parse.Seq {
	if a.Before(b) {
		return b
	}
	return a
}

// maxWindow is the largest window in bytes (RFC 7323 section 2.3): no hole of a connection lies farther behind.
const maxWindow = 1 << 30

// shut ends the holes before contig.
func (s *Stream) shut(h *holes) {
	if !s.contig.Before(h.end) || s.nxt-s.contig > maxWindow {
		s.contig = s.nxt
	}
}

// outlive forgets all holes before their times mean other ones: in the third quarter, which packets cannot miss
// unless they are a quarter apart. Both is longer than any limit. The fast path leaves this out until the second ends,
// and so a packet that ends one forgets the holes that may come to that age in the next. ends: this one does.
func (s *Stream) outlive(h *holes, now int64, ends bool) {
	oldest := uint32(2 * quarter)
	if ends {
		oldest -= uint32(second / holeUnit)
	}
	if age := units(now) - h.opened; age >= oldest && age < 3*quarter || now-s.lastTime >= quarter*holeUnit {
		s.contig = s.nxt
	}
}

// arrived notes that the reverse side has acknowledged what is before ack: it has arrived, captured or not.
func (s *Stream) arrived(h *holes, ack parse.Seq) {
	if s.contig == s.nxt || !ack.After(s.contig) {
		return
	}
	if ack.After(s.nxt) {
		ack = s.nxt
	}
	s.contig = ack
	s.shut(h)
}

const (
	// unknownReorder is how late a hole may be filled to be called reordering while no round trip is
	// known, in ns; leastReorder is the least if one is.
	unknownReorder = 3e6
	leastReorder   = 50e3
	// numberedPart is the part of the limit below which identifications that say "sent later" are not believed: what
	// numbers packets anew on the way makes what came late look so, and a repair that early is rare.
	numberedPart = 8
)

// reorderLimit returns how late a hole may be filled to be called reordering: half a round trip, in ns. A
// sender hears of a loss a round trip after the hole was opened, and what is late by more than a
// fraction of it is taken for lost by senders themselves (RFC 8985 section 6.2). known: the round trip
// is, as the sum of both directions' or from the handshake.
func (c *Conn) reorderLimit() (limit int64, known bool) {
	a, aKnown := c.side[0].cold.leastDelay()
	b, bKnown := c.side[1].cold.leastDelay()
	switch {
	case aKnown && bKnown:
		return max((a+b)/2, leastReorder), true
	case c.handshake.measured():
		return max(c.handshake.rtt()/2, leastReorder), true
	}
	return max((a+b)/2, unknownReorder), false
}

// stampedLimit returns the limit for a segment with a timestamp: three quarters of a round trip, if that is known.
// It need not leave as much to chance, because timestamps show most of what was sent again.
func stampedLimit(limit int64, known bool) int64 {
	if known {
		limit += limit / 2
	}
	return limit
}
