package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// holes is what is known of the holes that are open in a direction, between contig and nxt: where the
// newest one is, and when it and the oldest one that counts were opened. 20 bytes.
type holes struct {
	opened [2]uint32 // ns, when the oldest hole that counts was opened, lower half first: an int64 would take 4 bytes more
	newest uint32    // ns after that, when the newest was; bounded by half a round trip
	start  parse.Seq // the newest hole is from here
	end    parse.Seq // to here
}

// oldest is when the oldest hole that counts was opened, in ns.
func (h *holes) oldest() int64 { return int64(h.opened[1])<<32 | int64(h.opened[0]) }

func (h *holes) setOldest(t int64) { h.opened = [2]uint32{uint32(t), uint32(t >> 32)} }

// age is how long ago the hole was opened that a segment at seq would fill, in ns.
func (h *holes) age(seq parse.Seq, now int64) int64 {
	age := now - h.oldest()
	if !seq.Before(h.start) {
		age -= int64(h.newest)
	}
	return age
}

// onlyNewest forgets all holes but the newest.
func (h *holes) onlyNewest() {
	h.setOldest(h.oldest() + int64(h.newest))
	h.newest = 0
}

// young reports whether an age is below limit. An age below zero is that of a clock that was set back:
// nothing is known then, and it counts as long.
func young(age, limit int64) bool { return uint64(age) < uint64(limit) }

// jump opens a hole from nxt to seq. A hole that is limit old is forgotten: what fills it was sent
// again, and so it counts as seen.
func (s *Stream) jump(h *holes, seq parse.Seq, now, limit int64) {
	switch {
	case s.contig == s.nxt || !young(h.age(h.start, now), limit):
		s.contig = s.nxt
		h.setOldest(now)
	case !young(now-h.oldest(), limit):
		s.contig = h.start
		h.onlyNewest()
	}
	h.newest = uint32(min(now-h.oldest(), math.MaxUint32))
	h.start, h.end = s.nxt, seq
}

// maxWindow is the largest window in bytes (RFC 7323 section 2.3): no hole of a connection lies farther behind.
const maxWindow = 1 << 30

// shut ends the holes before contig.
func (s *Stream) shut(h *holes) {
	if !s.contig.Before(h.end) || s.nxt-s.contig > maxWindow {
		s.contig = s.nxt
	} else if !s.contig.Before(h.start) { // only the newest is left
		h.onlyNewest()
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
)

// reorderLimit is how late a hole may be filled to be called reordering: half a round trip, in ns. A
// sender hears of a loss a round trip after the hole was opened, and what is late by more than a
// fraction of it is taken for lost by senders themselves (RFC 8985 section 6.2). known: the round trip
// is, as the sum of both directions' or from the handshake.
func (c *Conn) reorderLimit() (limit int64, known bool) {
	a, aKnown := c.cold[0].leastDelay()
	b, bKnown := c.cold[1].leastDelay()
	switch {
	case aKnown && bKnown:
		return max((a+b)/2, leastReorder), true
	case c.handshake.measured():
		return max(c.handshake.rtt()/2, leastReorder), true
	}
	return max((a+b)/2, unknownReorder), false
}
