package tcpmodel

import "tcp-stream-exporter/parse"

// Class classifies a segment with payload, SYN or FIN.
type Class uint8

const (
	None           Class = iota // takes no sequence space, or is a keep-alive, a zero-window probe or a RST
	New                         // brings what was neither sent nor passed by before
	Retransmission              // some of it was sent before
	OutOfOrder                  // sent once, and overtaken
)

func (c Class) String() string {
	return [...]string{"none", "new", "retransmission", "out of order"}[c]
}

// Counts are the figures of one direction.
type Counts struct {
	Packets, Bytes uint64
	Retransmits    uint32
	OutOfOrder     uint32
	Gaps           uint32
	DuplicateACKs  uint32
	ZeroWindows    uint32
	Resets         uint32
	RTT            Samples
}

// Samples sums up round-trip times in ns.
type Samples struct {
	N        int
	Sum      float64
	Min, Max int64 // meaningless while N is 0
}

// Mean returns the average in ns, 0 without samples.
func (s *Samples) Mean() float64 { return s.Sum / max(1, float64(s.N)) }

func (s *Samples) add(rtt int64) {
	if s.N == 0 || rtt < s.Min {
		s.Min = rtt
	}
	if s.N == 0 || rtt > s.Max {
		s.Max = rtt
	}
	s.N++
	s.Sum += float64(rtt)
}

// Verdict is the result of Account for one segment.
type Verdict struct {
	Class Class

	// Begun: a new connection began. The counts of both directions started afresh, with this segment or
	// with the SYN that it confirms.
	Begun bool

	// The fields below show how certain the class is. They are set where a time was compared with half the round
	// trip (Timed), or where a segment lies before the highest end seen.
	Timed     bool
	Age       int64 // ns, since the hole was opened or the ACK came; compared with Threshold
	Threshold int64 // ns, half the round trip
	Known     bool  // the round trip is: from samples of both directions, or from the handshake
	// Acknowledged: the other side had acknowledged all of the segment before.
	Acknowledged bool
	// Holes counts what was opened within the threshold, with an eighth and 100 µs to spare: holes, and
	// pieces that a fill left of a hole other than its last part. With two or more, a pair of marks does
	// not know which bytes are missing.
	Holes int
	// Straddling: the segment begins in a hole and ends behind it, so that some of it was seen.
	Straddling bool
	// Trailing: the segment ends at the highest end seen, and its last byte is missing all the same: an
	// empty segment went ahead of it.
	Trailing bool
}

// Limits in ns.
const (
	unknownThreshold = 3e6  // half the round trip while nothing is known of it
	leastThreshold   = 50e3 // coarse clocks measure round trips of 0
	fastTime         = 20e6 // how recent the duplicate ACKs of a fast retransmission must be
	confirmTime      = 64e9 // how long a SYN waits for its confirmation
)

// Conn is a connection. The zero value has seen no packet.
type Conn struct {
	half [2]half

	synTime  int64
	opener   *half // side of the latest SYN; nil: none was seen
	repeated bool  // a SYN or SYN+ACK was seen twice
	shaken   bool  // the handshake is over, measured or not
	rtt0     int64 // ns, of the handshake
	rtt0Set  bool

	waiting *waitingSYN
}

// half is one direction.
type half struct {
	counts Counts

	taking          int // packets that took part: neither a RST nor a SYN that waits
	syns, synACKs   int
	ended           bool // by a FIN, or by a RST of either side, and no new payload since
	isnKnown        bool
	isn             parse.Seq
	earlier         *parse.Seq // the number of the attempt before, while nothing answered
	nxtKnown        bool
	nxt             int64 // highest end seen, as a position: see at
	holes           []hole
	openings        []int64 // ns, see Verdict.Holes
	ackKnown        bool
	lastAck         parse.Seq
	ackTime         int64 // ns, when lastAck last advanced
	lastTime        int64 // ns
	lastWin         uint16
	dupRun          int
	lastProbe       bool
	lastKeepAlive   bool
	firstEmpty      bool // the first packet took no sequence space
	waitingSegments []sentSegment
	ambiguous       []span // what was sent twice or out of order, not acknowledged yet
	acknowledged    int64  // highest position acknowledged
	anyAcknowledged bool
}

// Counts returns the figures of direction dir.
func (c *Conn) Counts(dir uint32) Counts { return c.half[dir&1].counts }

// at turns a sequence number into a position: the number without its wrap, counted on from where the
// direction stands. nxt must be known.
func (h *half) at(s parse.Seq) int64 { return h.nxt + int64(int32(s-parse.Seq(h.nxt))) }

// isNext reports whether s is the next expected sequence number.
func (h *half) isNext(s parse.Seq) bool { return h.nxtKnown && s == parse.Seq(h.nxt) }

// within reports whether less than limit passed since then. A clock that went back counts as a long time.
func within(now, then, limit int64) bool { return now >= then && now-then < limit }

// segment is one segment with what is needed of it again and again.
type segment struct {
	*parse.Segment
	now        int64
	end        parse.Seq
	hasAck     bool
	synFin     bool
	sameAck    bool // as that of the packet before
	probe      bool
	keepAlive  bool
	takesSpace bool // payload, SYN or FIN
}

// Account accounts a segment of direction dir, the index of its sender, captured at now in ns.
func (c *Conn) Account(dir uint32, seg *parse.Segment, now int64) Verdict {
	f, r := &c.half[dir&1], &c.half[dir&1^1]
	s := segment{
		Segment: seg, now: now, end: seg.Seq.Add(seg.Len),
		hasAck: seg.Flags&parse.ACK != 0, synFin: seg.Flags&(parse.SYN|parse.FIN) != 0,
	}
	if s.synFin {
		s.end++
	}
	s.takesSpace = s.end != seg.Seq

	if seg.Flags&parse.RST != 0 {
		return Verdict{Begun: c.takeReset(dir&1, &s)}
	}
	begun, waits := c.boundary(dir&1, &s)
	if waits {
		return Verdict{}
	}
	v := c.take(f, r, &s)
	v.Begun = begun
	return v
}

// take accounts a segment that is part of the connection.
func (c *Conn) take(f, r *half, s *segment) Verdict {
	f.counts.Packets++
	f.counts.Bytes += uint64(s.Len)
	f.learnISN(r, s)
	r.acceptByte(s)

	threshold, known := c.threshold()
	f.describe(r, s)
	if s.hasAck && !s.sameAck {
		f.dupRun = 0
	}
	v := Verdict{Threshold: threshold, Known: known}
	if s.takesSpace && !s.keepAlive && !s.probe {
		v = f.classify(r, s, threshold, known)
		switch v.Class {
		case Retransmission:
			f.counts.Retransmits++
		case OutOfOrder:
			f.counts.OutOfOrder++
		}
	}
	if !s.probe {
		if s.Len > 0 && !s.synFin && f.nxtKnown && f.at(s.end) > f.nxt {
			f.ended = false // the end was forged, or the other side did not accept it
		}
		f.advance(s)
	}
	if s.hasAck && r.nxtKnown {
		r.arrived(min(r.at(s.Ack), r.nxt))
	}
	f.time(r, s, v.Class)
	c.handshake(f, s)
	f.remember(s)
	return v
}

func (f *half) learnISN(r *half, s *segment) {
	if !f.isnKnown {
		f.isn, f.isnKnown = s.Seq, true
		if s.Flags&parse.SYN == 0 {
			f.isn--
		}
	}
	if s.hasAck && !r.isnKnown {
		r.isn, r.isnKnown = s.Ack-1, true
	}
}

// acceptByte finds out, from an ACK of one byte more than was seen of r, that r's last packet brought this
// byte: an empty first packet was a keep-alive, or the receiver took a zero-window probe's byte.
func (r *half) acceptByte(s *segment) {
	first := r.taking == 1 && r.firstEmpty
	if s.hasAck && r.nxtKnown && s.Ack == parse.Seq(r.nxt+1) && (first || r.lastProbe) {
		r.nxt++
		r.arrived(r.nxt)
		r.lastKeepAlive = first
	}
}

// threshold returns half the round trip in ns, and whether the round trip is known.
func (c *Conn) threshold() (limit int64, known bool) {
	a, b := &c.half[0].counts.RTT, &c.half[1].counts.RTT
	switch {
	case a.N != 0 && b.N != 0:
		return max(leastThreshold, (a.Min+b.Min)/2), true
	case c.rtt0Set:
		return max(leastThreshold, c.rtt0/2), true
	case a.N != 0:
		return max(unknownThreshold, a.Min/2), false
	case b.N != 0:
		return max(unknownThreshold, b.Min/2), false
	}
	return unknownThreshold, false
}

// describe finds the properties of a segment besides its class, and counts it.
func (f *half) describe(r *half, s *segment) {
	s.sameAck = s.hasAck && f.ackKnown && s.Ack == f.lastAck
	if s.Len == 1 && f.isNext(s.Seq) && r.taking != 0 && r.lastWin == 0 {
		s.probe = true
		return
	}
	if s.Window == 0 && !s.synFin {
		f.counts.ZeroWindows++
	}
	if !f.nxtKnown {
		return
	}
	if f.at(s.Seq) > f.nxt {
		f.counts.Gaps++
	}
	nothingOutstanding := !r.ackKnown || f.isNext(r.lastAck)
	s.keepAlive = !s.synFin && s.Seq == parse.Seq(f.nxt-1) && (s.Len == 0 || s.Len == 1 && nothingOutstanding)

	pure := s.Len == 0 && !s.synFin && f.isNext(s.Seq) && s.sameAck
	if pure && s.Window != 0 && s.Window == f.lastWin && !r.lastKeepAlive {
		f.counts.DuplicateACKs++
		f.dupRun++
	}
}

// classify returns the verdict on a segment that takes sequence space.
func (f *half) classify(r *half, s *segment, threshold int64, known bool) Verdict {
	v := Verdict{Class: New, Threshold: threshold, Known: known}
	if !f.nxtKnown {
		return v
	}
	seq, end := f.at(s.Seq), f.at(s.end)
	ahead := seq >= f.nxt
	if s.Len > 0 && r.ackKnown && !s.Seq.Add(s.Len).After(r.lastAck) {
		v.Class, v.Acknowledged = Retransmission, true
		if ahead { // unless the capture has the ACK before the data: nobody acknowledges what was not sent
			v.Timed, v.Age = true, s.now-r.ackTime
			if within(s.now, r.ackTime, threshold) {
				v.Class = New
			}
		}
		return v
	}
	withProbe := s.Len > 1 && seq == f.nxt-1 && (f.lastKeepAlive || f.lastProbe)
	answersSYN := s.Flags&(parse.SYN|parse.ACK) == parse.SYN|parse.ACK && f.syns > 0 && f.synACKs == 0
	if ahead || withProbe || answersSYN {
		return v
	}

	v.Holes = f.openWithin(s.now, 2*threshold+100e3)
	h := f.holeAround(seq, min(end, f.nxt))
	if h == nil {
		v.Class = Retransmission // some of it was seen, or acknowledged
		v.Straddling = f.holeAround(seq, seq+1) != nil
		return v
	}
	v.Trailing = end == f.nxt
	soonest := int64(50e3)
	if known {
		soonest = threshold / 8
	}
	if h.countedBefore(s) && !within(s.now, h.opened, soonest) {
		v.Class = Retransmission
		v.Timed, v.Age = within(s.now, h.opened, threshold), s.now-h.opened
		return v
	}
	if !known && r.dupRun >= 2 && s.Seq == r.lastAck && within(s.now, r.lastTime, fastTime) {
		v.Class = Retransmission // the receiver asks for it
		return v
	}
	v.Class = Retransmission
	if h.precedes(s) {
		return v
	}
	v.Timed, v.Age = true, s.now-h.opened
	if h.stamped && s.stamped() && known {
		threshold += threshold / 2
		v.Threshold = threshold
	}
	if within(s.now, h.opened, threshold) {
		v.Class = OutOfOrder // too soon for a repair: the sender could not know of a loss yet
	}
	return v
}

// remember keeps the state that the next packets need of this one.
func (f *half) remember(s *segment) {
	if s.hasAck {
		if !f.ackKnown || s.Ack.After(f.lastAck) {
			f.ackTime = s.now
		}
		f.lastAck, f.ackKnown = s.Ack, true
	}
	f.ended = f.ended || s.Flags&parse.FIN != 0
	f.lastWin, f.lastTime = s.Window, s.now
	f.lastProbe, f.lastKeepAlive = s.probe, s.keepAlive
	f.taking++
}
