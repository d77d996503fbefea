package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// timedSegments is how many unacknowledged segments of a direction are timed at once: the oldest
// ones and the newest. What that costs against an unlimited list is in docs/tshark.md.
const timedSegments = 4

// timedRing holds the segments that wait for an ACK of exactly their end, in a circle of
// timedSegments places. Which places are in use and which are ambiguous stands in the hot line
// (Stream.timed, Stream.dirty), so that an ACK with nothing to time does not touch it.
type timedRing struct {
	base  int64                    // ns, when the first segment since the circle was empty was seen
	end   [timedSegments]parse.Seq // sequence number that acknowledges the segment
	delta [timedSegments]uint32    // ns after base
	len   [timedSegments]uint16    // sequence space taken, at most 65535 noted
}

const (
	timedMask  = timedSegments - 1 // timedSegments is a power of two
	timedCount = 0x0f              // of Stream.timed: how many places are in use
	timedHead  = 4                 // shift in Stream.timed: the place of the oldest
)

// timeSegment starts timing a segment [.., end) of direction dir that took n numbers of sequence
// space.
func (c *Conn) timeSegment(dir, n uint32, end parse.Seq, now int64) {
	s, t := &c.hot[dir&1], &c.cold[dir&1].timed
	if s.timed&timedCount == 0 {
		s.timeFirst(t, n, end, now)
	} else {
		s.timeNext(t, n, end, now)
	}
}

// timeFirst is timeSegment while no other waits.
func (s *Stream) timeFirst(t *timedRing, n uint32, end parse.Seq, now int64) {
	t.base = now
	t.end[0], t.delta[0], t.len[0] = end, 0, uint16(min(n, math.MaxUint16))
	s.timed, s.dirty = 1, 0
}

// timeNext is timeSegment while others wait.
func (s *Stream) timeNext(t *timedRing, n uint32, end parse.Seq, now int64) {
	// When all places are taken the newest gives way: of a burst, the last segment is the one whose
	// very end an ACK names, and often the slowest.
	count := min(s.timed&timedCount, timedSegments-1)
	delta := now - t.base
	if uint64(delta) > math.MaxUint32 { // 4.3 s after the oldest, or a clock that stepped back
		return
	}
	i := (s.timed>>timedHead + count) & timedMask
	t.end[i], t.delta[i], t.len[i] = end, uint32(delta), uint16(min(n, math.MaxUint16))
	s.dirty &^= 1 << i
	s.timed = s.timed&^timedCount | (count + 1)
}

// spoil marks the timed segments that overlap [seq, end) as sent more than once: their ACK says
// nothing about the path (Karn's rule, RFC 6298 section 3).
func (s *Stream) spoil(d *Detail, seq, end parse.Seq) {
	t := &d.timed
	for k := range s.timed & timedCount {
		i := (s.timed>>timedHead + k) & timedMask
		if seq.Before(t.end[i]) && (t.end[i] - parse.Seq(t.len[i])).Before(end) {
			s.dirty |= 1 << i
		}
	}
}

// acked ends the timing of every segment of direction dir that ack covers; the one that ends
// exactly there gives an RTT sample.
func (c *Conn) acked(dir uint32, ack parse.Seq, now int64) {
	s, d := &c.hot[dir&1], &c.cold[dir&1]
	t := &d.timed
	count, i := s.timed&timedCount, s.timed>>timedHead
	if last := (i + count - 1) & timedMask; !t.end[last].After(ack) {
		// All of them, as most ACKs do: ends rise.
		s.timed = 0
		if t.end[last] == ack && s.dirty>>last&1 == 0 {
			d.sample(now - t.base - int64(t.delta[last]))
		}
		return
	}
	for count > 0 {
		at := i & timedMask
		end := t.end[at]
		if end.After(ack) {
			break
		}
		if end == ack && s.dirty>>at&1 == 0 {
			d.sample(now - t.base - int64(t.delta[at]))
		}
		i++
		count--
	}
	s.timed = i&timedMask<<timedHead | count
}

// sample takes one RTT in ns. A clock that stepped back gives none.
func (d *Detail) sample(rtt int64) {
	if rtt < 0 {
		return
	}
	if d.delayN == 0 {
		d.minDelay = rtt
	}
	d.minDelay, d.maxDelay = min(d.minDelay, rtt), max(d.maxDelay, rtt)
	d.delay.take(&d.delayN, float32(rtt))
}
