package wheel

import (
	"math"
	"slices"
	"testing"
)

func TestArmedIndexPopsAtItsSlot(t *testing.T) {
	for _, c := range []struct {
		name           string
		at, tick, pops uint32
	}{
		{"the next tick", 0, 1, 1},
		{"the last tick of level 0", 0, 63, 63},
		{"level 0 from an odd tick", 17, 80, 80},
		{"level 1 pops at its slot's first tick", 0, 100, 64},
		{"level 1, the pointer's own slot a lap ahead", 63, 63 + 4095, 4096},
		{"level 1, 64 ahead", 1, 65, 64},
		{"level 2 pops at its slot's first tick", 5, 5 + 3*4096, 3 * 4096},
		{"level 3 pops at its slot's first tick", 5, 5 + 1<<20, 1 << 20},
		{"level 3, the pointer's own slot a lap ahead", 1, MaxAhead + 1, MaxAhead + 1},
		{"the farthest tick", 0, MaxAhead, 63 << 18},
		{"beyond the farthest tick", 0, MaxAhead + 1, 63 << 18},
		{"half of all ticks ahead", 0, math.MaxInt32, 63 << 18},
		{"the tick the wheel stands at is due at the next", 100, 100, 101},
		{"a tick in the past is due at the next", 100, 3, 101},
		{"half of all ticks ago is due at the next", 100, 100 + 1<<31, 101},
		{"across the wrap, level 0", math.MaxUint32 - 1, 3, 3},
		{"across the wrap, level 1", math.MaxUint32 - 99, 100, 64},
		{"across the wrap to tick 0", math.MaxUint32 - 99, 0, 0},
		{"a past tick before the wrap", 5, math.MaxUint32 - 5, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := New(8)
			w.Reset(c.at)
			w.Arm(7, c.tick)
			out := make([]uint32, 8)
			if c.pops-1 != c.at {
				if n, more := w.Advance(c.pops-1, out); n != 0 || more || !w.Armed(7) {
					t.Fatalf("a tick before its slot: popped %d, more %v, armed %v", n, more, w.Armed(7))
				}
			}
			if n, more := w.Advance(c.pops, out); n != 1 || more || out[0] != 7 || w.Armed(7) {
				t.Fatalf("at its slot: popped %v, more %v, armed %v", out[:n], more, w.Armed(7))
			}
			if n, more := w.Advance(c.pops+math.MaxInt32, out); n != 0 || more {
				t.Fatalf("later: popped %d again, more %v", n, more)
			}
			check(t, w)
		})
	}
}

func TestArmWithinTheSlotDoesNoWork(t *testing.T) {
	w := New(2)
	w.Arm(0, 1000)
	w.Arm(1, 1000) // index 0 is no longer the last entry: taking it out would move index 1
	before := slices.Clone(w.pos)
	w.Arm(0, 1001)
	if !slices.Equal(w.pos, before) {
		t.Errorf("positions were %x, now %x", before, w.pos)
	}
	check(t, w)
}

// halfPopped returns a wheel at tick 64, where 40 indices of level 0 and 60 of level 1 fell due and
// 10 of level 0 have been popped: 0-39 were armed from tick 1 on, 40-99 before.
func halfPopped(t *testing.T) (p *pair, popped []uint32) {
	p = newPair(t, 101, 0)
	for i := uint32(40); i < 100; i++ {
		p.arm(i, 64)
	}
	p.advance(10, 0)
	for i := range uint32(40) {
		p.arm(i, 64)
	}
	popped = slices.Clone(p.advance(1000, 10))
	if len(popped) != 10 || slices.Max(popped) >= 40 || p.w.cur != 64 {
		t.Fatalf("popped %v, at tick %d", popped, p.w.cur)
	}
	return p, popped
}

func TestHalfPoppedSlot(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(p *pair, popped []uint32)
		left int // what the next full Advance to tick 1000 pops
	}{
		{"carries on", func(*pair, []uint32) {}, 90},
		{"pops only what is left over when time stands still", func(p *pair, _ []uint32) {
			if got := p.advance(64, 101); len(got) != 90 {
				p.t.Errorf("popped %d", len(got))
			}
		}, 0},
		{"pops only what is left over when time steps back", func(p *pair, _ []uint32) {
			p.arm(100, 65)
			if got := p.advance(3, 101); len(got) != 90 {
				p.t.Errorf("popped %d", len(got))
			}
		}, 1},
		{"without room pops nothing and moves nowhere", func(p *pair, _ []uint32) {
			p.advance(2000, 0)
		}, 90},
		{"lets what is left be cancelled", func(p *pair, _ []uint32) {
			for i := range uint32(100) {
				p.cancel(i)
			}
		}, 0},
		{"lets what is left be moved beyond", func(p *pair, _ []uint32) {
			for i := range uint32(100) {
				p.arm(i, 5000)
			}
		}, 0},
		{"takes what was popped again one lap ahead, apart from what is left", func(p *pair, popped []uint32) {
			for _, i := range popped {
				p.arm(i, 64+64*64-1) // level 1: 63 slots ahead
				p.arm(i, 64+64)      // level 1: the next slot
				p.arm(i, 64+63)      // level 0: the pointer's slot less one
			}
		}, 100},
		{"takes what was popped, past due, at the next tick", func(p *pair, popped []uint32) {
			for _, i := range popped {
				p.arm(i, 64)
			}
			if got := p.advance(64, 101); len(got) != 90 {
				p.t.Errorf("at tick 64 popped %d, want the 90 left over", len(got))
			}
		}, 10},
		{"gives way to Reset", func(p *pair, _ []uint32) { p.reset(500) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, popped := halfPopped(t)
			c.do(p, popped)
			if got := p.advance(1000, 101); len(got) != c.left {
				t.Errorf("popped %d, want %d", len(got), c.left)
			}
		})
	}
}

// The slot that the pointer stands on takes entries a whole lap ahead while its own list is half
// popped: the two must not mix.
func TestLapAheadBesideHalfPoppedSlot(t *testing.T) {
	for level := 1; level < levels; level++ {
		span := uint64(1) << (6 * level)
		p := newPair(t, 101, 1<<33)
		base := p.o.cur
		due := base + 2*span
		for i := range uint32(50) {
			p.arm(i, due)
		}
		p.advance(due, 10)
		p.advance(due+span-1, 50) // all of them; the pointer still stands on the slot
		for i := range uint32(50) {
			p.arm(i, due+64*span) // less than 64 spans ahead of the wheel, in the pointer's slot
			if got := p.w.placeHolding(i); got != uint32(level<<6|2) {
				t.Fatalf("level %d: index %d is at place %#x", level, i, got)
			}
		}
		if got := p.advance(due+64*span-1, 101); len(got) != 0 {
			t.Errorf("level %d: %d popped before the lap was over", level, len(got))
		}
		if got := p.advance(due+64*span, 101); len(got) != 50 {
			t.Errorf("level %d: %d popped when the lap was over, want 50", level, len(got))
		}
	}
}

func TestMoreIsExact(t *testing.T) {
	w := New(10)
	out := make([]uint32, 5)
	for i := range uint32(5) {
		w.Arm(i, 10)
	}
	w.Arm(5, 20)
	if n, more := w.Advance(15, out); n != 5 || more || w.cur != 15 {
		t.Errorf("room for exactly what is due: popped %d, more %v, at %d; want 5, false, 15", n, more, w.cur)
	}
	if n, more := w.Advance(19, nil); n != 0 || more {
		t.Errorf("no room, nothing due: popped %d, more %v", n, more)
	}
	if n, more := w.Advance(20, nil); n != 0 || !more {
		t.Errorf("no room, one due: popped %d, more %v", n, more)
	}
}

// All indices in as many half-filled chunks as can be: the pool must hold them.
func TestPoolHoldsTheWorstSpread(t *testing.T) {
	for _, n := range []int{0, 1, 29, 30, 31, 259, 260, 261, 400, 31 * 260, 20_000} {
		p := newPair(t, n, 0)
		// One in each slot first, so that every place has a chunk of its own, then the rest over
		// all slots; then a half-popped slot on each level gives four places more.
		for i := range n {
			level, slot := i/64%levels, i%64+1
			p.w.Arm(uint32(i), uint32(slot)<<(6*level))
		}
		check(t, p.w)
		out := make([]uint32, 1)
		now := uint32(1 << 18)
		for more := true; more; {
			var got int
			got, more = p.w.Advance(now, out)
			if got == 1 {
				p.w.Arm(out[0], p.w.cur+1<<18) // fills the slots again behind the pointer
			}
		}
		check(t, p.w)
	}
}

func TestNewRefusesImpossibleSizes(t *testing.T) {
	for _, n := range []int{-1, math.MinInt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%d) did not panic", n)
				}
			}()
			New(n)
		}()
	}
}

func TestNoAllocationAfterNew(t *testing.T) {
	w := New(10_000)
	out := make([]uint32, 64)
	now := uint32(math.MaxUint32 - 100_000)
	w.Reset(now)
	turn := func() {
		for i := range uint32(10_000) {
			w.Arm(i, now+i*7)
			w.Arm(i, now+i*3)
			if i%5 == 0 {
				w.Cancel(i)
			}
		}
		now += 5000
		for more := true; more; {
			_, more = w.Advance(now, out)
		}
		if now%3 == 0 {
			w.Reset(now)
		}
	}
	if n := testing.AllocsPerRun(50, turn); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

// While an Advance has left something over, the wheel stands behind; when all is popped it does not.
func TestBehind(t *testing.T) {
	for _, at := range []uint32{0, math.MaxUint32 - 15} { // also across the wrap
		w := New(4)
		w.Reset(at)
		for i := range uint32(4) {
			w.Arm(i, at+10+i/2) // two at tick 10, two at tick 11
		}
		out := make([]uint32, 1)
		for turn, want := range []uint32{20, 20, 19, 0} {
			if _, more := w.Advance(at+30, out); more != (want != 0) || w.Behind(at+30) != want {
				t.Errorf("from %d, turn %d: more %v, %d ticks behind, want %d", at, turn, more, w.Behind(at+30), want)
			}
		}
		if got := w.Behind(at + 20); got != 0 {
			t.Errorf("behind a tick of before: %d", got)
		}
	}
}
