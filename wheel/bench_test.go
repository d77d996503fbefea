package wheel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The sizes lie within the second-level cache, about the third, and far beyond it: the records
// are 512 bytes each, the wheel's own memory is 8.3 bytes an index.
var sizes = []int{1_000, 100_000, 1_000_000}

var sink uint32

// bench is one storage design with the slab of records that its caller keeps.
type bench struct {
	impl string
	w    expirer
	recs []record
}

// eachImpl runs f for each size and storage design. Records are handed out in random order, as a
// table that lived for a while does. Designs named in but are left out.
func eachImpl(b *testing.B, f func(b *testing.B, s bench, order []uint32), but ...string) {
	for _, n := range sizes {
		order := make([]uint32, n)
		for k, i := range rand.New(rand.NewPCG(1, uint64(n))).Perm(n) {
			order[k] = uint32(i)
		}
		lists := newListWheel(n)
		recs := lists.recs[:n]
		for _, s := range []bench{
			{"chunks", New(n), recs}, {"lists", lists, recs}, {"scan", &scan{recs: recs}, recs},
		} {
			if slices.Contains(but, s.impl) {
				continue
			}
			b.Run(fmt.Sprintf("impl=%s/len=%d", s.impl, n), func(b *testing.B) {
				s.w.Reset(0)
				f(b, s, order)
			})
		}
	}
}

// turn is the worker's loop: every popped record is looked at, and armed again if its deadline
// lies ahead. The deadlines of a whole batch are fetched before the first is acted on: with Arm
// between them, the processor sees too few of the records' cache misses at once (134 instead of 35
// to 38 ns a record in BenchmarkVisit/impl=chunks/len=1000000).
func (s bench) turn(now uint32, out []uint32, expire func(i uint32)) (visited int) {
	var deadlines [256]uint32
	for more := true; more; {
		var n int
		n, more = s.w.Advance(now, out)
		for k, i := range out[:n] {
			deadlines[k] = s.recs[i].deadline
		}
		for k, i := range out[:n] {
			if int32(deadlines[k]-now) > 0 {
				s.w.Arm(i, deadlines[k])
			} else {
				expire(i)
			}
		}
		visited += n
	}
	return visited
}

// BenchmarkVisit: all records' slots come at once, all were touched and are armed again. The scan
// has nothing to pop then, it just looks at each record: ns/record is its whole cost.
func BenchmarkVisit(b *testing.B) {
	eachImpl(b, func(b *testing.B, s bench, order []uint32) {
		out := make([]uint32, 256)
		now := uint32(0)
		for _, i := range order {
			s.recs[i].deadline = 50
			s.w.Arm(i, 50)
		}
		var spent time.Duration
		records := 0
		for b.Loop() {
			for i := range s.recs {
				s.recs[i].deadline = now + 100 // touched since it was armed at now+50
			}
			now += 50
			start := time.Now()
			s.turn(now, out, func(uint32) { b.Fatal("a record expired") })
			spent += time.Since(start)
			records += len(s.recs)
		}
		b.ReportMetric(float64(spent.Nanoseconds())/float64(records), "ns/record")
	})
}

// BenchmarkExpire: all records' deadlines come at once, pops of 256. The arming is left out of
// ns/record.
func BenchmarkExpire(b *testing.B) {
	eachImpl(b, func(b *testing.B, s bench, order []uint32) {
		out := make([]uint32, 256)
		now := uint32(0)
		var spent time.Duration
		records := 0
		for b.Loop() {
			now += 50
			for _, i := range order {
				s.recs[i].deadline = now
				s.w.Arm(i, now)
			}
			start := time.Now()
			s.turn(now, out, func(uint32) { records++ })
			spent += time.Since(start)
		}
		if records%len(s.recs) != 0 {
			b.Fatalf("%d expired, want a multiple of %d", records, len(s.recs))
		}
		b.ReportMetric(float64(spent.Nanoseconds())/float64(records), "ns/record")
	})
}

// BenchmarkTurn is a worker in a steady state: deadlines lie up to 3000 ticks ahead (5 minutes of
// 100 ms), one op is one tick, and a record that expires makes room for a new one.
func BenchmarkTurn(b *testing.B) {
	const age = 3000
	eachImpl(b, func(b *testing.B, s bench, order []uint32) {
		out := make([]uint32, 256)
		r := rand.New(rand.NewPCG(2, 2))
		now := uint32(0)
		renew := func(i uint32) {
			s.recs[i].deadline = now + 1 + r.Uint32N(age)
			s.w.Arm(i, s.recs[i].deadline)
		}
		for _, i := range order {
			renew(i)
		}
		visited := 0
		for b.Loop() {
			now++
			visited += s.turn(now, out, renew)
		}
		b.ReportMetric(float64(visited)/float64(b.N), "pops/op")
	})
}

// BenchmarkArm: one op arms an index and cancels another; half of all are armed.
func BenchmarkArm(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("len=%d", n), func(b *testing.B) {
			order := rand.New(rand.NewPCG(3, 3)).Perm(n)
			w := New(n)
			for _, i := range order[n/2:] {
				w.Arm(uint32(i), 1+uint32(i)%3000)
			}
			k := 0
			for b.Loop() {
				i := uint32(order[k])
				w.Arm(i, 1+i%3000)
				if k += n / 2; k >= n {
					k -= n
				}
				w.Cancel(uint32(order[k]))
				if k++; k == n {
					k = 0
				}
			}
		})
	}
}

// BenchmarkMove: an armed index gets an earlier deadline, as by a FIN: from 5 minutes to 1. Every
// other round puts them back.
func BenchmarkMove(b *testing.B) {
	eachImpl(b, func(b *testing.B, s bench, order []uint32) {
		for _, i := range order {
			s.w.Arm(i, 2900+i%100)
		}
		k, ahead := 0, uint32(500)
		for b.Loop() {
			i := order[k]
			s.w.Arm(i, ahead+i%100)
			if k++; k == len(order) {
				k, ahead = 0, 3400-ahead
			}
		}
	}, "scan") // it has nothing to move
}

// BenchmarkTouch: what a packet pays to postpone its record's deadline: a store into the record
// and a look later, or a move at once. The clock goes one slot of level 1 between two touches of a
// record, so that each is a move: a connection with a packet every 6.4 s at a tick of 100 ms.
func BenchmarkTouch(b *testing.B) {
	for _, n := range sizes {
		order := rand.New(rand.NewPCG(5, 5)).Perm(n)
		recs := make([]record, n)
		w := New(n)
		for _, impl := range []string{"store", "move"} {
			b.Run(fmt.Sprintf("impl=%s/len=%d", impl, n), func(b *testing.B) {
				w.Reset(0)
				k, now := 0, uint32(0)
				for b.Loop() {
					i := order[k]
					recs[i].deadline = now + 3000
					if impl == "move" {
						w.Arm(uint32(i), now+3000)
					}
					if k++; k == n {
						k, now = 0, now+64
						if popped, _ := w.Advance(now, []uint32{0}); popped != 0 {
							b.Fatal("a record was due though all were touched")
						}
					}
				}
				sink += recs[0].deadline
			})
		}
	}
}
