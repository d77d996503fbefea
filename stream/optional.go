package stream

import (
	"math"

	"tcp-stream-exporter/parse"
)

// Optional holds the figures of a connection's directions that are counted only on request: a record has
// no place for them. 64 bytes, one cache line. What stands there of a direction that is no stream means
// nothing.
type Optional struct{ side [2]optional }

type optional struct {
	rttSum       uint64 // ns
	wire         uint64 // bytes
	rtts         uint32
	repeatedLow  uint32 // bytes, the lower 32 of 48 bits
	repeatedHigh uint16
	syns         uint16
	mss          uint16 // bytes; 0: no SYN with the option was seen
	synWire      uint16 // bytes, of the latest SYN
}

// MSS returns the maximum segment size in bytes that direction dir announced with its latest SYN; 0: none is known.
func (o *Optional) MSS(dir uint32) uint32 { return uint32(o.side[dir&1].mss) }

// OptionalSize is the size of an Optional in bytes.
const OptionalSize = 64

// AccountOptional is Account, and counts in o, too. Counters that reach the end of their range begin
// again at 0, as after a restart; the number of RTT samples and their sum do so together.
func (c *Conn) AccountOptional(o *Optional, dir uint32, seg *parse.Segment, now int64, t *Tally) (ev Event, rtt int64) {
	dir &= 1
	pending, retransmits := c.state&anyPending, c.side[dir].cold.retransmits

	ev, rtt = c.Account(dir, seg, now, t)

	side := &o.side[dir]
	switch {
	case ev&Renewed != 0 && pending != 0 && seg.Flags&parse.ACK != 0:
		o.renewFromPending(pending)
	case ev&Renewed != 0:
		*o = Optional{}
	case ev&Opened != 0:
		*side = optional{}
	}
	side.wire += uint64(seg.WireLen)
	if seg.Flags&parse.SYN != 0 {
		side.syns++
		side.mss, side.synWire = seg.Options.MSS(), uint16(min(seg.WireLen, math.MaxUint16))
	}
	if ev&Renewed == 0 && c.side[dir].cold.retransmits > retransmits {
		side.repeat(seg.Len)
	}
	if rtt != noSample {
		o.side[dir^1].sample(rtt)
	}
	return ev, rtt
}

// renewFromPending begins anew with the SYN that was pending, as Conn's does.
func (o *Optional) renewFromPending(pending connState) {
	dir := 0
	if pending&pending1 != 0 {
		dir = 1
	}
	syn := o.side[dir]
	*o = Optional{}
	o.side[dir] = optional{syns: 1, mss: syn.mss, synWire: syn.synWire, wire: uint64(syn.synWire)}
}

func (s *optional) sample(rtt int64) {
	if s.rtts == math.MaxUint32 {
		s.rtts, s.rttSum = 0, 0
	}
	s.rtts++
	s.rttSum += uint64(rtt)
}

func (s *optional) repeat(bytes uint32) {
	n := s.repeated() + uint64(bytes)
	s.repeatedLow, s.repeatedHigh = uint32(n), uint16(n>>32)
}

func (s *optional) repeated() uint64 { return uint64(s.repeatedHigh)<<32 | uint64(s.repeatedLow) }

// Extra adds what o has of direction dir to e.
func (o *Optional) Extra(dir int, e *Extra) {
	s := &o.side[dir&1]
	e.RTTs, e.RTTSum, e.Wire, e.Repeated, e.SYNs, e.MSS = s.rtts, s.rttSum, s.wire, s.repeated(), s.syns, s.mss
}
