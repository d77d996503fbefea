package stream

import "tcp-stream-exporter/parse"

// pendingTime is how long a SYN waits for its confirmation.
const pendingTime = 64 * second

// Conn.pendingWS of a SYN that waits.
const (
	scaleShift   = -parse.CutWScale
	pendingAgain = 1 << 7 // it came twice
)

// boundary deals with connections that begin: it runs for every SYN and for every segment of a
// connection that is half-open or has a SYN pending. It reports done when the segment has been
// accounted whole.
//
// What a SYN without ACK does, by the state of the connection that it finds (docs/analysis.md):
//
//	                       same number        another number
//	nothing known          first packet       first packet
//	its side: acked only   first packet       waits (the stream of the SYN that a SYN+ACK acknowledged has gone for its age)
//	its side: SYNs only    SYN sent again     a new attempt (earlier); a SYN+ACK may take the old one back up
//	split open             -                  its side's number, if it is nxt and the other side sent no SYN+ACK
//	half-open, answered    SYN sent again     waits
//	established            SYN sent again     waits
//	over (RST, or FINs)    SYN sent again     a new connection
//
// One that waits (pending) begins a new connection when it is confirmed:
//
//	           SYN+ACK of its number, RST with that ACK, or its side's own next segment
//	waits ───────────────────────────────────────────────────────────────────────────────▶ new connection
//	  │
//	  └── a segment of its side at nxt, a newer SYN, or pendingTime ──▶ forgotten
func (c *Conn) boundary(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, done bool) {
	f := &c.side[dir&1].hot
	if seg.Flags&(parse.RST|parse.LenUnknown) != 0 {
		switch {
		case seg.Flags&parse.RST == 0:
			ev = c.answered(seg)
		case c.refusesPending(dir, seg, now):
			c.renewFromPending(now, t)
			ev = Renewed
		}
		return ev, false
	}
	if c.state&anyPending != 0 {
		ev = c.confirm(dir, seg, now, t)
	}
	if c.state&earlier != 0 {
		c.takeBack(dir, seg)
	}
	switch {
	case seg.Flags&parse.SYN == 0:
		ev |= c.answered(seg)
	case seg.Flags&parse.ACK != 0 || f.flags&isnKnown != 0 && seg.Seq == f.isn:
	case c.over():
		c.begin(t)
		ev |= Renewed
	case f.flags&isnKnown == 0 && c.state&established == 0 && !c.answersAnother(dir, seg) || c.split(dir, seg):
		f.isn = seg.Seq
		f.flags |= isnKnown
	case c.unanswered(dir):
		number := f.isn
		c.begin(t)
		c.pendingISN = number
		c.state |= earlier | repeated
		ev |= Renewed
	default:
		if c.pend(dir, seg, now) {
			ev |= SYNRepeated
		}
		if f.packets == 0 { // its sequence space is known from the other side's ACKs only
			c.open(dir, now, t)
			ev |= Opened
		}
		f.packets++
		f.lastTime = now
		return ev, true
	}
	return ev, false
}

// answered notes the first segment that is no SYN.
func (c *Conn) answered(seg *parse.Segment) Event {
	if seg.Flags&parse.SYN != 0 || c.state&established != 0 {
		return 0
	}
	c.state |= established
	return Answered
}

// begin makes room for a new connection on the addresses and ports.
func (c *Conn) begin(t *Tally) {
	t.Replaced += t.Drop(c)
	c.Reset()
}

// over reports whether the connection has ended: by a RST, or by a FIN of each direction that was seen.
func (c *Conn) over() bool {
	streams, active := c.Live()
	return streams != 0 && active == 0
}

// answersAnother reports whether the other side's SYN+ACK acknowledges another SYN than this one of direction dir. That
// one's stream has gone for its age, or its number would be known.
func (c *Conn) answersAnother(dir uint32, syn *parse.Segment) bool {
	r := &c.side[dir&1^1].hot
	return r.flags&ackKnown != 0 && uint32(r.lastAck-1-syn.Seq) > syn.Len
}

// split reports whether a SYN is that of an open that is split: its side has acknowledged the other one's
// SYN before with a segment of its own, instead of with this one.
func (c *Conn) split(dir uint32, seg *parse.Segment) bool {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	return f.flags&(nxtKnown|synSent|synAckSent) == nxtKnown && seg.Seq == f.nxt && r.flags&(synSent|synAckSent) == synSent
}

// unanswered reports whether nothing was seen but SYNs of direction dir.
func (c *Conn) unanswered(dir uint32) bool {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	return c.state&established == 0 && f.flags&(synSent|synAckSent) == synSent && r.flags&nxtKnown == 0
}

// takeBack returns to the attempt before this one if the other side answers that one.
func (c *Conn) takeBack(dir uint32, seg *parse.Segment) {
	r := &c.side[dir&1^1].hot
	if c.opens(dir^1) && seg.Flags&(parse.SYN|parse.ACK) == parse.SYN|parse.ACK && seg.Ack == c.pendingISN+1 {
		r.isn, r.nxt, r.contig = c.pendingISN, seg.Ack, seg.Ack
		r.timed = 0
		c.state &^= earlier
	}
	if seg.Flags&parse.SYN == 0 {
		c.state &^= earlier
	}
}

// pend keeps what a new connection would need of its SYN until the SYN is confirmed. It reports whether the SYN has
// waited before and came again.
func (c *Conn) pend(dir uint32, seg *parse.Segment, now int64) (again bool) {
	ws := uint8(seg.Options.WScale() + scaleShift)
	if c.state&anyPending == pending0<<(dir&1) && c.pendingISN == seg.Seq {
		ws |= pendingAgain
		again = true
	} else {
		c.setSynTime(now)
	}
	if c.handshake == handshakeOpen {
		c.state |= repeated // the time of the SYN before is lost
	}
	c.pendingISN, c.pendingWin, c.pendingWS = seg.Seq, seg.Window, ws
	c.state = c.state&^(anyPending|heard|earlier) | pending0<<(dir&1) | synSeen
	return again
}

// confirm starts the new connection of the SYN that waits if the segment shows that it was real: a SYN+ACK
// of the other side that acknowledges it, or, the other side silent, its own side's next segment in the new
// sequence space. What goes on in the old one shows that it was not.
func (c *Conn) confirm(dir uint32, seg *parse.Segment, now int64, t *Tally) Event {
	f := &c.side[dir&1].hot
	own := c.state&anyPending == pending0<<(dir&1)
	real := false
	switch seg.Flags & (parse.SYN | parse.ACK) {
	case parse.SYN | parse.ACK:
		real = !own && seg.Ack == c.pendingISN+1
	case parse.ACK:
		real = own && c.state&heard == 0 && seg.Seq == c.pendingISN+1 && !(f.flags&nxtKnown != 0 && seg.Seq == f.nxt)
	}
	switch waited := now - c.synTime(now); {
	case !young(waited, pendingTime):
	case real:
		c.renewFromPending(now, t)
		return Renewed
	case !own:
		c.state |= heard
		return 0
	case f.flags&nxtKnown == 0 || seg.Seq != f.nxt:
		return 0
	}
	c.state &^= anyPending | heard
	return 0
}

// refusesPending reports whether a RST answers the SYN that waits. A side that lives on answers it with an ACK
// (RFC 5961 section 4.2): only one that no longer knows the old connection refuses the new one.
func (c *Conn) refusesPending(dir uint32, seg *parse.Segment, now int64) bool {
	return c.state&anyPending == pending1>>(dir&1) && seg.Flags&(parse.ACK|parse.LenUnknown) == parse.ACK &&
		seg.Ack == c.pendingISN+1 && young(now-c.synTime(now), pendingTime)
}

// renewFromPending starts the new connection at now with its SYN, as it was when it came. The SYN may have come again
// since: the stream's age counts from the latest packet.
func (c *Conn) renewFromPending(now int64, t *Tally) {
	dir := uint32(0)
	if c.state&pending1 != 0 {
		dir = 1
	}
	syn := parse.Segment{Seq: c.pendingISN, Window: c.pendingWin, Options: parse.SYNOptions(0, int8(c.pendingWS&^pendingAgain)-scaleShift), Flags: parse.SYN}
	when, again := c.synTime(now), c.pendingWS&pendingAgain != 0
	latest := when
	if f := &c.side[dir].hot; f.packets != 0 {
		latest = f.lastTime
	}
	c.begin(t)
	c.accountFull(dir, &syn, when, t)
	c.side[dir].hot.lastTime = latest
	if again { // which of the two is answered is not known
		c.state |= repeated
		c.side[dir].hot.timed |= timedAmbiguous
		c.side[dir].cold.ambiguous = span{syn.Seq, syn.Seq + 1}
	}
}
