package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// timedSegments is how many unacknowledged segments of a direction are timed at once. Segments
// beyond it go untimed: min and max stay within 5 % of an unlimited list's for 98 % of streams.
const timedSegments = 4

// timedRing holds the segments that wait for an ACK of exactly their end, oldest first. Which of
// its entries are in use and which are ambiguous stands in the hot line (rttLen, rttDirty), so
// that an ACK with nothing to time does not touch it.
type timedRing struct {
	base  int64                    // ns, when the oldest entry was seen
	end   [timedSegments]parse.Seq // sequence number that acknowledges the segment
	delta [timedSegments]uint32    // ns after base
	len   [timedSegments]uint16    // sequence space taken, at most 65535 noted
}

// timeSegment starts timing a segment [.., end) that took n numbers of sequence space.
func (s *Stream) timeSegment(d *Detail, end parse.Seq, n uint32, now int64) {
	i := s.rttLen
	if i >= timedSegments {
		return
	}
	t := &d.timed
	if i == 0 {
		t.base = now
		s.rttDirty = 0
	}
	delta := now - t.base
	if delta < 0 || delta > math.MaxUint32 {
		return
	}
	t.end[i], t.delta[i], t.len[i] = end, uint32(delta), uint16(min(n, math.MaxUint16))
	s.rttLen = i + 1
}

// spoil marks the timed segments that overlap [seq, end) as sent more than once: their ACK says
// nothing about the path (Karn's rule, RFC 6298 section 3).
func (s *Stream) spoil(d *Detail, seq, end parse.Seq) {
	t := &d.timed
	for i := range min(s.rttLen, timedSegments) {
		if seq.Before(t.end[i]) && (t.end[i] - parse.Seq(t.len[i])).Before(end) {
			s.rttDirty |= 1 << i
		}
	}
}

// acked ends the timing of every segment that ack covers; the one that ends exactly there gives
// an RTT sample.
func (s *Stream) acked(d *Detail, ack parse.Seq, now int64) {
	t := &d.timed
	n := uint8(0)
	for n < s.rttLen && n < timedSegments && !t.end[n].After(ack) {
		n++
	}
	if n == 0 {
		return
	}
	last := (n - 1) % timedSegments
	if t.end[last] == ack && s.rttDirty&(1<<last) == 0 {
		d.sample(now - t.base - int64(t.delta[last]))
	}
	left := s.rttLen - n
	s.rttLen = left
	s.rttDirty >>= n
	if left == 0 || n >= timedSegments {
		return
	}
	first := t.delta[n]
	t.base += int64(first)
	for i := range left % timedSegments {
		j := (i + n) % timedSegments
		t.end[i], t.delta[i], t.len[i] = t.end[j], t.delta[j]-first, t.len[j]
	}
}

// sample takes one RTT in ns. A clock that stepped back gives none.
func (d *Detail) sample(rtt int64) {
	if rtt < 0 {
		return
	}
	if d.delayN == 0 || rtt < d.minDelay {
		d.minDelay = rtt
	}
	if rtt > d.maxDelay {
		d.maxDelay = rtt
	}
	if d.delayN != math.MaxUint32 {
		d.delayN++
	}
	d.delay.add(float32(rtt)*1e-9, weights[min(d.delayN, delayWindow+1)])
}
