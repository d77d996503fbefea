package stream

import (
	"math/rand/v2"
	"testing"
	"time"

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
	if g.r.IntN(5) == 0 { // some seconds later, or after more than is a gap, or before
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

// bothWays accounts everything twice, by Account and by account.
type bothWays struct {
	short, long           *Conn
	shortTally, longTally Tally
	trace                 bool // log which path Account took
	onFastPath, all       int  // with trace
}

func newBothWays() *bothWays { return &bothWays{short: fresh(), long: fresh()} }

// account brings a segment both ways. What Account leaves out of the common case must change nothing. The fast path
// may notice later that it is open to a direction, never too early.
func (w *bothWays) account(t *testing.T, dir uint32, seg parse.Segment, now int64) {
	t.Helper()
	f := &w.short.side[dir].hot
	// The fast path alone leaves what the latest packet was as it is.
	const trace = lastSYN
	if w.trace && f.flags&fastPath != 0 {
		f.flags |= trace
	}
	e1, rtt1 := w.short.Account(dir, &seg, now, &w.shortTally)
	e2, rtt2 := w.long.accountSlow(dir, &seg, now, &w.longTally)
	if w.trace {
		e1 = e1&^Spoke | e2&Spoke // which goes by that flag
		w.all++
		if f.flags&trace != 0 {
			f.flags &^= trace
			w.onFastPath++
		}
	}
	a, b := *w.short, *w.long
	for d := range a.side {
		if a.side[d].hot.flags&fastPath&^b.side[d].hot.flags != 0 {
			t.Fatalf("%v, direction %d, %+v: the fast path is open to direction %d, by right it is not", time.Duration(now), dir, seg, d)
		}
		a.side[d].hot.flags &^= fastPath
		b.side[d].hot.flags &^= fastPath
	}
	if a != b || w.shortTally != w.longTally || e1 != e2 || rtt1 != rtt2 {
		t.Fatalf("%v, direction %d, %+v:\n%+v\n%+v\nevents %b, %b, samples %d, %d", time.Duration(now), dir, seg, a, b, e1, e2, rtt1, rtt2)
	}
}

func TestTheFastPathEqualsTheSlowPath(t *testing.T) {
	for seed := range uint64(300) {
		w := newBothWays()
		g := traffic{r: rand.New(rand.NewPCG(seed, 1)), nxt: [2]parse.Seq{parse.Seq(seed << 24), 77}}
		for range 500 {
			dir, seg, now := g.next()
			w.account(t, dir, seg, now)
		}
	}
}

// A hole is open for a second or for minutes, now and then with a clock that is set back, while its direction goes
// on and the other one answers; then it is filled.
func TestTheFastPathPastAHole(t *testing.T) {
	for seed := range uint64(60) {
		w, r := newBothWays(), rand.New(rand.NewPCG(seed, 2))
		setBack, brief := seed%3 == 0, seed%4 == 1
		w.trace = brief && !setBack
		now, at := int64(0), parse.Seq(seed<<28)
		data := func(at parse.Seq) {
			w.account(t, 0, parse.Segment{Seq: at, Ack: 1, Flags: parse.ACK, Window: 500, Len: 1000}, now)
		}
		answer := func(ack parse.Seq) {
			w.account(t, 1, parse.Segment{Seq: 1, Ack: ack, Flags: parse.ACK, Window: 500}, now)
		}
		for range 20 {
			longest, step := 400*second, second/3
			if brief {
				longest, step = second, second/100
			}
			hole, filled := at, now+r.Int64N(longest)
			at += 1000
			for n := 0; now < filled && n < 3000; n++ {
				now += r.Int64N(step)
				if setBack && r.IntN(60) == 0 {
					now -= r.Int64N(20 * second)
				}
				data(at)
				at += 1000
				switch n := r.IntN(3000); {
				case n == 0:
					answer(at - 500)
				case n < 100:
					answer(hole - 500)
				case n < 200:
					answer(hole)
				}
			}
			data(hole)
			answer(at)
		}
		if w.onFastPath < w.all*8/10 {
			t.Errorf("seed %d: %d of %d segments took the fast path, want eight in ten", seed, w.onFastPath, w.all)
		}
	}
}

// A direction that goes on past a hole that nothing fills outgrows what any window spans.
func TestTheFastPathFarPastAHole(t *testing.T) {
	w := newBothWays()
	segment := parse.Segment{Seq: 1, Ack: 1, Flags: parse.ACK, Window: 500, Len: 60000}
	for i := range 20_000 {
		w.account(t, 0, segment, int64(i)*1e6)
		if segment.Seq = segment.Seq.Add(segment.Len); i == 20 {
			segment.Seq += 1000
		}
	}
	if f := &w.short.side[0].hot; f.contig != f.nxt {
		t.Errorf("a hole is open %d bytes behind", f.nxt-f.contig)
	}
}

// An ACK amid what is in flight is acceptable however far off both of its ends are (RFC 9293 section 3.10.7.4).
func TestTheFastPathAmidALargeFlight(t *testing.T) {
	w := newBothWays()
	now := int64(0)
	account := func(s step) {
		now++
		w.account(t, s.dir, *s.segment(), now)
	}
	for _, s := range shake {
		account(s)
	}
	for i := range parse.Seq(1000) {
		account(step{0, a, ack, 1 + i*1000, 1000, 1, 10, 0})
	}
	const amid = 1 + 500*1000
	account(step{0, b, ack, 1, 0, amid, 2000, 0})
	if got := w.long.side[b].hot.lastAck; got != amid {
		t.Errorf("the latest ACK is %d, want %d: it was taken for unacceptable", got, amid)
	}
}

// Connections of a packet a second or so stay on the fast path, silent seconds and busy ones included: it
// alone leaves the flags of a direction as they are.
func TestTheFastPathEndsSeconds(t *testing.T) {
	c, tally := fresh(), Tally{}
	data := parse.Segment{Seq: 1, Ack: 1, Flags: parse.ACK, Window: 100, Len: 10}
	answer := data
	answer.Len = 0
	const trace = lastSYN
	now := int64(0)
	for i := range 200 {
		warm := i > 3
		if warm {
			c.side[0].hot.flags |= trace
		}
		ended := c.side[0].hot.secondEnd
		c.Account(0, &data, now, &tally)
		if warm && (c.side[0].hot.flags&(fastPath|trace) != fastPath|trace || c.side[0].hot.secondEnd <= ended) {
			t.Fatalf("packet %d, at %d s: flags %b, the second ends at %d and ended at %d", i, now/second, c.side[0].hot.flags, c.side[0].hot.secondEnd, ended)
		}
		data.Seq += 10
		answer.Ack = data.Seq
		c.Account(1, &answer, now, &tally)
		now += int64(1+i%9) * second
	}
}
