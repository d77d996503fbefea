package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// timedStretches is the most stretches of a direction that wait for their ACKs at once. docs/tshark.md compares
// its figures with an unlimited list of segments.
const timedStretches = 4

// stretch is a part of what is in flight, whose first segment and last one are timed. It reaches from seq to that of the
// next stretch, the newest one to Stream.nxt. How many there are stands in the hot line (Stream.timed), so that an ACK
// with nothing to time does not touch them; all but the newest stand in a line of their own. 16 bytes.
type stretch struct {
	seq   parse.Seq // the end of the one before
	end   parse.Seq // the end of its first segment
	first uint32    // ns after base, its first segment's time
	last  uint32    // its last one's; untimed: not known
}

const (
	timedCount     = 0x0f   // of Stream.timed: how many stretches there are
	timedAmbiguous = 1 << 7 // of Stream.timed: Eventual.ambiguous means something

	// untimed is a time too far from base for 32 bits, or before it.
	untimed = math.MaxUint32
	// rebaseAbove is the farthest after base, in ns, that the oldest stretch may begin.
	rebaseAbove = 1 << 31
	// stretchShare is the part of what is in flight that a stretch holds: a third of it. With a half the longest
	// times of a transfer that fills a queue were missed, with a quarter places would often be wanting.
	stretchShare = 3
	// A pause begins a new stretch if it is pauseFactor times as long as the stretch before it, and longer than
	// leastPause, in ns.
	pauseFactor = 2
	leastPause  = 200e3
	// pauseShare is the part of the time that all stretches take which such a pause must be while no place is
	// free: making room costs more than a segment does otherwise.
	pauseShare = 4
)

// span is the part of sequence space from one number up to before another; empty if they are equal.
type span struct{ from, to parse.Seq }

// time times a new segment [seq, end), unless the reverse side r has acknowledged it already.
func (s *Stream) time(d *Detail, r *Stream, seq, end parse.Seq, now int64) {
	switch {
	case r.flags&ackKnown != 0 && !end.After(r.lastAck):
	case s.timed&timedCount == 0:
		s.timeFirst(d, seq, end, now)
	case !s.timeNext(d, end, uint32(end-r.lastAck), now):
		s.makeRoom(d)
		s.timeNext(d, end, uint32(end-r.lastAck), now)
	}
}

// timeFirst times a new segment [seq, end) while none is in flight.
func (s *Stream) timeFirst(d *Detail, seq, end parse.Seq, now int64) {
	d.base = now
	d.newest = stretch{seq: seq, end: end}
	s.timed++
}

// timeNext times a new segment that ends at end while others are in flight: inFlight bytes, this one's
// included. s.nxt is where it should begin. A new stretch begins when the segment lies a fair part of what
// is in flight after the beginning of the newest one, or after a pause: the times of a stretch's two ends
// would then not date the segments in between. It reports false, and has done nothing, if that takes
// a place and none is free: see makeRoom.
func (s *Stream) timeNext(d *Detail, end parse.Seq, inFlight uint32, now int64) bool {
	q := &d.newest
	at := uint32(min(uint64(now-d.base), untimed))
	far := end-q.end >= parse.Seq(inFlight/stretchShare)
	if pause := at - q.last; far || pause > max(pauseFactor*(q.last-q.first), leastPause) {
		older := s.timed&timedCount - 1
		if older < timedStretches-1 {
			d.older[older] = *q
			q.seq, q.end, q.first = s.nxt, end, at
			s.timed++
		} else if far || pause > (at-d.older[0].first)/pauseShare {
			return false
		}
	}
	q.last = at
	return true
}

// makeRoom merges two neighbours of as many stretches as there is room for: those whose merged times of the segments
// in between are least wrong.
//
//go:noinline
func (s *Stream) makeRoom(d *Detail) {
	var all [timedStretches]stretch
	copy(all[:], d.older[:])
	all[timedStretches-1] = d.newest
	best, least := 0, float32(math.MaxFloat32)
	for i := range timedStretches - 1 {
		q, next, end := &all[i], &all[i+1], s.nxt
		if i+2 < timedStretches {
			end = all[i+2].seq
		}
		bytes := float32(end - q.end)
		slope := float32(int32(next.last-q.first)) / max(bytes, 1)
		first := float32(int32(q.last-q.first)) - slope*float32(int32(next.seq-q.end))
		second := float32(int32(next.first-q.first)) - slope*float32(next.end-q.end)
		if wrong := bytes * max(first, -first, second, -second); wrong < least {
			best, least = i, wrong
		}
	}
	all[best].last = all[best+1].last
	copy(all[best+1:], all[best+2:])
	copy(d.older[:], all[:timedStretches-2])
	d.newest = all[timedStretches-2]
	s.timed--
}

// markAmbiguous marks [seq, end) as sent twice or out of order. acked is the reverse side's latest acknowledgment number.
func (s *Stream) markAmbiguous(d *Detail, seq, end, acked parse.Seq, ackKnown bool) {
	a := &d.ambiguous
	if s.timed&timedAmbiguous == 0 || ackKnown && !a.to.After(acked) {
		s.timed |= timedAmbiguous
		*a = span{seq, end}
		return
	}
	if seq.Before(a.from) {
		a.from = seq
	}
	if end.After(a.to) {
		a.to = end
	}
}

// overlaps reports whether an ACK that comes after one of before newly acknowledges some of a: which copy, or
// whether it waited for a repair, is not known (RFC 6298 section 3).
func (a *span) overlaps(before, ack parse.Seq) bool {
	return ack.After(a.from) && before.Before(a.to)
}

// noSample stands for an RTT sample where there is none.
const noSample = -1

// acked takes the RTT sample of an ACK of the other side that advances from before, and ends the timing of
// the stretches that it covers. There must be a stretch. It returns the sample, or noSample.
func (s *Stream) acked(d *Detail, before, ack parse.Seq, now int64) int64 {
	if ack != s.nxt {
		return s.ackedSome(d, before, ack, now)
	}
	// All of them, as most ACKs do.
	timed, last := s.timed, d.newest.last
	s.timed = 0
	if last != untimed && (timed&timedAmbiguous == 0 || !d.ambiguous.overlaps(before, ack)) {
		return d.exact(now - d.base - int64(last))
	}
	return noSample
}

// ackedSome is acked for an ACK of not just everything.
//
//go:noinline
func (s *Stream) ackedSome(d *Detail, before, ack parse.Seq, now int64) (rtt int64) {
	if ack.After(s.nxt) { // of what was never seen: when it was sent is not known
		s.timed = 0
		return noSample
	}
	older := d.older[:min(s.timed&timedCount-1, timedStretches-1)]
	// It acknowledges some of the last stretch that begins before it.
	q, end, gone := &d.newest, s.nxt, len(older)
	for ; gone > 0 && !ack.After(q.seq); gone-- {
		q, end = &older[gone-1], q.seq
	}
	if !ack.After(q.seq) {
		return noSample
	}
	rtt = noSample
	if s.timed&timedAmbiguous == 0 || !d.ambiguous.overlaps(before, ack) {
		rtt = d.interpolate(q, end, ack, now)
	} else if !d.ambiguous.to.After(ack) {
		s.timed &^= timedAmbiguous
	}
	late := q.first > rebaseAbove
	copy(older, older[gone:])
	s.timed -= uint8(gone)
	if late {
		d.rebase(len(older) - gone)
	}
	return rtt
}

// interpolate takes the sample of an ACK of some of a stretch, which ends at end: exact if a timed segment
// ends at ack, otherwise as if the segments in between had been sent evenly.
func (d *Detail) interpolate(q *stretch, end, ack parse.Seq, now int64) int64 {
	since := now - d.base
	switch from := q.end; {
	case q.first == untimed:
	case ack == from:
		return d.exact(since - int64(q.first))
	case ack.Before(from):
		return d.between(since - int64(q.first))
	case q.last == untimed:
	case ack == end:
		return d.exact(since - int64(q.last))
	default:
		part := float64(ack-from) / float64(end-from)
		return d.between(since - int64(q.first) - int64(part*float64(q.last-q.first)))
	}
	return noSample
}

// rebase makes the times of all stretches, as many older ones and the newest, count from the first of them.
func (d *Detail) rebase(older int) {
	shift := d.newest.first
	if older > 0 {
		shift = d.older[0].first
	}
	if shift == untimed {
		return
	}
	d.base += int64(shift)
	for i := range older {
		d.older[i].rebase(shift)
	}
	d.newest.rebase(shift)
}

func (q *stretch) rebase(shift uint32) {
	for _, at := range []*uint32{&q.first, &q.last} {
		if *at != untimed {
			*at -= shift
		}
	}
}

// exact takes one RTT in ns, of a single segment, and returns it. A clock that was set gives none.
func (d *Detail) exact(rtt int64) int64 {
	if !isPeriod(rtt) {
		return noSample
	}
	if d.delayN == 0 {
		d.minDelay, d.maxDelay = math.MaxUint32, 0
	}
	p := periodOf(rtt)
	d.minDelay, d.maxDelay = min(d.minDelay, p), max(d.maxDelay, p)
	d.delay.take(&d.delayN, float32(rtt))
	return rtt
}

// between is exact for an RTT that was interpolated: it is neither minimum nor maximum.
func (d *Detail) between(rtt int64) int64 {
	if !isPeriod(rtt) {
		return noSample
	}
	if d.delayN == 0 {
		d.minDelay, d.maxDelay = math.MaxUint32, 0
	}
	d.delay.take(&d.delayN, float32(rtt))
	return rtt
}

// leastDelay returns the smallest exact RTT sample in ns; known: there is one.
func (d *Detail) leastDelay() (ns int64, known bool) {
	if d.delayN == 0 || d.minDelay > d.maxDelay {
		return 0, false
	}
	return d.minDelay.ns(), true
}
