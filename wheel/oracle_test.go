package wheel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// oracle is the wheel's definition done the slow way: time as uint64, so that nothing wraps, and
// a map of where each index waits.
type oracle struct {
	cur   uint64
	waits map[uint32]wait
}

// wait is a slot: its first tick, and its level to compare places by.
type wait struct {
	tick  uint64
	level uint32
}

func (o *oracle) arm(i uint32, tick uint64) {
	ahead := min(max(int64(tick-o.cur), 1), MaxAhead)
	level, span := uint32(0), int64(1)
	for ahead >= span*64 {
		level, span = level+1, span*64
	}
	deadline := o.cur + uint64(ahead)
	o.waits[i] = wait{deadline - deadline%uint64(span), level}
}

// pair drives a wheel and its oracle through the same calls and compares after each.
type pair struct {
	t   testing.TB
	w   *Wheel
	o   oracle
	out []uint32
}

func newPair(t testing.TB, n int, start uint64) *pair {
	p := &pair{t: t, w: New(n), out: make([]uint32, n+1), o: oracle{cur: start, waits: map[uint32]wait{}}}
	p.w.Reset(uint32(start))
	return p
}

func (p *pair) arm(i uint32, tick uint64) {
	p.w.Arm(i, uint32(tick))
	p.o.arm(i, tick)
	p.check()
}

func (p *pair) cancel(i uint32) {
	p.w.Cancel(i)
	delete(p.o.waits, i)
	p.check()
}

func (p *pair) reset(now uint64) {
	p.w.Reset(uint32(now))
	p.o = oracle{cur: now, waits: map[uint32]wait{}}
	p.check()
}

// advance returns what was popped; budget is the room for it.
func (p *pair) advance(now uint64, budget int) []uint32 {
	p.t.Helper()
	var due []uint64
	for _, slot := range p.o.waits {
		if slot.tick <= max(now, p.o.cur) {
			due = append(due, slot.tick)
		}
	}
	slices.Sort(due)

	n, more := p.w.Advance(uint32(now), p.out[:budget])
	if want := min(budget, len(due)); n != want || more != (len(due) > want) {
		p.t.Fatalf("Advance to %d from %d with room for %d: popped %d, more %v; %d are due",
			now, p.o.cur, budget, n, more, len(due))
	}
	for k, i := range p.out[:n] {
		slot, armed := p.o.waits[i]
		if !armed || slot.tick != due[k] {
			p.t.Fatalf("Advance to %d from %d: pop %d is index %d (armed %v, slot %d), want slot %d",
				now, p.o.cur, k, i, armed, slot.tick, due[k])
		}
		delete(p.o.waits, i)
	}
	switch {
	case !more:
		p.o.cur = max(now, p.o.cur)
	case n > 0:
		p.o.cur = due[n-1]
	}
	p.check()
	return p.out[:n]
}

func (p *pair) check() {
	p.t.Helper()
	check(p.t, p.w)
	if p.w.cur != uint32(p.o.cur) {
		p.t.Fatalf("the wheel stands at %d, want %d", p.w.cur, uint32(p.o.cur))
	}
	for i := range uint32(len(p.w.pos)) {
		slot, armed := p.o.waits[i]
		if p.w.Armed(i) != armed {
			p.t.Fatalf("index %d: armed %v, want %v", i, !armed, armed)
		}
		if !armed {
			continue
		}
		want := slot.level*64 + uint32(slot.tick>>(6*slot.level))%64
		if slot.tick <= p.o.cur {
			want = duePlace + slot.level
		}
		if got := p.w.placeHolding(i); got != want {
			p.t.Fatalf("index %d is at place %d, want %d", i, got, want)
		}
	}
}

// op does one operation chosen by r, with ticks up to about 2^scale away.
func (p *pair) op(r *rand.Rand, scale int) {
	near := func() uint64 { return r.Uint64N(1 << r.IntN(scale+1)) }
	i := r.Uint32N(uint32(len(p.w.pos)))
	switch r.IntN(16) {
	case 0:
		p.arm(i, p.o.cur-near())
	case 1, 2:
		p.cancel(i)
	case 3, 4:
		p.advance(p.o.cur+near(), len(p.out))
	case 5, 6, 7:
		p.advance(p.o.cur+near(), r.IntN(len(p.out)))
	case 8:
		p.advance(p.o.cur-near(), r.IntN(len(p.out)))
	case 9:
		// One tick for many, so that slots need several chunks and stay half popped.
		tick := p.o.cur + near()
		for range len(p.w.pos) / 4 {
			i := r.Uint32N(uint32(len(p.w.pos)))
			p.w.Arm(i, uint32(tick))
			p.o.arm(i, tick)
		}
		p.check()
	case 10:
		if r.IntN(50) == 0 {
			p.reset(p.o.cur + near())
		}
	default:
		p.arm(i, p.o.cur+near())
	}
}

func TestWheelAgreesWithOracle(t *testing.T) {
	const ops = 6_000
	for seed, c := range []struct {
		name  string
		n     int
		start uint64
		scale int
		wraps bool // the run must take the wheel across 2^32
	}{
		{"one index", 1, 1<<32 - 500, 7, true},
		{"ticks near by, across 2^32", 150, 1<<32 - 10_000, 7, true},
		{"ticks on two levels, across 2^32", 150, 1<<32 - 1<<18, 13, true},
		{"ticks on three levels, across 2^32", 150, 1<<32 - 1<<22, 19, true},
		{"ticks on four levels, across 2^32", 150, 1<<32 - 1<<25, 24, true},
		{"ticks beyond the range, across 2^32", 150, 1<<32 - 1<<27, 28, true},
		{"ticks far beyond the range", 40, 1 << 33, 30, false},
		{"more indices than one chunk each place", 700, 1<<32 - 1<<20, 18, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 4711))
			p := newPair(t, c.n, c.start)
			for range ops {
				p.op(r, c.scale)
			}
			if c.wraps && p.o.cur < 1<<32 {
				t.Errorf("the run ended at %d, before 2^32: it shows nothing about the wrap", p.o.cur)
			}
		})
	}
}

func FuzzWheel(f *testing.F) {
	f.Add(uint64(1), uint64(1<<32-100), uint8(8), uint16(500))
	f.Add(uint64(2), uint64(1<<32-1<<20), uint8(26), uint16(300))
	f.Fuzz(func(t *testing.T, seed, start uint64, scale uint8, ops uint16) {
		// Far enough from 0 that no tick of the oracle goes below it.
		p := newPair(t, 1+int(seed%100), 1<<33+start%(1<<32))
		r := rand.New(rand.NewPCG(seed, start))
		for range ops % 1024 {
			p.op(r, int(scale%30))
		}
	})
}
