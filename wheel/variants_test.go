package wheel

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// The storage designs that lost against chunks, kept to be measured (bench_test.go) and tested
// like the wheel, so that what is measured works.

// record stands for a connection record of 512 bytes. What an expiry check reads lies in one
// cache line with the links: the best case for lists.
type record struct {
	deadline   uint32
	prev, next uint32
	_          [500]byte
}

// listWheel has the wheel's slots, each a doubly linked list through the records. It needs no
// pool and no positions; to visit a slot it must wait for each record before it knows the next.
type listWheel struct {
	Wheel // only cur, occ, slotFor, next
	// recs holds the callers' records and behind them one per place, the ring's fixed point.
	recs []record
	n    uint32
}

func newListWheel(n int) *listWheel {
	w := &listWheel{recs: make([]record, n+places), n: uint32(n)}
	w.Reset(0)
	return w
}

func (w *listWheel) Reset(now uint32) {
	for i := range w.n {
		w.recs[i].next = i // linked to itself: not armed
		w.recs[i].prev = i
	}
	for place := range uint32(places) {
		w.recs[w.n+place].next, w.recs[w.n+place].prev = w.n+place, w.n+place
	}
	w.occ = [levels + 1]uint64{}
	w.cur = now
}

func (w *listWheel) Arm(i, tick uint32) {
	w.Cancel(i)
	place := w.slotFor(tick)
	at := w.n + place
	r, head := &w.recs[i], &w.recs[at]
	r.prev, r.next = at, head.next
	w.recs[head.next].prev = i
	head.next = i
	w.occ[place>>slotBits] |= 1 << (place & (slots - 1))
}

// Cancel leaves the bit of a slot that became empty; Advance clears it in passing.
func (w *listWheel) Cancel(i uint32) {
	r := &w.recs[i]
	w.recs[r.prev].next, w.recs[r.next].prev = r.next, r.prev
	r.prev, r.next = i, i
}

func (w *listWheel) Advance(now uint32, out []uint32) (n int, more bool) {
	for {
		for w.occ[levels] != 0 {
			level := uint32(bits.TrailingZeros64(w.occ[levels]))
			at := w.n + duePlace + level
			for i := w.recs[at].next; i != at; i = w.recs[at].next {
				if n == len(out) {
					return n, true
				}
				w.Cancel(i)
				out[n] = i
				n++
			}
			w.occ[levels] &^= 1 << level
		}
		ahead := int32(now - w.cur)
		if ahead <= 0 {
			return n, false
		}
		step, ok := w.Next()
		if !ok || step > uint32(ahead) {
			w.cur = now
			return n, false
		}
		w.cur += step
		for level := range uint32(levels) {
			slot := w.cur >> (level * slotBits) & (slots - 1)
			if w.cur&(1<<(level*slotBits)-1) != 0 || w.occ[level]>>slot&1 == 0 {
				continue
			}
			w.vacate(level<<slotBits | slot)
			from, to := w.n+(level<<slotBits|slot), w.n+duePlace+level
			if first, last := w.recs[from].next, w.recs[from].prev; first != from {
				w.recs[to].next, w.recs[to].prev = first, last
				w.recs[first].prev, w.recs[last].next = to, to
				w.recs[from].next, w.recs[from].prev = from, from
				w.occ[levels] |= 1 << level
			}
		}
	}
}

// scan has no wheel at all: it looks at every record's deadline, each time.
type scan struct {
	recs []record // prev is 1 while armed
	at   uint32   // where the call that ran out of room stopped
}

func (s *scan) Reset(uint32) {
	for i := range s.recs {
		s.recs[i].prev = 0
	}
	s.at = 0
}

// Arm stores the deadline where a packet would have stored it anyway.
func (s *scan) Arm(i, tick uint32) { s.recs[i].deadline, s.recs[i].prev = tick, 1 }

func (s *scan) Advance(now uint32, out []uint32) (n int, more bool) {
	for i := s.at; i < uint32(len(s.recs)); i++ {
		r := &s.recs[i]
		if r.prev == 0 || int32(r.deadline-now) > 0 {
			continue
		}
		if n == len(out) {
			s.at = i
			return n, true
		}
		r.prev = 0
		out[n] = i
		n++
	}
	s.at = 0
	return n, false
}

func TestVariantsExpireEveryIndexAtItsDeadline(t *testing.T) {
	const n = 200
	for name, w := range map[string]expirer{
		"lists": newListWheel(n),
		"scan":  &scan{recs: make([]record, n)},
	} {
		for _, maxAge := range []uint64{60, 4000, 100_000, MaxAhead} {
			t.Run(name, func(t *testing.T) {
				r := rand.New(rand.NewPCG(maxAge, 7))
				run(t, newCaller(w, n, 1<<32-20_000, 7, 0), r, 4_000, maxAge, maxAge/20+1)
			})
		}
	}
}
