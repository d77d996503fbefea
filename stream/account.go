package stream

import "tcp-stream-exporter/parse"

// Event says what a segment changed beyond counters. 0: nothing.
type Event uint8

const (
	// Sooner: the connection's deadline may have moved to an earlier time (a FIN or RST).
	Sooner Event = 1 << iota
	// Answered: the first segment without SYN; the connection is no longer half-open.
	Answered
	// Renewed: a new connection took over the four-tuple; both halves started afresh.
	Renewed
	// Opened: this direction saw its first packet.
	Opened
	// Reopened: a finalized direction went on with new data and is active again.
	Reopened
)

const (
	// fastRetransmitTime is how soon after the reverse side's latest packet a repeat of the
	// segment it asks for counts as fast retransmission, as in Wireshark.
	fastRetransmitTime = 20e6 // ns
	// reorderTime bounds how late a hole may be filled to be called reordering while the
	// handshake RTT is not known, as in Wireshark.
	reorderTime = 3e6 // ns
	// maxGap is the shortest pause that is no gap between packets but silence.
	maxGap = 10 * second
)

// Account brings one segment of direction dir (0 or 1, the index of its sender) seen at now, in
// ns. Totals that change go into t. The steps and their order are those of docs/analysis.md.
//
// Most segments of most connections are the next one in order, of an established connection, with
// ACK and an open window. For them Account is written out with everything left out that cannot
// apply; all others, and these too in the tests, go through account.
//
// Not inlined, so that with the profile that the program is built with what it calls is.
//
//go:noinline
func (c *Conn) Account(dir uint32, seg *parse.Segment, now int64, t *Tally) Event {
	dir &= 1
	f, r := &c.hot[dir], &c.hot[dir^1]
	d := &c.cold[dir]
	gap := now - f.lastTime
	if f.flags&smooth == 0 || seg.Seq != f.nxt || seg.Window == 0 || uint64(gap) >= uint64(maxGap) ||
		seg.Flags&(parse.SYN|parse.FIN|parse.RST|parse.ACK|parse.LenUnknown) != parse.ACK ||
		seg.Ack.After(r.contig) { // what it acknowledges was not seen
		return c.account(dir, seg, now, t)
	}
	if now >= d.winEnd {
		// From the beginning again: a call amid what follows would take registers from packets that end none.
		d.closeWindows(now, f.bytes)
		return c.Account(dir, seg, now, t)
	}
	if n := seg.Len; n != 0 {
		end := seg.Seq.Add(n)
		if !end.After(r.lastAck) { // acknowledged before
			return c.account(dir, seg, now, t)
		}
		f.bytes += uint64(n)
		f.nxt, f.contig, f.nxtTime = end, end, now
		if d.sizeN > window {
			d.size.follow(float32(n))
		} else {
			d.size.take(&d.sizeN, float32(n))
		}
		if f.timed&timedCount == 0 {
			f.timeFirst(&d.timed, n, end, now)
		} else {
			f.timeNext(&d.timed, n, end, now)
		}
	} else if seg.Ack == f.lastAck { // a duplicate ACK, a keep-alive's answer or a window update
		return c.account(dir, seg, now, t)
	}
	if d.gapN > window {
		d.gap.follow(float32(gap))
	} else {
		d.gap.take(&d.gapN, float32(gap))
	}
	f.packets++
	f.lastTime = now
	f.lastWin = seg.Window
	if seg.Ack != f.lastAck {
		f.dupRun = 0
		f.lastAck = seg.Ack
		if r.timed&timedCount != 0 {
			c.acked(dir^1, seg.Ack, now)
		}
	}
	return 0
}

// account is Account for any segment. It also finds out which directions may take the short way
// from here on: what the short way leaves alone cannot change before the next call.
func (c *Conn) account(dir uint32, seg *parse.Segment, now int64, t *Tally) Event {
	ev := c.accountAny(dir&1, seg, now, t)
	c.rough()
	if c.state&(anyPending|established) == established && (c.handshake != 0 || c.state&synSeen == 0) {
		a, b := isSmooth(&c.hot[0], &c.hot[1]), isSmooth(&c.hot[1], &c.hot[0])
		if a {
			c.hot[0].flags |= smooth
		}
		if b {
			c.hot[1].flags |= smooth
		}
	}
	return ev
}

// rough closes the short way to the next packet of either direction.
func (c *Conn) rough() {
	c.hot[0].flags &^= smooth
	c.hot[1].flags &^= smooth
}

// isSmooth reports whether f is under way without a hole, with everything known that is ever known
// of it and of the reverse side, whose window is open.
func isSmooth(f, r *Stream) bool {
	const all = nxtKnown | contigKnown | ackKnown | isnKnown
	const not = finalized | lastKeepAlive | lastProbe | lastSYN | elsewhere
	return f.flags&(all|not) == all && f.nxt == f.contig &&
		r.flags&(isnKnown|ackKnown|contigKnown|elsewhere) == isnKnown|ackKnown|contigKnown && r.lastWin != 0
}

// accountAny does all the steps.
func (c *Conn) accountAny(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event) {
	f, r := &c.hot[dir], &c.hot[dir^1]
	d := &c.cold[dir]

	control := seg.Flags & (parse.SYN | parse.FIN | parse.RST)
	if control&parse.SYN != 0 || c.state&(anyPending|established) != established {
		var done bool
		if ev, done = c.boundary(dir, seg, now, t); done {
			return ev
		}
	}

	// Totals of the direction.
	if f.packets == 0 {
		ev |= Opened
		c.open(dir, now, t)
	} else {
		if gap := now - f.lastTime; uint64(gap) < uint64(maxGap) {
			d.gap.take(&d.gapN, float32(gap))
		}
		d.closeWindows(now, f.bytes)
	}
	f.packets++
	if seg.Flags&parse.LenUnknown != 0 {
		f.lastTime = now
		return ev
	}
	n := seg.Len
	if n != 0 {
		f.bytes += uint64(n)
		d.size.take(&d.sizeN, float32(n))
	}

	end := seg.Seq.Add(n)
	if control&(parse.SYN|parse.FIN) != 0 {
		end++
	}
	if f.flags&nxtKnown != 0 && c.settled(f) && c.strays(dir, seg, end, now) {
		c.astray(dir, seg, end)
		f.lastTime = now
		return ev
	}
	hasAck := seg.Flags&parse.ACK != 0
	prev := f.flags // of the previous packet: "known" bits and what it was
	if prev&isnKnown == 0 {
		f.isn = seg.Seq
		if control&parse.SYN == 0 {
			f.isn--
		}
		f.flags |= isnKnown
	}
	if hasAck && r.flags&isnKnown == 0 {
		r.isn = seg.Ack - 1
		r.flags |= isnKnown
	}

	nowFlags := flags(0) // what this packet is, for the next one
	sameAck := hasAck && prev&ackKnown != 0 && seg.Ack == f.lastAck
	repeated, advanced := false, false

	if n == 1 && prev&nxtKnown != 0 && seg.Seq == f.nxt && r.packets != 0 && r.lastWin == 0 {
		nowFlags = lastProbe // RFC 9293 section 3.8.6.1
	} else {
		if control == 0 && seg.Window == 0 {
			d.zeroWindows++
		}
		if prev&nxtKnown != 0 {
			if seg.Seq.After(f.nxt) && control&parse.RST == 0 {
				d.gaps++
			}
			if n <= 1 && control == 0 && seg.Seq == f.nxt-1 {
				nowFlags = lastKeepAlive // RFC 9293 section 3.8.4
			}
			if n == 0 && control == 0 && seg.Seq == f.nxt && sameAck &&
				seg.Window != 0 && seg.Window == f.lastWin && r.flags&lastKeepAlive == 0 {
				d.duplicateAcks++ // RFC 5681 section 2, b to e
				f.dupRun = nextDup(f.dupRun)
			}
		}
	}
	if hasAck && !sameAck {
		f.dupRun = 0
	}
	if hasAck && r.flags&contigKnown != 0 && seg.Ack.After(r.contig) {
		r.acksUnseen()
	}

	if (n != 0 || control&(parse.SYN|parse.FIN) != 0) && nowFlags&lastKeepAlive == 0 {
		repeated = c.classify(f, r, d, seg, end, now)
	}

	// Advance, but not by a probe, nor by the RST that answers a segment without ACK: its
	// sequence number 0 says nothing about the sequence space (RFC 9293 section 3.10.7.1).
	if nowFlags&lastProbe == 0 &&
		!(prev&nxtKnown == 0 && control&parse.RST != 0 && seg.Seq == 0 && n == 0) {
		if prev&nxtKnown == 0 || end.After(f.nxt) {
			f.nxt, f.nxtTime = end, now
			advanced = true
		}
		if prev&contigKnown == 0 || seg.Seq == f.contig {
			f.contig = f.nxt
		}
		f.flags |= nxtKnown | contigKnown
	}

	// RTT: time this segment, and end the timing of the ones it acknowledges.
	if end != seg.Seq {
		if advanced && !repeated {
			c.timeSegment(dir, uint32(end-seg.Seq), end, now)
		} else if f.timed&timedCount != 0 {
			f.spoil(d, seg.Seq, end)
		}
	}
	if hasAck {
		if r.timed&timedCount != 0 {
			c.acked(dir^1, seg.Ack, now)
		}
		f.lastAck = seg.Ack
		f.flags |= ackKnown
		if control&parse.SYN == 0 && c.handshake == 0 && c.state&(synSeen|anyPending) == synSeen {
			c.shakenHands(now)
		}
	}

	if control != 0 {
		ev |= c.controlBits(dir, seg, now, t)
		if control&parse.SYN != 0 {
			nowFlags |= lastSYN
		}
	} else if prev&finalized != 0 && advanced && n != 0 {
		// New data after the end: the end was forged, or the peer did not accept it.
		f.flags &^= finalized
		t.Active++
		t.Reopened++
		ev |= Reopened
	}
	f.lastWin = seg.Window
	f.lastTime = now
	f.flags = f.flags&^(lastKeepAlive|lastProbe|lastSYN|elsewhere) | nowFlags
	return ev
}

// dupUnseen is a dupRun that stands for an ACK of data that was never seen. Wireshark 4.0 takes it
// for more duplicates than any number, until the direction's next duplicate ACK, which is the first.
const dupUnseen = 0xff

// nextDup counts one more duplicate ACK.
func nextDup(run uint8) uint8 {
	switch run {
	case dupUnseen:
		return 1
	case dupUnseen - 1:
		return run
	}
	return run + 1
}

// acksUnseen notes that the reverse side acknowledged s beyond what was seen of it in one piece:
// either the hole was filled elsewhere, or what it acknowledges never came by.
func (s *Stream) acksUnseen() {
	if s.nxt.After(s.contig) {
		s.contig = s.nxt
	} else {
		s.dupRun = dupUnseen
	}
}

// open starts direction dir's stream with its first packet.
func (c *Conn) open(dir uint32, now int64, t *Tally) {
	c.hot[dir&1].firstTime = now
	c.cold[dir&1].winEnd = now + second
	t.Opened++
	t.Streams++
	t.Active++
}

// classify counts a segment that takes sequence space but does not advance the stream as a
// retransmission or as out of order, and reports whether it was either.
func (c *Conn) classify(f, r *Stream, d *Detail, seg *parse.Segment, end parse.Seq, now int64) bool {
	n := seg.Len
	if n != 0 && r.flags&ackKnown != 0 && !seg.Seq.Add(n).After(r.lastAck) {
		d.retransmits++ // everything in it was acknowledged before
		return true
	}
	if f.flags&nxtKnown == 0 || !seg.Seq.Before(f.nxt) || n > 1 && seg.Seq == f.nxt-1 {
		return false
	}
	if since := now - r.lastTime; r.dupRun >= 2 && seg.Seq == r.lastAck &&
		since >= 0 && since < fastRetransmitTime {
		d.retransmits++ // asked for by duplicate ACKs, RFC 5681 section 3.2
		return true
	}
	late := now - f.nxtTime
	limit := int64(reorderTime)
	if c.handshake != 0 && c.handshake != handshakeZero {
		limit = c.handshakeTime()
	}
	if late >= 0 && late < limit && end != f.nxt {
		d.outOfOrder++ // too soon to be a repair: the sender could not know of a loss yet
		return true
	}
	d.retransmits++
	return true
}
