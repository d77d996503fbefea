package stream

import "tcp-stream-exporter/parse"

const (
	// leastReach is the smallest distance, in bytes of sequence space, from where a direction stands
	// that still belongs to it, whatever window its peer advertised.
	leastReach = 1 << 18
	// midstreamShift stands for the window scale of a side whose handshake was not captured.
	midstreamShift = 8
	// midstreamPackets is the least number of packets of a direction without a captured handshake.
	midstreamPackets = 8
	// silence is how long a direction must have been silent for the other one to be taken at its
	// word.
	silence = second
)

// reach returns how far from where the reverse side stands a segment may lie: the window that s
// advertised last, in bytes.
func (s *Stream) reach() uint32 {
	w := uint32(s.lastWin)
	switch {
	case s.flags&lastSYN != 0 || s.wscale == scaleOff:
	case s.wscale == scaleUnknown:
		w <<= midstreamShift
	default:
		w <<= uint8(s.wscale) & 15
	}
	return max(w, leastReach)
}

// acknowledges reports whether ack acknowledges what the reverse side r has sent and f has not acknowledged before, or
// nothing new: it lies from lastAck to nxt.
func acknowledges(ack parse.Seq, f, r *Stream) bool {
	return !f.lastAck.After(r.nxt) && ack.InRange(f.lastAck, r.nxt)
}

// judgeable reports whether enough is known of a direction to judge what is unacceptable: the
// handshake was captured, or a number of packets in mid-stream.
func (c *Conn) judgeable(f *Stream) bool {
	return c.handshake != handshakeOpen || f.packets > midstreamPackets
}

// unacceptable reports whether a segment of an established connection lies where its receiver cannot
// accept it (RFC 9293 section 3.10.7.4): outside the window, or with an acknowledgment of what was
// never sent. Either it is not of this connection, forged or much delayed, or more of the connection
// went by unseen than a window. The next segments decide: see resynchronise.
//
// A segment that goes on exactly where its direction stands is accepted whatever the window: the
// peer's segments may not be captured.
func (c *Conn) unacceptable(dir uint32, seg *parse.Segment, end parse.Seq, now int64) bool {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	d, e := &c.side[dir&1].cold, &c.side[dir&1^1].cold
	alone := r.packets == 0 || now-r.lastTime > silence
	if seg.Flags&parse.ACK != 0 {
		reach := f.reach()
		if r.flags&resync != 0 && seg.Ack.Near(e.resync, reach) {
			r.resynchronise(e, e.resync)
		}
		if !alone && r.flags&nxtKnown != 0 && !seg.Ack.Near(r.nxt, reach) &&
			(f.flags&ackKnown == 0 || !seg.Ack.Near(f.lastAck, reach) && !acknowledges(seg.Ack, f, r)) {
			return true
		}
	}
	reach := r.reach()
	if seg.Seq == f.nxt || seg.Seq.Near(f.nxt, reach) && end.Near(f.nxt, reach) ||
		r.flags&ackKnown != 0 && seg.Seq.Near(r.lastAck, reach) && end.Near(r.lastAck, reach) {
		return false
	}
	if alone && f.flags&resync != 0 && seg.Seq == d.resync && seg.Flags&parse.SYN == 0 {
		f.resynchronise(d, seg.Seq)
		return false
	}
	return true
}

// resynchronise takes up a direction at seq, far from where it stood, because the peer acknowledged what
// was seen there, or because it goes on there and the peer is silent.
func (s *Stream) resynchronise(d *Detail, seq parse.Seq) {
	s.nxt, s.contig = seq, seq
	s.flags &^= resync
	s.timed = 0
}

// countUnacceptable counts an unacceptable segment: it adds to the counters what it is by itself, and changes
// nothing that decides about others. A FIN there ends nothing. The event may be Retransmitted.
func (c *Conn) countUnacceptable(dir uint32, seg *parse.Segment, end parse.Seq, t *Tally) (ev Event) {
	f, d := &c.side[dir&1].hot, &c.side[dir&1].cold
	switch {
	case seg.Seq == f.nxt || f.flags&resync != 0 && seg.Seq == d.resync:
	case seg.Seq.After(f.nxt):
		t.countGap(f, d)
	case end != seg.Seq:
		d.retransmits++
		ev = Retransmitted
	}
	if seg.Flags&(parse.SYN|parse.FIN) == 0 && seg.Window == 0 {
		d.zeroWindows++
	}
	if seg.Seq != f.nxt {
		d.resync = end
		f.flags = f.flags&^lastRST | resync
	}
	return ev
}
