package stream

import "tcp-stream-exporter/parse"

// idleTime is how long both directions must have been silent before a SYN with a new sequence
// number takes the four-tuple over without being confirmed: Linux keeps a closed pair of ports
// from being used again for as long (TCP_TIMEWAIT_LEN).
const idleTime = 60 * second

// boundary deals with connections that begin: it runs for every SYN and for every segment of a
// connection that is half-open or has a SYN pending. It reports done when the segment has been
// accounted whole.
func (c *Conn) boundary(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, done bool) {
	f := &c.hot[dir&1]
	if c.state&anyPending != 0 && c.confirms(dir, seg) {
		c.renewFromPending(t)
		ev |= Renewed
	}
	switch {
	case seg.Flags&parse.SYN == 0:
		if c.state&established == 0 {
			c.state |= established
			ev |= Answered
		}
	case seg.Flags&parse.LenUnknown != 0 || seg.Flags&parse.ACK != 0 || f.flags&isnKnown == 0 && c.state&ended == 0:
	case f.flags&isnKnown != 0 && seg.Seq == f.isn:
		// A repeated SYN. A RST with a stray sequence number in between must not hide it.
		f.nxt = f.contig
	case !c.givesWay(dir, now):
		c.pend(dir, seg, now)
		if f.packets == 0 { // its sequence space is known from the other side's ACKs only
			c.open(dir, now, t)
			ev |= Opened
		}
		f.packets++
		f.lastTime = now
		return ev, true
	default:
		if f.packets != 0 || c.hot[dir&1^1].packets != 0 {
			t.Replaced += t.Drop(c)
			ev |= Renewed
		}
		c.Reset()
	}
	return ev, false
}

// givesWay reports whether a SYN with a new initial sequence number may start a new connection at
// once: the known one is finished, was never answered, or has been idle. Of one that a RST finished
// the other direction may still be there when the one with the RST has expired.
func (c *Conn) givesWay(dir uint32, now int64) bool {
	f, r := &c.hot[dir&1], &c.hot[dir&1^1]
	return c.state&established == 0 || f.flags&finalized != 0 || f.packets == 0 && c.state&ended != 0 || f.idle(now) && r.idle(now)
}

// idle reports whether the direction has been silent for idleTime, or altogether.
func (s *Stream) idle(now int64) bool { return s.packets == 0 || now-s.lastTime > idleTime }

// pend keeps what a new connection would need of its SYN until the SYN is confirmed.
func (c *Conn) pend(dir uint32, seg *parse.Segment, now int64) {
	if c.state&anyPending != pending0<<(dir&1) || c.pendingISN != seg.Seq {
		c.synTime = now
	}
	c.pendingISN, c.pendingWin, c.pendingWS = seg.Seq, seg.Window, seg.WScale
	c.state = c.state&^anyPending | pending0<<(dir&1) | synSeen
}

// confirms reports whether the segment shows that the pending SYN was real: a SYN+ACK of the
// other side that acknowledges it, or its own side's next segment in the new sequence space.
func (c *Conn) confirms(dir uint32, seg *parse.Segment) bool {
	own := c.state&anyPending == pending0<<(dir&1)
	if seg.Flags&parse.ACK == 0 {
		return false
	}
	if seg.Flags&parse.SYN != 0 {
		return !own && seg.Ack == c.pendingISN+1
	}
	return own && seg.Seq == c.pendingISN+1 && seg.Flags&parse.RST == 0
}

// renewFromPending starts the new connection with its SYN, as it was when it came.
func (c *Conn) renewFromPending(t *Tally) {
	dir := uint32(0)
	if c.state&pending1 != 0 {
		dir = 1
	}
	syn := parse.Segment{Seq: c.pendingISN, Window: c.pendingWin, WScale: c.pendingWS, Flags: parse.SYN}
	when := c.synTime
	t.Replaced += t.Drop(c)
	c.Reset()
	c.accountAny(dir, &syn, when, t)
}
