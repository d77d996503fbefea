package tcpsim

import (
	"math/rand/v2"

	"tcp-stream-exporter/parse"
)

// Odd draws segments that stay near what a connection does, mostly in order, with repeats, holes, probes,
// odd windows and flags, resets and new connections thrown in. All numbers stay near where their direction
// stands, so that a receiver accepts them. There is no truth about them.
type Odd struct {
	r    *rand.Rand
	nxt  [2]parse.Seq
	now  int64 // ns
	open []Frame
}

// NewOdd returns a generator that every seed gives other segments.
func NewOdd(seed uint64) *Odd {
	o := &Odd{r: rand.New(rand.NewPCG(seed, 0x0dd)), nxt: [2]parse.Seq{parse.Seq(seed << 24), parse.Seq(seed * 0x9e3779b9)}, now: 1e9}
	if seed%2 == 0 {
		client, server := o.nxt[0], o.nxt[1]
		o.open = []Frame{
			{Dir: 0, Seg: parse.Segment{Seq: client, Flags: parse.SYN}},
			{Dir: 1, Seg: parse.Segment{Seq: server, Ack: client + 1, Flags: parse.SYN | parse.ACK}},
			{Dir: 0, Seg: parse.Segment{Seq: client + 1, Ack: server + 1, Flags: parse.ACK}},
		}
	}
	return o
}

// Next returns the next segment.
func (o *Odd) Next() Frame {
	odd := func(n int) bool { return o.r.IntN(n) == 0 }
	o.now += int64(o.r.IntN(40)) * int64(o.r.IntN(1e6))
	if odd(8) { // pauses, and a clock that goes back
		o.now += int64(o.r.IntN(13)-1) * int64(o.r.IntN(1e9))
	}
	if len(o.open) > 0 {
		f := o.open[0]
		o.open = o.open[1:]
		f.Now, f.Seg.Window = o.now, 100
		o.moved(&f)
		return f
	}
	f := Frame{Dir: o.r.Uint32N(2), Now: o.now}
	s := &f.Seg
	*s = parse.Segment{
		Seq: o.nxt[f.Dir], Ack: o.nxt[1-f.Dir], Flags: parse.ACK,
		Window: uint16(o.r.IntN(3)) * 100, Len: uint32(o.r.IntN(3)) * uint32(o.r.IntN(1500)),
	}
	if odd(10) {
		s.Seq -= parse.Seq(o.r.IntN(3000))
	}
	if odd(20) {
		s.Seq += parse.Seq(o.r.IntN(3000))
	}
	if odd(10) {
		s.Ack -= parse.Seq(o.r.IntN(2000))
	}
	if odd(40) {
		s.Ack++ // a probe's byte is taken
	}
	if odd(10) {
		s.Len = 1
	}
	if odd(20) {
		s.Seq--
	}
	if odd(40) {
		s.Flags |= parse.FIN
	}
	if odd(60) {
		s.Flags |= parse.RST
	}
	if odd(40) {
		s.Flags, s.Len = parse.SYN, 0
		if odd(2) {
			s.Flags |= parse.ACK
		}
		switch o.r.IntN(3) {
		case 0:
			s.Seq += parse.Seq(o.r.IntN(40000)) - 20000
		case 1: // what follows has the number that a confirmation has
			s.Seq--
		}
	}
	if odd(50) {
		s.Flags &^= parse.ACK
	}
	if s.Flags&parse.SYN == 0 && !odd(3) {
		s.Flags |= parse.Timestamped
		s.Options = parse.Options((o.now - int64(o.r.IntN(10e6))) >> 20)
	}
	o.moved(&f)
	return f
}

// moved goes on where the segment ended.
func (o *Odd) moved(f *Frame) {
	end := f.Seg.Seq.Add(f.Seg.Len)
	if f.Seg.Flags&(parse.SYN|parse.FIN) != 0 {
		end++
	}
	if nxt := &o.nxt[f.Dir]; end.After(*nxt) || o.r.IntN(20) == 0 {
		*nxt = end
	}
}
