package stream

import "math"

// Never as an age keeps silent streams for ever; as a deadline it does not come.
const Never = math.MaxInt64

// Ages are how long, in ns, a silent stream is kept: above zero, Never for ever.
type Ages struct {
	Stream    int64 // since the latest packet
	Finalized int64 // since the latest packet, once a FIN or RST was seen
	Syn       int64 // since the latest packet, while only SYNs were seen
}

// Shortest returns the age below which nothing can have expired.
func (a *Ages) Shortest() int64 { return min(a.Stream, a.Finalized, a.Syn) }

// deadline returns when direction dir expires, or Never.
func (c *Conn) deadline(dir int, a *Ages) int64 {
	s := &c.side[dir&1].hot
	age := a.Stream
	switch {
	case s.flags&finalized != 0:
		age = a.Finalized
	case c.state&established == 0:
		age = a.Syn
	}
	if age == Never || s.lastTime > Never-age {
		return Never
	}
	return s.lastTime + age
}

// Deadline returns when the first of the connection's streams expires, in ns, or Never.
func (c *Conn) Deadline(a *Ages) int64 {
	return min(c.deadline(0, a), c.deadline(1, a))
}

// Expire drops the streams whose deadline has come, counts them in t, and reports whether the
// connection is empty now.
func (c *Conn) Expire(now int64, a *Ages, t *Tally) (empty bool) {
	empty = true
	for i := range c.side {
		s := &c.side[i].hot
		if s.packets == 0 {
			continue
		}
		if c.deadline(i, a) > now {
			empty = false
			continue
		}
		t.Gone.note(c, i)
		t.Expired++
		if r := &c.side[i^1].hot; r.packets == 0 && r.flags&isnKnown != 0 && s.flags&ackKnown != 0 && s.lastAck.After(r.isn.Add(1)) {
			t.OneSided++
		}
		t.Streams--
		if s.flags&finalized == 0 {
			t.Active--
		}
		*s = Stream{lastTime: never, wscale: scaleUnknown}
		c.closeFastPath()
		c.side[i].cold = Detail{}
	}
	return empty
}

// QuietSince reports whether one of the streams has seen no packet after t: a cheap test for the
// packet path. With t the shortest age ago, Expire has nothing to do unless it holds.
func (c *Conn) QuietSince(t int64) bool {
	return c.side[0].hot.lastTime <= t || c.side[1].hot.lastTime <= t
}
