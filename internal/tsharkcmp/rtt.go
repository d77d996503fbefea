package tsharkcmp

import "slices"

// unacked holds the segments of one of tshark's streams that wait for their ACK, without a limit.
type unacked struct {
	sides [2]side
}

// side is one direction's share of it.
type side struct {
	src      string
	segments []segment
	unclear  []segment // sent more than once or out of order, not acknowledged yet
	acked    uint32    // by the other side's latest ACK
	hasAcked bool

	next    uint32 // the highest end that came
	hasNext bool
	probed  bool // the last frame was a keep-alive or a window probe
	oneByte bool // it was one byte sent again, for tshark a keep-alive
}

// segment takes the sequence numbers [seq, end).
type segment struct {
	seq, end uint32
	time     int64 // ns
}

func before(a, b uint32) bool { return int32(a-b) < 0 }

// add takes one frame and returns the RTT sample that its ACK gives for the other direction.
//
// Karn's rule (RFC 6298 section 3) holds strictly: an ACK that newly acknowledges any byte that was sent
// twice or came out of order gives no sample. Which copy was acknowledged is not known, and where a hole was
// filled the ACK jumps after what waited behind it. A RST takes no part: an answer of it to a SYN measures a
// refusal.
func (u *unacked) add(f frame) (rtt float64, ok bool) {
	own, other := u.of(f)
	end := f.end()
	s := segment{f.seq, end, f.time}
	switch {
	case end == f.seq, f.flags&flagRST != 0:
	case f.retrans || f.ooo || f.keep:
		own.unclear = append(own.unclear, s)
	default:
		own.segments = append(own.segments, s)
	}
	if f.flags&flagACK == 0 || f.flags&flagRST != 0 {
		return 0, false
	}
	return other.acknowledge(f.ack, f.time)
}

// acknowledge takes an ACK of the other side.
func (s *side) acknowledge(ack uint32, now int64) (rtt float64, ok bool) {
	clear := !slices.ContainsFunc(s.unclear, func(u segment) bool {
		return before(u.seq, ack) && (!s.hasAcked || before(s.acked, u.end))
	})
	for _, w := range s.segments {
		// A negative time is that of a clock that was set back.
		if w.end == ack && clear && !ok && now-w.time >= 0 {
			rtt, ok = float64(now-w.time)/1e9, true
		}
	}
	covered := func(w segment) bool { return !before(ack, w.end) }
	s.segments = slices.DeleteFunc(s.segments, covered)
	s.unclear = slices.DeleteFunc(s.unclear, covered)
	s.acked, s.hasAcked = ack, true
	return rtt, ok
}

// of finds the frame's own side and the other one.
func (u *unacked) of(f frame) (own, other *side) {
	src := f.dir.Src.String()
	i := 0
	if u.sides[0].src == "" {
		u.sides[0].src = src
	} else if u.sides[0].src != src {
		i = 1
	}
	return &u.sides[i], &u.sides[1-i]
}

// end returns the sequence number behind the frame's.
func (f *frame) end() uint32 {
	end := f.seq + uint32(f.len)
	if f.flags&(flagSYN|flagFIN) != 0 {
		end++
	}
	return end
}

// verdicts holds tshark's verdicts on one frame that the exporter's rules do not share.
type verdicts struct {
	// A retransmission here, and no repeat for tshark: one byte sent again before it is acknowledged, in its
	// eyes a keep-alive, or more than a byte from the last one on, in its eyes what follows a probe.
	missedRepeat bool
	// The answer to one byte sent again, in tshark's eyes that to a keep-alive.
	missedDuplicateACK bool
	// It brings what an ACK captured before it acknowledges. For tshark that is a retransmission; here it is
	// new if the ACK is less than half a round trip old.
	earlyACK bool
}

// verdicts returns the known differences about a frame. Call it before add.
func (u *unacked) verdicts(f frame) (v verdicts) {
	if f.flags&flagRST != 0 {
		return v // takes part in nothing
	}
	own, other := u.of(f)
	end := f.end()
	again := f.keep && f.len == 1 && own.hasAcked && own.acked != end
	repeat := f.retrans || f.ooo
	v.missedRepeat = !repeat && (again || f.len > 1 && own.hasNext && f.seq == own.next-1 && !own.probed)
	v.missedDuplicateACK = f.keepAck && other.oneByte
	v.earlyACK = f.spurious && !(own.hasNext && before(f.seq, own.next))
	own.probed, own.oneByte = f.probe || f.keep && !again, again
	if !f.probe && (!own.hasNext || before(own.next, end)) {
		own.next, own.hasNext = end, true
	}
	return v
}
