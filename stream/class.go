package stream

import "tcp-stream-exporter/parse"

// class classifies a segment with payload, SYN or FIN: new to its direction, a retransmission or out of order.
type class uint8

const (
	unseen class = iota // new, as far as the capture shows
	again               // some of it was sent before: a retransmission
	late                // sent once, and overtaken on its way to the capture point
)

// classify finds the class of a segment that ends at end and is neither a keep-alive nor a window probe.
func (c *Conn) classify(dir uint32, seg *parse.Segment, end parse.Seq, now int64) class {
	f, r, h := &c.side[dir&1].hot, &c.side[dir&1^1].hot, &c.side[dir&1].cold.hole
	n := seg.Len
	if n != 0 && r.flags&ackKnown != 0 && !seg.Seq.Add(n).After(r.lastAck) {
		if seg.Seq.Before(f.nxt) {
			return again
		}
		// Nobody acknowledges what was not sent. Either the capture has delivered the ACK before the data,
		// or the first copy was lost on its way here.
		if limit, _ := c.reorderLimit(); young(now-r.ackTime, limit) {
			return unseen
		}
		return again
	}
	switch {
	case !seg.Seq.Before(f.nxt),
		n > 1 && seg.Seq == f.nxt-1 && f.flags&(lastKeepAlive|lastProbe) != 0,                             // the probing byte once more, with what follows
		seg.Flags&(parse.SYN|parse.ACK) == parse.SYN|parse.ACK && f.flags&(synSent|synAckSent) == synSent: // both sides open
		return unseen
	case !end.After(f.contig), seg.Seq.Before(f.contig),
		end.After(h.end) && h.end != f.nxt: // some of it lies behind every hole, where all was seen
		return again
	}
	limit, known := c.reorderLimit()
	age := h.age(seg.Seq, now)
	// What was sent after what had opened the newest hole was sent after what had opened any.
	soonest := int64(leastReorder)
	if known {
		soonest = limit / numberedPart
	}
	if seg.NumberedSince(h.opener) && seg.Flags&parse.SYN == 0 && !young(age, soonest) {
		return again
	}
	if !known && r.flags&dupTwice != 0 && seg.Seq == r.lastAck && young(now-r.lastTime, fastRetransmitTime) {
		return again // asked for by duplicate ACKs, RFC 5681 section 3.2
	}
	if f.flags&stamped != 0 && seg.Flags&parse.Timestamped != 0 {
		if seg.TickedSince(h.opener) {
			return again
		}
		limit = stampedLimit(limit, known)
	}
	if young(age, limit) {
		return late
	}
	return again
}

// place puts a segment that ends at end where it belongs in the sequence space of direction dir, whose nxt
// is known: it counts what was sent again or comes late, opens and fills holes, and times what is new. It
// reports whether nxt has advanced.
func (c *Conn) place(dir uint32, seg *parse.Segment, end parse.Seq, now int64, keepAlive bool) (advanced bool) {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	d := &c.side[dir&1].cold
	advanced = end.After(f.nxt)
	if end != seg.Seq && !keepAlive {
		switch c.classify(dir, seg, end, now) {
		case unseen:
			if advanced {
				f.time(d, r, seg.Seq, end, now)
			}
		case again:
			d.retransmits++
			f.markAmbiguous(d, seg.Seq, end, r.lastAck, r.flags&ackKnown != 0)
		case late:
			d.outOfOrder++
			f.markAmbiguous(d, seg.Seq, end, r.lastAck, r.flags&ackKnown != 0)
		}
	} else if advanced && f.timed&timedCount != 0 {
		// An empty segment behind what the capture has missed: when that was sent is not known.
		f.markAmbiguous(d, f.nxt, end, r.lastAck, r.flags&ackKnown != 0)
	}
	hole := f.contig != f.nxt
	if advanced && seg.Seq.After(f.nxt) { // an end beyond half the circle is no advance
		limit, known := c.reorderLimit()
		if seg.Flags&parse.Timestamped != 0 {
			limit = stampedLimit(limit, known)
		}
		f.jump(&d.hole, seg, now, limit)
		hole = true
	}
	if advanced {
		f.nxt = end
	}
	if !seg.Seq.After(f.contig) && end.After(f.contig) {
		f.contig = end
	}
	if hole {
		f.shut(&d.hole)
	} else {
		f.contig = f.nxt
	}
	return advanced
}
