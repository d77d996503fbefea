package wheel

import (
	"math/rand/v2"
	"testing"
)

// expirer holds the methods that a caller needs of a wheel; the storage variants that lost have them too, so
// that the benchmarks compare things that work.
type expirer interface {
	Reset(now uint32)
	Arm(i, tick uint32)
	Advance(now uint32, out []uint32) (n int, more bool)
}

// caller keeps records the way the capture does: a packet stores lastSeen, an end shortens the
// age and arms, a popped record expires or is armed again.
type caller struct {
	w     expirer
	live  []bool
	last  []uint64
	age   []uint64
	pops  []int // since the record was last touched
	out   []uint32
	now   uint64
	gone  []uint32 // what the last turn expired
	limit int      // most pops a record may take after it was last touched
}

func newCaller(w expirer, n int, start uint64, budget, limit int) *caller {
	w.Reset(uint32(start))
	return &caller{
		w: w, now: start, out: make([]uint32, budget), limit: limit,
		live: make([]bool, n), last: make([]uint64, n), age: make([]uint64, n), pops: make([]int, n),
	}
}

func (c *caller) deadline(i uint32) uint64 { return c.last[i] + c.age[i] }

func (c *caller) open(i uint32, age uint64) {
	c.live[i], c.last[i], c.age[i], c.pops[i] = true, c.now, age, 0
	c.w.Arm(i, uint32(c.deadline(i)))
}

func (c *caller) packet(i uint32) { c.last[i], c.pops[i] = c.now, 0 }

func (c *caller) end(i uint32, age uint64) {
	c.packet(i)
	c.age[i] = age
	c.w.Arm(i, uint32(c.deadline(i)))
}

// turn moves time on to now and expires what is due.
func (c *caller) turn(t *testing.T, now uint64) {
	c.now, c.gone = now, c.gone[:0]
	for more := true; more; {
		var n int
		n, more = c.w.Advance(uint32(now), c.out)
		for _, i := range c.out[:n] {
			if !c.live[i] {
				t.Fatalf("tick %d: index %d popped, but it is not live", now, i)
			}
			if c.pops[i]++; c.limit > 0 && c.pops[i] > c.limit {
				t.Fatalf("tick %d: index %d popped %d times without being touched", now, i, c.pops[i])
			}
			if c.deadline(i) > now {
				c.w.Arm(i, uint32(c.deadline(i)))
				continue
			}
			c.live[i] = false
			c.gone = append(c.gone, i)
		}
	}
}

// run drives the caller for some turns. It is never handed a tick beyond the earliest deadline, so
// each record must expire at its deadline to the tick: a scan says which.
func run(t *testing.T, c *caller, r *rand.Rand, turns int, maxAge, maxStep uint64) {
	expired := 0
	for range turns {
		for range 1 + r.IntN(4) {
			i := r.Uint32N(uint32(len(c.live)))
			switch {
			case !c.live[i]:
				c.open(i, 1+r.Uint64N(maxAge))
			case r.IntN(8) == 0:
				c.end(i, 1+r.Uint64N(maxAge/8+1))
			default:
				c.packet(i)
			}
		}
		next := c.now + 1 + r.Uint64N(maxStep)
		for i, live := range c.live {
			if live {
				next = min(next, c.deadline(uint32(i)))
			}
		}
		want := map[uint32]bool{}
		for i, live := range c.live {
			if live && c.deadline(uint32(i)) == next {
				want[uint32(i)] = true
			}
		}
		c.turn(t, next)
		for _, i := range c.gone {
			if !want[i] {
				t.Fatalf("tick %d: index %d expired, its deadline is %d", next, i, c.deadline(i))
			}
			delete(want, i)
			expired++
		}
		for i := range want {
			t.Fatalf("tick %d is the deadline of index %d, which did not expire", next, i)
		}
	}
	if expired < turns/50 {
		t.Errorf("only %d records expired in %d turns: the test shows little", expired, turns)
	}
}

func TestEveryIndexExpiresAtItsDeadline(t *testing.T) {
	const n = 200
	for seed, c := range []struct {
		name            string
		budget, limit   int
		maxAge, maxStep uint64
	}{
		// After a touch: one pop from where the record was armed before, then one on each level.
		{"ages within level 0, every tick", n, 1 + 1, 60, 1},
		{"ages on two levels, one pop a call", 1, 1 + 2, 4000, 3},
		{"ages on three levels, few pops a call", 3, 1 + 3, 100_000, 1000},
		{"ages on four levels, long pauses", n, 1 + 4, MaxAhead, 1 << 22},
		// And one each time the deadline was put at the farthest slot, 63 to 64 spans ahead.
		{"ages beyond the range, long pauses", 7, 1 + 5 + 4, 5 * MaxAhead, 1 << 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 99))
			w := New(n)
			run(t, newCaller(w, n, 1<<32-20_000, c.budget, c.limit), r, 20_000, c.maxAge, c.maxStep)
			check(t, w)
		})
	}
}

// A worker that falls behind (its budget is smaller than what falls due) must expire every record
// at its first pop after the deadline, and lose none.
func TestBurstOfDeadlinesWithinBudget(t *testing.T) {
	const n = 5_000
	w := New(n)
	w.Reset(0)
	for i := range uint32(n) {
		w.Arm(i, 3000+i%7)
	}
	seen := make([]bool, n)
	out := make([]uint32, 16)
	popped := 0
	for turn := 0; popped < n; turn++ {
		got, more := w.Advance(3006+uint32(turn), out)
		if !more && popped+got != n {
			t.Fatalf("turn %d: %d popped in all and no more, want %d", turn, popped+got, n)
		}
		for _, i := range out[:got] {
			if seen[i] {
				t.Fatalf("index %d popped twice", i)
			}
			seen[i] = true
		}
		popped += got
	}
	check(t, w)
}
