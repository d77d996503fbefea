package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// handshake is a connection's handshake RTT, from the SYN to the first ACK of its sender: a period plus
// handshakeBase, or one of these.
type handshake uint32

const (
	handshakeOpen handshake = iota // not complete, or not captured
	handshakeVoid                  // complete, but what it measures is not known
	handshakeBase
)

// handshakeOf returns the handshake of an RTT of ns; one that is no period measures nothing.
func handshakeOf(ns int64) handshake {
	if !isPeriod(ns) {
		return handshakeVoid
	}
	return handshake(min(periodOf(ns), math.MaxUint32-period(handshakeBase))) + handshakeBase
}

// measured reports whether the RTT is known; rtt returns it then, in ns.
func (h handshake) measured() bool { return h >= handshakeBase }
func (h handshake) rtt() int64     { return period(h - handshakeBase).ns() }

// completeHandshake ends the handshake with the first segment with ACK and without SYN, at now, of the side
// that sent the SYN. Karn's rule holds here as well (RFC 6298 section 3): which of two SYNs was answered is
// not known, and a lost SYN+ACK would add its timeout.
func (c *Conn) completeHandshake(now int64) {
	if c.state&repeated != 0 {
		c.handshake = handshakeVoid
		return
	}
	c.handshake = handshakeOf(now - c.synTime(now))
}

// syn does what a SYN does beyond taking sequence space: window scales, the time of the handshake.
func (c *Conn) syn(dir uint32, seg *parse.Segment, now int64) {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	scales(f, r, seg)
	if f.flags&synAckSent != 0 || f.flags&synSent != 0 {
		c.state |= repeated
	}
	if seg.Flags&parse.ACK != 0 {
		f.flags |= synAckSent
		return
	}
	f.flags |= synSent
	c.setSynTime(now)
	c.state = c.state&^opener | synSeen | connState(dir&1)*opener
}

// synTime returns when the latest SYN was seen, in ns; while one waits, that one. ref is a time within 39 hours of it: a
// record has room for 48 bits. That of a SYN further back would come out 78 hours, or a multiple of them, later.
func (c *Conn) synTime(ref int64) int64 {
	return ref - (ref-int64(c.synHigh)<<32-int64(c.synLow))<<16>>16
}

func (c *Conn) setSynTime(now int64) { c.synLow, c.synHigh = uint32(now), uint16(now>>32) }

// opens reports whether direction dir's latest SYN without ACK is the connection's latest.
func (c *Conn) opens(dir uint32) bool {
	return c.state&synSeen != 0 && (c.state&opener != 0) == (dir&1 != 0)
}

// finish finalizes direction dir if it is a stream and is not finalized yet.
func (c *Conn) finish(dir uint32, now int64, t *Tally, closed *uint64) (ev Event) {
	f := &c.side[dir&1].hot
	if f.packets == 0 || f.flags&finalized != 0 {
		return 0
	}
	f.flags |= finalized
	c.side[dir&1].cold.ended = elapsedOf(now - f.firstTime(&c.side[dir&1].cold))
	t.Active--
	*closed++
	return Sooner
}

// reset counts a RST of direction dir. It takes part in nothing else, but it ends both directions if it is
// acceptable: at the next sequence number, at what the other side has acknowledged, or in answer to a SYN.
// Any other may be forged, and its receiver goes on (RFC 5961 section 3.2).
func (c *Conn) reset(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event) {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	d := &c.side[dir&1].cold
	d.resets++
	acceptable := f.flags&nxtKnown != 0 && seg.Seq == f.nxt ||
		r.flags&ackKnown != 0 && seg.Seq == r.lastAck ||
		f.flags&nxtKnown == 0 && r.flags&synSent != 0 && seg.Flags&parse.ACK != 0 && c.answersSYN(r, seg.Ack)
	if acceptable || f.flags&nxtKnown == 0 { // no other packet has a window
		d.resync = parse.Seq(seg.Window)
		f.flags = f.flags&^resync | lastRST
	}
	if !acceptable {
		return 0
	}
	return c.finish(0, now, t, &t.ClosedRst) | c.finish(1, now, t, &t.ClosedRst)
}

// answersSYN reports whether a RST with ack answers r's SYN, nothing else of its side being seen. A SYN with data
// (RFC 7413) may be sent again without, and acknowledged as that: until more than SYNs was seen, an ack of any part
// of them is acceptable (RFC 9293 section 3.10.7.3).
func (c *Conn) answersSYN(r *Stream, ack parse.Seq) bool {
	return ack == r.nxt || c.state&established == 0 && ack.After(r.isn) && r.nxt.After(ack)
}

// scales sets the window scales (RFC 7323 section 2.2): the option counts in SYN and SYN+ACK
// only, each side's shift is its own, and scaling is in use only if both carried the option.
func scales(f, r *Stream, syn *parse.Segment) {
	switch {
	case syn.Options.WScale() == parse.NoWScale:
		f.wscale, r.wscale = scaleOff, scaleOff
	case r.wscale == scaleOff: // the other side's came without it: no repeated SYN brings it back
		f.wscale = scaleOff
	case syn.Options.WScale() == parse.CutWScale: // nor one whose options were not captured
	default:
		f.wscale = syn.Options.WScale()
	}
}

// window returns the latest advertised window in bytes.
func (s *Stream) window(d *Detail) uint32 {
	win := uint32(s.lastWin)
	if s.flags&lastRST != 0 {
		win = uint32(d.resync)
	}
	if s.wscale > 0 && (s.flags&lastSYN == 0 || s.flags&lastRST != 0) {
		win <<= uint8(s.wscale) & 15
	}
	return win
}
