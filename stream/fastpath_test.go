package stream

import (
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/parse"
)

// traffic is a random exchange that stays near what a connection does: mostly in order, with
// repeats, holes, probes, odd windows, resets and new connections thrown in.
type traffic struct {
	r   *rand.Rand
	nxt [2]parse.Seq
	now int64
}

func (g *traffic) next() (dir uint32, seg parse.Segment, now int64) {
	dir = g.r.Uint32N(2)
	g.now += int64(g.r.IntN(40)) * int64(g.r.IntN(1e6))
	if g.r.IntN(5) == 0 { // some windows of a second later, or after more than is a gap, or before
		g.now += int64(g.r.IntN(13)-1) * int64(g.r.IntN(1e9))
	}
	seg = parse.Segment{
		Seq: g.nxt[dir], Ack: g.nxt[1-dir], Flags: parse.ACK,
		Window: uint16(g.r.IntN(3)) * 100, Len: uint32(g.r.IntN(3)) * uint32(g.r.IntN(1500)),
	}
	odd := func(n int) bool { return g.r.IntN(n) == 0 }
	if odd(10) {
		seg.Seq -= parse.Seq(g.r.IntN(3000))
	}
	if odd(20) {
		seg.Seq += parse.Seq(g.r.IntN(3000))
	}
	if odd(10) {
		seg.Ack -= parse.Seq(g.r.IntN(2000))
	}
	if odd(30) { // as far back as no window reaches, too
		seg.Ack -= parse.Seq(g.r.IntN(1 << 24))
	}
	if odd(10) {
		seg.Len = 1
	}
	if odd(30) {
		seg.Seq--
	}
	if odd(40) {
		seg.Flags |= parse.FIN
	}
	if odd(60) {
		seg.Flags |= parse.RST
	}
	if odd(40) {
		seg.Flags, seg.Options = parse.SYN, parse.SYNOptions(0, int8(g.r.IntN(10)))
		if odd(2) {
			seg.Flags |= parse.ACK
		}
		if odd(2) {
			seg.Seq = parse.Seq(g.r.Uint32())
		}
	}
	if odd(50) {
		seg.Flags &^= parse.ACK
	}
	if odd(100) {
		seg.Flags |= parse.LenUnknown
	}
	if end := seg.Seq.Add(seg.Len); end.After(g.nxt[dir]) || odd(20) {
		g.nxt[dir] = end
		if seg.Flags&(parse.SYN|parse.FIN) != 0 {
			g.nxt[dir]++
		}
	}
	return dir, seg, g.now
}

// What Account leaves out of the common case must change nothing.
func TestTheShortWayEqualsTheLongOne(t *testing.T) {
	for seed := range uint64(300) {
		short, long := fresh(), fresh()
		var shortTally, longTally Tally
		g := traffic{r: rand.New(rand.NewPCG(seed, 1)), nxt: [2]parse.Seq{parse.Seq(seed << 24), 77}}
		for i := range 500 {
			dir, seg, now := g.next()
			e1, rtt1 := short.Account(dir, &seg, now, &shortTally)
			e2, rtt2 := long.account(dir, &seg, now, &longTally)
			// The short way may notice later that it is open to a direction, never too early.
			var kept [2]flags
			for d := range kept {
				kept[d] = short.hot[d].flags & smooth
				if kept[d]&^long.hot[d].flags != 0 {
					t.Fatalf("seed %d, packet %d: the short way is open to direction %d, by right it is not", seed, i, d)
				}
				short.hot[d].flags |= long.hot[d].flags & smooth
			}
			if *short != *long || shortTally != longTally || e1 != e2 || rtt1 != rtt2 {
				t.Fatalf("seed %d, packet %d, direction %d, %+v:\n%+v\n%+v\nevents %b, %b", seed, i, dir, seg, short, long, e1, e2)
			}
			for d := range kept {
				short.hot[d].flags = short.hot[d].flags&^smooth | kept[d]
			}
		}
	}
}

// Connections of a packet a second or so stay on the short way, silent windows and full ones included: it
// alone leaves the flags of a direction as they are.
func TestTheShortWayEndsWindows(t *testing.T) {
	c, tally := fresh(), Tally{}
	data := parse.Segment{Seq: 1, Ack: 1, Flags: parse.ACK, Window: 100, Len: 10}
	answer := data
	answer.Len = 0
	const trace = lastSYN
	now := int64(0)
	for i := range 200 {
		warm := i > 3
		if warm {
			c.hot[0].flags |= trace
		}
		ended := c.hot[0].winEnd
		c.Account(0, &data, now, &tally)
		if warm && (c.hot[0].flags&(smooth|trace) != smooth|trace || c.hot[0].winEnd <= ended) {
			t.Fatalf("packet %d, at %d s: flags %b, the window ends at %d and ended at %d", i, now/second, c.hot[0].flags, c.hot[0].winEnd, ended)
		}
		data.Seq += 10
		answer.Ack = data.Seq
		c.Account(1, &answer, now, &tally)
		now += int64(1+i%9) * second
	}
}
