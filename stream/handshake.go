package stream

import "tcp-stream-exporter/parse"

// handshakeZero is a handshake RTT that was measured as nothing at all (equal or reversed
// timestamps): known, but no use as a threshold.
const handshakeZero = 1

// handshakeCoarse marks a Conn.handshake of 2.1 s and more, which counts in handshakeUnit: the
// threshold that it sets is compared with to the nanosecond, and 32 bits of them are too few.
const (
	handshakeCoarse = 1 << 31
	handshakeUnit   = 64 // ns
)

// shakenHands measures the handshake: from the latest SYN to now, the first segment with ACK and
// without SYN of either side.
func (c *Conn) shakenHands(now int64) {
	switch rtt := now - c.synTime; {
	case rtt <= 0:
		c.handshake = handshakeZero
	case rtt < handshakeCoarse:
		c.handshake = uint32(max(rtt, handshakeZero+1))
	default:
		c.handshake = handshakeCoarse | uint32(min(rtt/handshakeUnit, handshakeCoarse-1))
	}
}

// handshakeTime is the handshake RTT in ns, of which there must be one.
func (c *Conn) handshakeTime() int64 {
	if c.handshake&handshakeCoarse != 0 {
		return int64(c.handshake&^handshakeCoarse) * handshakeUnit
	}
	return int64(c.handshake)
}

// controlBits does what SYN, FIN and RST do beyond taking sequence space: window scales, the
// time of the SYN, the state.
func (c *Conn) controlBits(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event) {
	f, r := &c.hot[dir&1], &c.hot[dir&1^1]
	if seg.Flags&parse.SYN != 0 {
		scales(f, r, seg)
		if seg.Flags&parse.ACK == 0 {
			c.synTime = now
			c.state |= synSeen
		}
	}
	if seg.Flags&parse.RST != 0 {
		c.cold[dir&1].resets++
	}
	if seg.Flags&(parse.FIN|parse.RST) != 0 && f.flags&finalized == 0 {
		f.flags |= finalized
		c.cold[dir&1].endTime = now
		t.Active--
		if seg.Flags&parse.RST != 0 {
			t.ClosedRst++
		} else {
			t.ClosedFin++
		}
		ev = Sooner
	}
	return ev
}

// scales settles the window scales (RFC 7323 section 2.2): the option counts in SYN and SYN+ACK
// only, each side's shift is its own, and scaling is in use only if both carried the option.
func scales(f, r *Stream, syn *parse.Segment) {
	switch {
	case syn.WScale == parse.NoWScale:
		f.wscale, r.wscale = scaleOff, scaleOff
	case r.wscale == scaleOff: // the other side's came without it: no repeated SYN brings it back
		f.wscale = scaleOff
	default:
		f.wscale = syn.WScale
	}
}

// window is the latest advertised window in bytes.
func (s *Stream) window() uint32 {
	if s.wscale > 0 && s.flags&lastSYN == 0 {
		return uint32(s.lastWin) << (uint8(s.wscale) & 15)
	}
	return uint32(s.lastWin)
}
