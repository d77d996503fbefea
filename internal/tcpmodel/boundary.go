package tcpmodel

import "tcp-stream-exporter/parse"

// waitingSYN is a SYN with another number on a live connection. It changes nothing until something confirms
// that it was meant: it may be forged.
type waitingSYN struct {
	dir      uint32
	seg      parse.Segment
	time     int64 // ns
	answered int   // packets of the other side when it came
	again    bool  // it came more than once
}

// takeReset counts a RST. One that the receiver accepts ends the connection (RFC 5961 section 3.2); a RST
// takes part in nothing else. One that answers the SYN that waits ends the connection that begins with it.
func (c *Conn) takeReset(dir uint32, s *segment) (begun bool) {
	if w := c.waiting; w != nil && w.dir != dir && s.hasAck && s.Ack == w.seg.Seq+1 && within(s.now, w.time, confirmTime) {
		c.beginWaiting(w)
		begun = true
	}
	f, r := &c.half[dir], &c.half[dir^1]
	f.counts.Packets++
	f.counts.Bytes += uint64(s.Len)
	f.counts.Resets++
	answersSYN := f.taking == 0 && r.syns > 0 && s.hasAck &&
		(r.isNext(s.Ack) || r.taking == r.syns+r.synACKs && r.at(s.Ack) > r.at(r.isn) && r.at(s.Ack) < r.nxt)
	if f.isNext(s.Seq) || r.ackKnown && s.Seq == r.lastAck || answersSYN {
		f.ended, r.ended = true, r.counts.Packets != 0
	}
	return begun
}

// over reports whether each direction that was seen has ended.
func (c *Conn) over() bool {
	a, b := &c.half[0], &c.half[1]
	return (a.ended || b.ended) && (a.ended || a.counts.Packets == 0) && (b.ended || b.counts.Packets == 0)
}

// boundary finds out whether a new connection begins with a segment, or with a SYN that it confirms, or
// whether the segment is a SYN that waits and takes no part.
func (c *Conn) boundary(dir uint32, s *segment) (begun, waits bool) {
	f, r := &c.half[dir], &c.half[dir^1]
	synOnly := s.Flags&(parse.SYN|parse.ACK) == parse.SYN
	synACK := s.Flags&(parse.SYN|parse.ACK) == parse.SYN|parse.ACK

	if synOnly && f.isnKnown && s.Seq != f.isn {
		switch {
		case c.over():
			*c = Conn{}
			return true, false
		case f.isNext(s.Seq) && f.syns == 0 && f.synACKs == 0 && r.syns > 0 && r.synACKs == 0:
			f.isn = s.Seq // split open: it acknowledged the other side's SYN before it sent its own
			return false, false
		case f.syns > 0 && f.taking == f.syns && r.taking == 0:
			earlier := f.isn
			*c = Conn{}
			f.earlier = &earlier
			c.repeated = true // which attempt is answered is not known
			return true, false
		}
		c.wait(dir, s)
		return false, true
	}
	if c.waiting != nil && (!within(s.now, c.waiting.time, confirmTime) || synOnly && c.waiting.dir == dir) {
		c.waiting = nil
	}

	if e := r.earlier; e != nil && f.taking == 0 {
		r.earlier = nil
		if synACK && s.Ack == *e+1 { // the attempt before was the one that is answered
			r.isn, r.nxt, r.holes = *e, int64(s.Ack), nil
			r.waitingSegments, r.ambiguous = nil, nil
		}
	}

	w := c.waiting
	if w == nil {
		return false, false
	}
	byOther := w.dir != dir && synACK && s.Ack == w.seg.Seq+1
	bySelf := w.dir == dir && s.hasAck && !synACK && s.Seq == w.seg.Seq+1 && !f.isNext(s.Seq) && r.taking == w.answered
	if byOther || bySelf {
		c.beginWaiting(w)
		return true, false
	}
	if w.dir == dir && f.isNext(s.Seq) {
		c.waiting = nil // the known connection goes on
	}
	return false, false
}

// wait keeps a SYN until it is confirmed, in place of an older one.
func (c *Conn) wait(dir uint32, s *segment) {
	c.half[dir].counts.Packets++
	again := c.waiting != nil && c.waiting.dir == dir && c.waiting.seg.Seq == s.Seq
	c.waiting = &waitingSYN{dir: dir, seg: *s.Segment, time: s.now, answered: c.half[dir^1].taking, again: again}
}

// beginWaiting starts the new connection with the SYN that waited.
func (c *Conn) beginWaiting(w *waitingSYN) {
	*c = Conn{}
	c.Account(w.dir, &w.seg, w.time)
	if f := &c.half[w.dir]; w.again { // Karn: which copy is answered is not known
		c.repeated = true
		f.ambiguous = append(f.ambiguous, span{f.nxt - 1, f.nxt})
	}
}
