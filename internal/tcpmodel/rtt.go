package tcpmodel

import (
	"slices"

	"tcp-stream-exporter/parse"
)

// sentSegment is a segment that waits for its ACK.
type sentSegment struct {
	end  int64 // position
	time int64 // ns
}

// time keeps a segment until its ACK comes, and takes a sample if this one is the ACK of a segment of r.
//
// Karn's rule (RFC 6298 section 3), strictly: no sample from an ACK that newly acknowledges a byte that was
// sent twice or came out of order. Which copy was acknowledged is not known, and an ACK that jumps when a
// hole is filled measures the recovery.
func (f *half) time(r *half, s *segment, class Class) {
	if f.nxtKnown && class != None {
		end := f.at(s.end)
		switch {
		case class != New:
			f.ambiguous = append(f.ambiguous, span{f.at(s.Seq), end})
		case !f.anyAcknowledged || end > f.acknowledged:
			f.waitingSegments = append(f.waitingSegments, sentSegment{end, s.now})
		}
	}
	if s.hasAck && r.nxtKnown {
		r.acknowledge(r.at(s.Ack), s.now)
	}
}

// isRTT reports whether ns can be a round trip: 0 to 137 s, what a clock that was not set shows.
func isRTT(ns int64) bool { return ns >= 0 && ns <= (1<<31-1)*64 }

// acknowledge takes note that everything before to was acknowledged at now.
func (r *half) acknowledge(to, now int64) {
	if r.anyAcknowledged && to <= r.acknowledged {
		return
	}
	clean := !slices.ContainsFunc(r.ambiguous, func(a span) bool {
		return a.from < to && (!r.anyAcknowledged || a.to > r.acknowledged)
	})
	for _, w := range r.waitingSegments {
		if w.end == to && clean && isRTT(now-w.time) {
			r.counts.RTT.add(now - w.time)
		}
	}
	r.waitingSegments = slices.DeleteFunc(r.waitingSegments, func(w sentSegment) bool { return w.end <= to })
	r.ambiguous = slices.DeleteFunc(r.ambiguous, func(a span) bool { return a.to <= to })
	r.acknowledged, r.anyAcknowledged = to, true
}

// handshake measures the round trip from the latest SYN to its side's first ACK without SYN. Other
// segments end no handshake; one whose SYN or SYN+ACK was seen twice gives no figure (Karn).
func (c *Conn) handshake(f *half, s *segment) {
	switch {
	case s.Flags&parse.SYN != 0:
		if s.hasAck {
			f.synACKs++
		} else {
			f.syns++
			c.synTime, c.opener = s.now, f
		}
		c.repeated = c.repeated || f.syns > 1 || f.synACKs > 1
	case s.hasAck && f == c.opener && !c.shaken:
		c.shaken = true
		if rtt := s.now - c.synTime; isRTT(rtt) && !c.repeated {
			c.rtt0, c.rtt0Set = rtt, true
		}
	}
}
