package tcpsim

import (
	"slices"

	"tcp-stream-exporter/parse"
)

type span struct{ from, to int64 }

// piece is a stretch of the stream that was sent and is not acknowledged.
type piece struct {
	from, to int64
	flags    parse.Flags
	sent     int64 // ns, latest copy
	copies   int
	sacked   bool
	lost     bool
}

const (
	firstTimeout = 1e9   // ns, RFC 6298
	leastTimeout = 200e6 // ns, as in Linux
	mostTimeouts = 12
)

// endpoint is one side: the sender of its stream, and the receiver of the other's. Offset 0 is the SYN, data
// begins at 1, the FIN follows the data.
type endpoint struct {
	s      *sim
	side   int
	isOpen bool // the handshake is over
	shut   bool // the FIN was sent

	out      []*piece
	una, nxt int64
	written  int64 // offset behind what the application wrote
	flight   int   // segments that may be in flight
	grown    int   // acknowledged since flight grew
	recover  int64 // losses before this offset belong to one event
	lineFree int64 // ns, when the next segment may leave
	pumping  bool

	srtt, least int64 // ns; 0: none
	newest      int64 // ns, when the newest delivered segment was sent
	newestRTT   int64 // ns
	looking     bool  // findLost will be called when another segment may be lost
	timer       int   // counts arms of the timer
	timeouts    int

	expected int64 // everything before it was received
	got      []span
	unacked  int // segments received since the last ACK
	ackTimer int
}

func newEndpoint(s *sim, side int) *endpoint {
	return &endpoint{s: s, side: side, flight: min(10, s.Flight), written: 1}
}

// open sends the SYN.
func (e *endpoint) open() {
	e.out = append(e.out, &piece{from: 0, to: 1, flags: parse.SYN})
	e.nxt = 1
	e.transmit(e.out[0])
}

func (e *endpoint) total() int64 { return 1 + int64(e.s.Data[e.side]) }

// write is the application.
func (e *endpoint) write() {
	n := int64(e.s.Write)
	if n == 0 {
		n = e.total()
	}
	e.written = min(e.written+n, e.total())
	e.pump()
	if e.written < e.total() {
		e.s.after(1+e.s.r.Int64N(max(1, e.s.Pause)), e.write)
	}
}

// pump sends all segments that may be sent, one at a time.
func (e *endpoint) pump() {
	if !e.isOpen || e.pumping {
		return
	}
	if wait := e.lineFree - e.s.now; wait > 0 {
		e.pumping = true
		e.s.after(wait, func() { e.pumping = false; e.pump() })
		return
	}
	inFlight := 0
	var repair *piece
	for _, p := range e.out {
		switch {
		case p.lost && repair == nil:
			repair = p
		case !p.lost && !p.sacked:
			inFlight++
		}
	}
	switch {
	case inFlight >= e.flight:
		return
	case repair != nil:
		e.transmit(repair)
	case e.nxt < e.written && len(e.out) < e.s.Flight*2:
		p := &piece{from: e.nxt, to: min(e.nxt+int64(e.s.MSS), e.written)}
		e.out, e.nxt = append(e.out, p), p.to
		e.transmit(p)
	case e.nxt == e.total() && !e.shut:
		p := &piece{from: e.nxt, to: e.nxt + 1, flags: parse.FIN}
		e.shut = true
		e.out, e.nxt = append(e.out, p), p.to
		e.transmit(p)
	default:
		return
	}
	e.pump()
}

func (e *endpoint) transmit(p *piece) {
	size := int(p.to - p.from)
	if p.flags != 0 {
		size = 0
	}
	again := p.copies > 0
	blind := again && !slices.ContainsFunc(e.out, func(q *piece) bool { return q.sacked && q.from > p.from })
	e.post(message{flags: p.flags, seq: p.from, size: size, again: again, blind: blind})
	p.sent, p.lost = e.s.now, false
	p.copies++
	e.lineFree = e.s.now + e.s.Spacing
	if e.timer%2 == 0 { // not armed
		e.arm()
	}
}

// post sends a segment with what there is to acknowledge.
func (e *endpoint) post(m message) {
	if e.expected > 0 {
		m.flags |= parse.ACK
		m.ack, m.sack = e.expected, slices.Clone(e.got)
		e.unacked = 0
		e.ackTimer++
	}
	e.s.send(e.side, m)
}

func (e *endpoint) ack() { e.post(message{seq: e.nxt}) }

// arm starts the timer of retransmission afresh. timer is odd while it runs.
func (e *endpoint) arm() {
	e.timer += 1 + e.timer%2
	timeout := int64(firstTimeout)
	if e.srtt > 0 {
		timeout = max(leastTimeout, 2*e.srtt)
	}
	number := e.timer
	e.s.after(timeout<<min(e.timeouts, 6), func() {
		if e.timer == number {
			e.timedOut()
		}
	})
}

func (e *endpoint) disarm() { e.timer += e.timer % 2 }

func (e *endpoint) timedOut() {
	if e.disarm(); len(e.out) == 0 {
		return
	}
	if e.timeouts++; e.timeouts > mostTimeouts {
		return
	}
	for _, p := range e.out {
		p.lost = !p.sacked
	}
	e.flight, e.grown, e.recover = 1, 0, e.nxt
	e.transmit(e.out[0])
	if e.timer%2 == 0 {
		e.arm()
	}
}

func (e *endpoint) receive(m message) {
	if m.flags&parse.ACK != 0 {
		e.acknowledged(m.ack, m.sack)
	}
	if m.end() > m.seq {
		e.take(m)
	}
}

// take is the receiver.
func (e *endpoint) take(m message) {
	inOrder := m.seq == e.expected && len(e.got) == 0
	e.got = join(e.got, span{m.seq, m.end()})
	if len(e.got) > 0 && e.got[0].from <= e.expected {
		e.expected = max(e.expected, e.got[0].to)
		e.got = e.got[1:]
	}
	if m.flags&parse.SYN != 0 {
		if m.flags&parse.ACK == 0 {
			if e.side == 1 && e.nxt == 0 {
				e.open()
			}
			return
		}
		e.ack()
		e.established()
		return
	}
	e.established()
	e.unacked++
	if !inOrder || e.unacked >= 2 || m.flags&parse.FIN != 0 {
		e.ack()
	} else if e.unacked == 1 {
		e.ackTimer++
		number := e.ackTimer
		e.s.after(max(1, e.s.DelayACK), func() {
			if e.ackTimer == number {
				e.ack()
			}
		})
	}
}

func (e *endpoint) established() {
	if !e.isOpen && e.una > 0 && e.expected > 0 {
		e.isOpen = true
		e.write()
	}
}

// acknowledged is the sender: takes an ACK, finds out what is lost.
func (e *endpoint) acknowledged(ack int64, sack []span) {
	delivered := func(p *piece) {
		rtt := e.s.now - p.sent
		if p.copies == 1 {
			if e.srtt == 0 {
				e.srtt = rtt
			}
			e.srtt += (rtt - e.srtt) / 8
			if e.least == 0 || rtt < e.least {
				e.least = rtt
			}
		} else if rtt < e.least { // the ACK of an earlier copy
			return
		}
		if p.sent >= e.newest {
			e.newest, e.newestRTT = p.sent, rtt
		}
	}
	advanced := ack > e.una
	for len(e.out) > 0 && e.out[0].to <= ack {
		if p := e.out[0]; !p.sacked {
			delivered(p)
			if e.grown++; e.grown >= e.flight || e.nxt < e.recover || e.recover == 0 {
				e.flight, e.grown = min(e.flight+1, e.s.Flight), 0
			}
		}
		e.out = e.out[1:]
	}
	e.una = max(e.una, ack)
	for _, p := range e.out {
		for _, s := range sack {
			if !p.sacked && s.from <= p.from && p.to <= s.to {
				delivered(p)
				p.sacked, p.lost = true, false
			}
		}
	}
	if advanced {
		e.timeouts = 0
		if e.disarm(); len(e.out) > 0 {
			e.arm()
		}
	}
	e.established()
	e.findLost()
	e.pump()
}

// findLost marks as lost what was sent before a delivered segment, and a round trip and a quarter ago
// (RFC 8985).
func (e *endpoint) findLost() {
	for _, p := range e.out {
		if p.sacked || p.lost || p.copies == 0 || p.sent >= e.newest {
			continue
		}
		if left := p.sent + e.newestRTT + e.least/4 - e.s.now; left > 0 {
			if !e.looking {
				e.looking = true
				e.s.after(left, func() { e.looking = false; e.findLost(); e.pump() })
			}
			continue
		}
		p.lost = true
		if p.from >= e.recover {
			e.recover = e.nxt
			e.flight, e.grown = max(4, e.flight/2), 0
		}
	}
}

// join adds a span to sorted ones that do not touch.
func join(all []span, s span) []span {
	var out []span
	for _, x := range all {
		if x.to < s.from || s.to < x.from {
			out = append(out, x)
			continue
		}
		s = span{min(s.from, x.from), max(s.to, x.to)}
	}
	out = append(out, s)
	slices.SortFunc(out, func(a, b span) int { return int(max(-1, min(1, a.from-b.from))) })
	return out
}
