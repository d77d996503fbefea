package tsharkcmp

// unacked holds the segments of one of tshark's streams that wait for their ACK, without a limit.
type unacked struct {
	sides [2]side
}

type side struct {
	src      string
	segments []segment
}

// segment takes the sequence numbers [seq, end).
type segment struct {
	seq, end  uint32
	time      int64 // ns
	ambiguous bool  // some of it was sent more than once, or came out of order (RFC 6298 section 3)
}

func before(a, b uint32) bool { return int32(a-b) < 0 }

// add takes one frame and returns the RTT sample that its ACK gives for the other direction.
func (u *unacked) add(f frame) (rtt float64, ok bool) {
	own, other := u.of(f)
	end := f.seq + uint32(f.len)
	if f.flags&(flagSYN|flagFIN) != 0 {
		end++
	}
	switch {
	case end == f.seq:
	case f.retrans || f.ooo || f.keep:
		for i := range own.segments {
			if s := &own.segments[i]; before(f.seq, s.end) && before(s.seq, end) {
				s.ambiguous = true
			}
		}
	default:
		own.segments = append(own.segments, segment{seq: f.seq, end: end, time: f.time})
	}
	if f.flags&flagACK == 0 {
		return 0, false
	}
	left := other.segments[:0]
	for _, s := range other.segments {
		switch {
		case before(f.ack, s.end):
			left = append(left, s)
		case s.end == f.ack && !s.ambiguous && !ok:
			rtt, ok = float64(f.time-s.time)/1e9, true
		}
	}
	other.segments = left
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
