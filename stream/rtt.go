package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// timedStretches is the most stretches of a direction that wait for their ACKs at once. docs/tshark.md compares
// its figures with an unlimited list of segments.
const timedStretches = 4

// stretches are consecutive parts of what is in flight, in a circle of timedStretches places. Of each, the
// first segment and the last are timed; a stretch reaches from the end of the one before it to seq of the
// next, the newest one to Stream.nxt. Which places are in use stands in the hot line (Stream.timed), so
// that an ACK with nothing to time does not touch them. 72 bytes.
type stretches struct {
	base  int64                     // ns, what times count from: the first segment since the circle was empty, or later
	seq   [timedStretches]parse.Seq // the end before the stretch
	end   [timedStretches]parse.Seq // the end of its first segment
	first [timedStretches]uint32    // ns after base, its first segment's time
	last  [timedStretches]uint32    // its last one's; untimed: not known
}

const (
	timedMask   = timedStretches - 1 // timedStretches is a power of two
	timedCount  = 0x0f               // of Stream.timed: how many places are in use
	timedNewest = 4                  // shift in Stream.timed: the place of the newest

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
	case s.timed == 0:
		s.timeFirst(&d.stretches, seq, end, now)
	case !s.timeNext(&d.stretches, end, uint32(end-r.lastAck), now):
		s.makeRoom(&d.stretches)
		s.timeNext(&d.stretches, end, uint32(end-r.lastAck), now)
	}
}

// timeFirst times a new segment [seq, end) while none is in flight.
func (s *Stream) timeFirst(q *stretches, seq, end parse.Seq, now int64) {
	q.base = now
	q.seq[0], q.end[0], q.first[0], q.last[0] = seq, end, 0, 0
	s.timed = 1
}

// timeNext times a new segment that ends at end while others are in flight: inFlight bytes, this one's
// included. s.nxt is where it should begin. A new stretch begins when the segment lies a fair part of what
// is in flight after the beginning of the newest one, or after a pause: the times of a stretch's two ends
// would then not date the segments in between. It reports false, and has done nothing, if that takes
// a place and none is free: see makeRoom.
func (s *Stream) timeNext(q *stretches, end parse.Seq, inFlight uint32, now int64) bool {
	newest := s.timed >> timedNewest & timedMask
	at := uint32(min(uint64(now-q.base), untimed))
	last, count := q.last[newest], s.timed&timedCount
	far := end-q.end[newest] >= parse.Seq(inFlight/stretchShare)
	if pause := at - last; far || pause > max(pauseFactor*(last-q.first[newest]), leastPause) {
		if count == timedStretches {
			if far || pause > (at-q.first[(newest+1)&timedMask])/pauseShare {
				return false
			}
			q.last[newest] = at
			return true
		}
		newest = (newest + 1) & timedMask
		q.seq[newest], q.end[newest], q.first[newest] = s.nxt, end, at
		s.timed = newest<<timedNewest | (count + 1)
	}
	q.last[newest] = at
	return true
}

// makeRoom merges two neighbouring stretches of a full circle: those whose merged times of the segments in
// between are least wrong.
//
//go:noinline
func (s *Stream) makeRoom(q *stretches) {
	newest := s.timed >> timedNewest & timedMask
	best, least := uint8(0), float32(math.MaxFloat32)
	for k := range uint8(timedStretches - 1) {
		i := (newest + 1 + k) & timedMask
		j := (i + 1) & timedMask
		end := s.nxt
		if j != newest {
			end = q.seq[(j+1)&timedMask]
		}
		bytes := float32(end - q.end[i])
		slope := float32(int32(q.last[j]-q.first[i])) / max(bytes, 1)
		first := float32(int32(q.last[i]-q.first[i])) - slope*float32(int32(q.seq[j]-q.end[i]))
		second := float32(int32(q.first[j]-q.first[i])) - slope*float32(q.end[j]-q.end[i])
		if wrong := bytes * max(first, -first, second, -second); wrong < least {
			best, least = i, wrong
		}
	}
	j := (best + 1) & timedMask
	q.last[best] = q.last[j]
	for ; j != newest; j = (j + 1) & timedMask {
		next := (j + 1) & timedMask
		q.seq[j], q.end[j], q.first[j], q.last[j] = q.seq[next], q.end[next], q.first[next], q.last[next]
	}
	s.timed = (newest-1)&timedMask<<timedNewest | (timedStretches - 1)
}

// markAmbiguous marks [seq, end) as sent twice or out of order. acked is the reverse side's latest acknowledgment number.
func (a *span) markAmbiguous(seq, end, acked parse.Seq, ackKnown bool) {
	if a.from == a.to || ackKnown && !a.to.After(acked) {
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
	return a.from != a.to && ack.After(a.from) && before.Before(a.to)
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
	q := &d.stretches
	newest := s.timed >> timedNewest & timedMask
	s.timed = 0
	if last := q.last[newest]; last != untimed && !d.ambiguous.overlaps(before, ack) {
		return d.exact(now - q.base - int64(last))
	}
	return noSample
}

// ackedSome is acked for an ACK of not just everything.
//
//go:noinline
func (s *Stream) ackedSome(d *Detail, before, ack parse.Seq, now int64) (rtt int64) {
	q := &d.stretches
	if ack.After(s.nxt) { // of what was never seen: when it was sent is not known
		s.timed = 0
		return noSample
	}
	count, newest := s.timed&timedCount, s.timed>>timedNewest
	at := (newest - count + 1) & timedMask
	if !ack.After(q.seq[at]) {
		return noSample
	}
	end := s.nxt
	for ; count > 1; count-- {
		next := (at + 1) & timedMask
		if start := q.seq[next]; !start.Before(ack) {
			end = start
			break
		}
		at = next
	}
	rtt = noSample
	if !d.ambiguous.overlaps(before, ack) {
		rtt = q.interpolate(d, at, end, ack, now)
	}
	s.timed = newest<<timedNewest | count
	if q.first[at] > rebaseAbove {
		q.rebase(at, count)
	}
	return rtt
}

// interpolate takes the sample of an ACK of some of stretch i, which ends at end: exact if a timed segment
// ends at ack, otherwise as if the segments in between had been sent evenly.
func (q *stretches) interpolate(d *Detail, i uint8, end, ack parse.Seq, now int64) int64 {
	first, last := q.first[i&timedMask], q.last[i&timedMask]
	since := now - q.base
	switch from := q.end[i&timedMask]; {
	case first == untimed:
	case ack == from:
		return d.exact(since - int64(first))
	case ack.Before(from):
		return d.between(since - int64(first))
	case last == untimed:
	case ack == end:
		return d.exact(since - int64(last))
	default:
		part := float64(ack-from) / float64(end-from)
		return d.between(since - int64(first) - int64(part*float64(last-first)))
	}
	return noSample
}

// rebase makes the times of count stretches from place i on count from the first of them.
func (q *stretches) rebase(i, count uint8) {
	shift := q.first[i&timedMask]
	if shift == untimed {
		return
	}
	q.base += int64(shift)
	for ; count > 0; count-- {
		for _, at := range []*uint32{&q.first[i&timedMask], &q.last[i&timedMask]} {
			if *at != untimed {
				*at -= shift
			}
		}
		i++
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
