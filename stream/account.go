package stream

import "tcp-stream-exporter/parse"

// Event holds what a segment changed beyond counters, as bits. 0: nothing.
type Event uint16

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

	// Spoke: this direction sent its first segment that shows it to take part in the connection: anything but SYNs
	// without ACK, and but RSTs during the handshake. It may be told of later segments as well.
	Spoke
	// Handshaking: a SYN or SYN+ACK of the connection: Conn.Client may know more.
	Handshaking
	// HandshakeMeasured: this segment, of the client, has completed the handshake, and its RTT is known.
	HandshakeMeasured
	// Retransmitted: the segment counts as a retransmission.
	Retransmitted
	// SYNRepeated: the segment is a SYN that was seen before, and waits to be confirmed. It is not Retransmitted.
	SYNRepeated

	// Lifecycle has the events that change when a connection expires and what it gives way to.
	Lifecycle = Sooner | Answered | Renewed | Opened | Reopened
)

const (
	// fastRetransmitTime is how soon after the reverse side's latest packet a repeat of the
	// segment it asks for counts as fast retransmission, as in Wireshark.
	fastRetransmitTime = 20e6 // ns
	// maxGap is the shortest pause that is no gap between packets but silence.
	maxGap = 10 * second
)

// Account brings one segment of direction dir (0 or 1, the index of its sender) seen at now, in
// ns. Totals that change go into t. The steps and their order are those of docs/analysis.md. rtt is the
// sample in ns that the segment's ACK has given to the other direction; noSample: none.
//
// Most segments of most connections are the next one in order, of an established connection, with
// ACK and an open window. They take the fast path: Account with everything left out that cannot apply. All others
// take the slow path, accountSlow, which gives the same for these too.
//
//	precondition of the fast path             who guarantees it
//	----------------------------------------  --------------------------------------------------------
//	everything is known of both directions,   accountSlow sets the flag fastPath after each segment that
//	or of one that is seen alone              takes it, for either direction, and clears it otherwise
//	seg.Seq is nxt, control bits are ACK      compared here
//	lastAck <= seg.Ack <= r.contig            compared here: the ACK is acceptable and closes no hole
//	no pause of maxGap or more                compared here: it would be no gap between packets
//	no second ends, or no hole is open        accountSecondEnd
//	no hole before seg.Seq                    accountPastHole puts it aside
//	a place for a new stretch                 accountCrowded makes one
//
//go:noinline
func (c *Conn) Account(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	dir &= 1
	own, other := &c.side[dir], &c.side[dir^1]
	f, r := &own.hot, &other.hot
	d := &own.cold
	gap := now - f.lastTime
	if f.flags&fastPath == 0 || seg.Seq != f.nxt || seg.Window == 0 || uint64(gap) >= uint64(maxGap) ||
		seg.Flags&(parse.SYN|parse.FIN|parse.RST|parse.ACK|parse.LenUnknown) != parse.ACK ||
		seg.Ack-f.lastAck > r.contig-f.lastAck { // it acknowledges less than before, or what was not seen
		return c.accountSlow(dir, seg, now, t)
	}
	if now >= f.secondEnd {
		return c.accountSecondEnd(dir, seg, now, t)
	}
	if n := seg.Len; n != 0 {
		end := seg.Seq.Add(n)
		if !end.After(r.lastAck) { // acknowledged before
			return c.accountSlow(dir, seg, now, t)
		}
		if f.contig != seg.Seq {
			return c.accountPastHole(dir, seg, now, t)
		}
		if f.timed&timedCount == 0 {
			f.timeFirst(d, seg.Seq, end, now)
		} else if !f.timeNext(d, end, uint32(end-r.lastAck), now) {
			return c.accountCrowded(dir, seg, now, t)
		}
		f.bytes += uint64(n)
		f.nxt, f.contig = end, end
		if d.sizeN > averageLen {
			d.size.follow(float32(n))
		} else {
			d.size.take(&d.sizeN, float32(n))
		}
	} else if seg.Ack == f.lastAck { // a duplicate ACK, a keep-alive's answer or a window update
		return c.accountSlow(dir, seg, now, t)
	}
	if d.gapN > averageLen {
		d.gap.follow(float32(gap))
	} else {
		d.gap.take(&d.gapN, float32(gap))
	}
	f.packets++
	f.lastTime = now
	f.lastWin = seg.Window
	if before := f.lastAck; seg.Ack != before {
		f.lastAck, f.ackTime = seg.Ack, now
		f.flags &^= dupRun
		if r.timed&timedCount != 0 {
			return 0, r.acked(&other.cold, before, seg.Ack, now)
		}
	}
	return 0, noSample
}

// What few segments need before they can take the fast path, they need at its beginning: a call amid it would
// take registers from all others.

// accountSecondEnd is Account for a segment before which seconds end. A hole that is open must be looked at then, see
// outlive.
//
//go:noinline
func (c *Conn) accountSecondEnd(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	if f := &c.side[dir&1].hot; f.contig != f.nxt {
		return c.accountSlow(dir, seg, now, t)
	}
	c.side[dir&1].hot.closeSeconds(&c.side[dir&1].cold, now)
	return c.Account(dir, seg, now, t)
}

// accountCrowded is Account for a segment that takes a new stretch where no place is free.
//
//go:noinline
func (c *Conn) accountCrowded(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	c.side[dir&1].hot.makeRoom(&c.side[dir&1].cold)
	return c.Account(dir, seg, now, t)
}

// accountPastHole is Account for a segment that goes on at nxt while a hole is open before it. The hole stays as it
// is: what closes it is a segment that begins before nxt, an ACK beyond contig, age (see outlive) or distance.
//
//go:noinline
func (c *Conn) accountPastHole(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	f := &c.side[dir&1].hot
	contig := f.contig
	if seg.Seq.Add(seg.Len)-contig > maxWindow {
		return c.accountSlow(dir, seg, now, t)
	}
	f.contig = f.nxt
	ev, rtt = c.Account(dir, seg, now, t)
	f.contig = contig
	return ev, rtt
}

// accountSlow is the slow path: it takes any segment. It also finds out which directions may take the fast path
// from here on: what the fast path leaves alone cannot change before the next call.
func (c *Conn) accountSlow(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	ev, rtt = c.accountFull(dir&1, seg, now, t)
	c.closeFastPath()
	if c.state&(anyPending|established) == established && (c.handshake != handshakeOpen || c.state&synSeen == 0) {
		a, b := fastPathOpen(&c.side[0].hot, &c.side[1].hot), fastPathOpen(&c.side[1].hot, &c.side[0].hot)
		if a {
			c.side[0].hot.flags |= fastPath
		}
		if b {
			c.side[1].hot.flags |= fastPath
		}
	}
	return ev, rtt
}

// closeFastPath closes the fast path to the next packet of either direction.
func (c *Conn) closeFastPath() {
	c.side[0].hot.flags &^= fastPath
	c.side[1].hot.flags &^= fastPath
}

// fastPathOpen reports whether f is under way with everything known that is ever known of it and of the reverse
// side, whose window is open, or of which nothing was seen. A hole may be open, unless the clock was set back: then
// more than a second could pass before the second ends.
func fastPathOpen(f, r *Stream) bool {
	const all = nxtKnown | ackKnown | isnKnown
	const not = finalized | lastKeepAlive | lastProbe | lastSYN | firstEmpty | resync
	return f.flags&(all|not) == all && (f.nxt == f.contig || f.secondEnd-f.lastTime <= second) &&
		(r.flags&(all|resync) == all && r.lastWin != 0 && !f.lastAck.After(r.contig) || r.packets == 0)
}

// standIn gives a direction of which nothing was seen numbers that a segment of the other one passes the
// comparisons of the fast path with, and some gigabytes after it: they mean nothing, and no other step looks
// at them.
func (s *Stream) standIn(seg *parse.Segment) {
	s.contig, s.lastAck = seg.Ack+1<<30, seg.Seq-1<<30
}

// accountFull does all the steps for one segment.
func (c *Conn) accountFull(dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	f, r := &c.side[dir].hot, &c.side[dir^1].hot
	d := &c.side[dir].cold

	control := seg.Flags & (parse.SYN | parse.FIN | parse.RST)
	spoke := Event(0)
	if c.speaks(dir, seg) {
		spoke = Spoke
	}
	if control&parse.SYN != 0 || c.state&(anyPending|established) != established {
		var done bool
		if ev, done = c.boundary(dir, seg, now, t); done {
			return ev, noSample
		}
	}
	ev |= spoke

	// Totals of the direction.
	ends := now >= f.secondEnd
	if f.packets == 0 {
		ev |= Opened
		c.open(dir, now, t)
	} else {
		if gap := now - f.lastTime; uint64(gap) < uint64(maxGap) {
			d.gap.take(&d.gapN, float32(gap))
		}
		f.closeSeconds(d, now)
	}
	f.packets++
	if seg.Flags&parse.LenUnknown != 0 {
		f.lastTime = now
		return ev, noSample
	}
	n := seg.Len
	if n != 0 {
		f.bytes += uint64(n)
		d.size.take(&d.sizeN, float32(n))
	}
	if control&parse.RST != 0 {
		f.lastTime = now
		return ev | c.reset(dir, seg, now, t), noSample
	}

	end := seg.Seq.Add(n)
	if control != 0 {
		end++
	}
	if f.flags&nxtKnown != 0 && c.judgeable(f) && c.unacceptable(dir, seg, end, now) {
		ev |= c.countUnacceptable(dir, seg, end, t)
		f.lastTime = now
		return ev, noSample
	}
	hasAck := seg.Flags&parse.ACK != 0
	if r.packets == 0 && (f.flags&nxtKnown == 0 || seg.Ack-f.lastAck > r.contig-f.lastAck || n != 0 && !end.After(r.lastAck)) {
		r.standIn(seg)
	}
	if f.flags&isnKnown == 0 {
		f.isn = seg.Seq
		if control&parse.SYN == 0 {
			f.isn--
		}
		f.flags |= isnKnown
	}
	prev := f.flags // of the previous packet: "known" bits and what it was
	if hasAck {
		if r.flags&isnKnown == 0 {
			r.isn = seg.Ack - 1
			r.flags |= isnKnown
		}
		if r.flags&(firstEmpty|lastProbe) != 0 && seg.Ack == r.nxt+1 {
			r.acceptProbeByte()
		}
	}

	nowFlags := flags(0) // what this packet is, for the next one
	known := prev&nxtKnown != 0
	if known && f.contig != f.nxt {
		f.outlive(&d.hole, now, ends)
	}
	sameAck := hasAck && prev&ackKnown != 0 && seg.Ack == f.lastAck
	if n == 1 && known && seg.Seq == f.nxt && r.flags&nxtKnown != 0 && r.lastWin == 0 {
		nowFlags = lastProbe // RFC 9293 section 3.8.6.1
	} else {
		if control == 0 && seg.Window == 0 {
			d.zeroWindows++
		}
		if known {
			if seg.Seq.After(f.nxt) {
				t.countGap(f, d)
			}
			if n <= 1 && control == 0 && seg.Seq == f.nxt-1 && (n == 0 || r.flags&ackKnown == 0 || r.lastAck == f.nxt) {
				nowFlags = lastKeepAlive // RFC 9293 section 3.8.4
			}
			if n == 0 && control == 0 && seg.Seq == f.nxt && sameAck &&
				seg.Window != 0 && seg.Window == f.lastWin && r.flags&lastKeepAlive == 0 {
				d.duplicateAcks++ // RFC 5681 section 2, b to e
				f.flags |= f.flags&dupOnce*2 | dupOnce
			}
		}
	}
	if hasAck && !sameAck {
		f.flags &^= dupRun
	}

	switch {
	case nowFlags&lastProbe != 0:
	case !known:
		f.nxt, f.contig = end, end
		f.flags |= nxtKnown
		if end == seg.Seq {
			nowFlags |= firstEmpty
		} else {
			f.time(d, r, seg.Seq, end, now)
		}
	case end == seg.Seq && seg.Seq == f.nxt: // an ACK where its side stands
	default:
		again := d.retransmits
		advanced := c.place(dir, seg, end, now, nowFlags&lastKeepAlive != 0)
		if d.retransmits != again {
			ev |= Retransmitted
		}
		if advanced && n != 0 && control == 0 && prev&finalized != 0 {
			// New data after the end: the end was forged, or the peer did not accept it.
			f.flags &^= finalized
			t.Active++
			t.Reopened++
			ev |= Reopened
		}
	}

	rtt = noSample
	if hasAck {
		if r.flags&nxtKnown != 0 {
			r.arrived(&c.side[dir^1].cold.hole, seg.Ack)
		}
		if before := f.lastAck; prev&ackKnown == 0 || seg.Ack.After(before) {
			f.ackTime = now
			if r.timed&timedCount != 0 {
				if prev&ackKnown == 0 {
					before = seg.Ack - 1<<30 // none: before all that can be in flight
				}
				rtt = r.acked(&c.side[dir^1].cold, before, seg.Ack, now)
			}
		}
		f.lastAck = seg.Ack
		f.flags |= ackKnown
		if control&parse.SYN == 0 && c.handshake == handshakeOpen && c.opens(dir) && c.state&anyPending == 0 {
			c.completeHandshake(now)
			if c.handshake.measured() {
				ev |= HandshakeMeasured
			}
		}
	}
	if control&parse.SYN != 0 {
		c.syn(dir, seg, now)
		nowFlags |= lastSYN
		ev |= Handshaking
	}
	if control&parse.FIN != 0 {
		ev |= c.finish(dir, now, t, &t.ClosedFin)
	}
	f.lastWin = seg.Window
	f.lastTime = now
	f.flags = f.flags&^(lastKeepAlive|lastProbe|lastSYN|lastRST|firstEmpty|resync) | nowFlags
	return ev, rtt
}

// acceptProbeByte moves on by the byte that the reverse side acknowledges although it moved nothing on: of a
// window probe that found room, or of what came before the capture began, with a keep-alive.
func (s *Stream) acceptProbeByte() {
	if s.flags&lastProbe == 0 {
		s.flags = s.flags&^firstEmpty | lastKeepAlive
	}
	s.nxt++
	s.contig = s.nxt
	s.timed &= timedAmbiguous
}

// open starts direction dir's stream with its first packet.
func (c *Conn) open(dir uint32, now int64, t *Tally) {
	c.side[dir&1].hot.secondEnd = now + second
	t.Opened++
	t.Streams++
	t.Active++
}
