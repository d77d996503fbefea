package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// Counts are sums of streams' counters, as View has them.
type Counts struct {
	Packets, Bytes uint64
	Retransmits    uint64
	OutOfOrder     uint64
	Gaps           uint64
	DuplicateAcks  uint64
	ZeroWindows    uint64
	Resets         uint64
}

// AddCounts adds the counters of direction dir to n. Those of a direction that is no stream are 0.
func (c *Conn) AddCounts(dir int, n *Counts) {
	s, d := &c.side[dir&1].hot, &c.side[dir&1].cold
	n.Packets += s.packets
	n.Bytes += s.bytes
	n.Retransmits += uint64(d.retransmits)
	n.OutOfOrder += uint64(d.outOfOrder)
	n.Gaps += uint64(d.gaps)
	n.DuplicateAcks += uint64(d.duplicateAcks)
	n.ZeroWindows += uint64(d.zeroWindows)
	n.Resets += uint64(d.resets)
}

// Gone takes down what streams had counted that Account, Expire or Tally.Drop let go: a connection's, from one Clear to
// the next.
type Gone struct {
	Streams int       // how many
	Counts  [2]Counts // by direction

	// Of the connection, before its last streams went.
	Progress    Progress
	First, Last int64 // ns, its first packet and its latest one
}

// Clear makes g empty.
func (g *Gone) Clear() { *g = Gone{First: math.MaxInt64, Last: math.MinInt64} }

// note takes down direction dir of c, if it is a stream. A nil g takes down nothing.
func (g *Gone) note(c *Conn, dir int) {
	if g == nil || c.side[dir&1].hot.packets == 0 {
		return
	}
	g.Streams++
	c.AddCounts(dir, &g.Counts[dir&1])
	g.Progress = c.Progress()
	first, last := c.span(dir)
	g.First, g.Last = min(g.First, first), max(g.Last, last)
}

// span returns when direction dir's first packet and its latest one were seen, in ns.
func (c *Conn) span(dir int) (first, last int64) {
	s := &c.side[dir&1].hot
	return s.firstTime(&c.side[dir&1].cold), s.lastTime
}

// Span returns when the first packet of the streams and the latest one were seen, in ns. There must be a stream.
func (c *Conn) Span() (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	for dir := range c.side {
		if c.side[dir].hot.packets != 0 {
			f, l := c.span(dir)
			first, last = min(first, f), max(last, l)
		}
	}
	return first, last
}

// Progress tells how far a connection has come.
type Progress uint8

const (
	ProgressSYN  Progress = 1 << iota // a SYN without ACK was seen
	ProgressMore                      // a segment without SYN and RST was seen
)

// Progress returns how far the connection has come.
func (c *Conn) Progress() (p Progress) {
	if c.state&synSeen != 0 {
		p |= ProgressSYN
	}
	if c.state&established != 0 {
		p |= ProgressMore
	}
	return p
}

// Client returns which direction's sender opened the connection, as far as a SYN or a SYN+ACK shows it: 0 or 1. Of a
// simultaneous open both did, and the later of the two is returned.
func (c *Conn) Client() (dir uint32, known bool) {
	a, b := c.side[0].hot.flags, c.side[1].hot.flags
	switch both := a & b & synSent; {
	case both != 0:
		if c.opens(1) {
			dir = 1
		}
		return dir, true
	case a&synSent != 0, b&(synSent|synAckSent) == synAckSent:
		return 0, true
	case b&synSent != 0, a&(synSent|synAckSent) == synAckSent:
		return 1, true
	}
	return 0, false
}

// HalfOpen reports whether a handshake is under way: nothing was seen yet but SYNs and SYN+ACKs, and no RST has ended it.
func (c *Conn) HalfOpen() bool {
	if c.state&established != 0 || (c.side[0].hot.flags|c.side[1].hot.flags)&(synSent|synAckSent) == 0 {
		return false
	}
	_, active := c.Live()
	return active != 0
}

// OneWay reports whether more than a handshake was seen, of one direction alone, and it has not ended.
func (c *Conn) OneWay() bool {
	streams, active := c.Live()
	return c.state&established != 0 && streams == 1 && active == 1
}

// HandshakeLegs splits the handshake RTT, right after the event HandshakeMeasured, which the client's segment at now has
// given: the time from the SYN to the SYN+ACK, which is that between the capture point and the server and back, and the
// rest, in ns. The server's first packet must have been its SYN+ACK. ok is false if their times cannot be right.
func (c *Conn) HandshakeLegs(client uint32, now int64) (server, rest int64, ok bool) {
	at, _ := c.span(int(client ^ 1))
	server, rest = at-c.synTime(now), now-at
	return server, rest, c.side[client&1^1].hot.packets != 0 && server >= 0 && rest >= 0
}

// speaks reports whether a segment of direction dir is one that only a connection's end sends that takes part in it, so
// that with such of both sides the connection is established: no SYN without ACK, and a RST only in mid-stream. It
// reports this of the first such segment of a direction, and perhaps of others.
func (c *Conn) speaks(dir uint32, seg *parse.Segment) bool {
	f, r := &c.side[dir&1].hot, &c.side[dir&1^1].hot
	if f.flags&(nxtKnown|lastSYN) == nxtKnown && c.state&anyPending == 0 || seg.Flags&(parse.SYN|parse.ACK) == parse.SYN {
		return false
	}
	return seg.Flags&parse.RST == 0 || c.state&(synSeen|established) == established && (f.flags|r.flags)&synAckSent == 0
}
