package group

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// exactBounds returns the upper bounds in seconds of all native buckets, the zero bucket's first, to 200 bits.
func exactBounds() (all []*big.Float) {
	root := new(big.Float).SetPrec(200).SetInt64(2)
	for range NativeSchema {
		root.Sqrt(root)
	}
	at := new(big.Float).SetPrec(200).SetMantExp(big.NewFloat(1), lowestNative/8)
	for range highestNative - lowestNative + 1 {
		all = append(all, new(big.Float).Copy(at))
		at.Mul(at, root)
	}
	return all
}

// wholeNanos returns the highest whole number of ns that is not above a time in seconds, of which step/8 is the
// logarithm: a power of two is exact, and a product of roots is not.
func wholeNanos(seconds *big.Float, step int) uint64 {
	ns := new(big.Float).SetPrec(200).Mul(seconds, big.NewFloat(1e9))
	if step%8 == 0 {
		ns.SetMantExp(big.NewFloat(1e9).SetPrec(200), step/8)
	}
	n, _ := ns.Uint64()
	return n
}

// times returns every bound in ns, one below it and one above.
func times(bounds []uint64) (all []uint64) {
	for _, b := range bounds {
		for _, t := range []uint64{b - 1, b, b + 1} {
			if t <= longest {
				all = append(all, t)
			}
		}
	}
	return append(all, 0, 1, 511, 512, 513, 1023, 1024, longest)
}

// TestBucketsAreExact counts times at all bounds and at random, and wants in each bucket those that a search through
// exact bounds finds.
func TestBucketsAreExact(t *testing.T) {
	var native []uint64
	for i, b := range exactBounds() {
		native = append(native, wholeNanos(b, lowestNative+i))
	}
	classic := slices.Clone(classicNanos[:])
	for i, b := range ClassicBounds {
		if exact := uint64(math.Round(b * 1e9)); exact != classic[i] {
			t.Fatalf("%v s are %d ns, not %d", b, exact, classic[i])
		}
	}
	all := times(slices.Concat(native, classic))
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		all = append(all, r.Uint64N(longest+1)>>r.IntN(38))
	}
	linear := func(bounds []uint64, ns uint64) int {
		for i, b := range bounds {
			if ns <= b {
				return i
			}
		}
		return len(bounds)
	}
	for _, ns := range all {
		var h Histogram
		h.Note(int64(ns))
		for i, n := range h.Classic() {
			if want := i >= linear(classic, ns); (n == 1) != want || n > 1 {
				t.Fatalf("%d ns: %d up to %v s", ns, n, ClassicBounds[i])
			}
		}
		var got Native
		h.Native(&got)
		want := linear(native, ns)
		switch {
		case want == 0:
			if got.ZeroCount != 1 || len(got.Spans) != 0 {
				t.Fatalf("%d ns: %+v, want it in the zero bucket", ns, got)
			}
		case got.ZeroCount != 0 || len(got.Spans) != 1 || got.Spans[0] != Span{int32(want + lowestNative), 1}:
			t.Fatalf("%d ns: %+v, want it in bucket %d", ns, got, want+lowestNative)
		}
		if h.Count() != 1 || h.Sum != ns {
			t.Fatalf("%d ns: count %d, sum %d", ns, h.Count(), h.Sum)
		}
	}
}

// TestNoCellIsMissed wants at most one bound in a step, as cellOf takes for granted, and all cells to be in use.
func TestNoCellIsMissed(t *testing.T) {
	var seen [cells]bool
	for i, b := range layout.upper {
		if b < longest && cellOf(b) == cellOf(b+1) {
			t.Errorf("cell %d has %d ns and more", i, b)
		}
		b = min(b, longest)
		seen[cellOf(b)] = true
		if up := layout.upper[cellOf(b)]; up < b {
			t.Errorf("%d ns is in the cell up to %d", b, up)
		}
	}
	if i := slices.Index(seen[:], false); i >= 0 {
		t.Errorf("nothing is in cell %d", i)
	}
}

// TestNativeBucketsAddUp reads spans and deltas back and wants what was counted.
func TestNativeBucketsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var n Native // used again
	for range 300 {
		var h, o Histogram
		want := map[int]int64{}
		zeros := uint64(0)
		for range r.IntN(200) {
			ns := r.Uint64N(longest+1) >> r.IntN(38)
			to := &h
			if r.IntN(2) == 0 {
				to = &o
			}
			to.Note(int64(ns))
			if k := int(math.Ceil(8 * math.Log2(float64(ns)/1e9))); ns == 0 || k <= lowestNative {
				zeros++
			} else {
				want[k]++
			}
		}
		h.Add(&o)
		h.Native(&n)
		got := map[int]int64{}
		k, at, count := 0, 0, int64(0)
		for _, s := range n.Spans {
			k += int(s.Offset)
			for range s.Length {
				count += n.Deltas[at]
				if count != 0 {
					got[k] = count
				}
				at++
				k++
			}
		}
		if at != len(n.Deltas) || n.ZeroCount != zeros || len(got) != len(want) {
			t.Fatalf("%+v: %v, want %v and %d zeros", n, got, want, zeros)
		}
		for k, w := range want {
			if got[k] != w {
				t.Fatalf("bucket %d: %d, want %d", k, got[k], w)
			}
		}
	}
}

// TestOddTimes wants what no sample can be to count all the same.
func TestOddTimes(t *testing.T) {
	var h Histogram
	h.Note(-5)
	h.Note(math.MinInt64)
	h.Note(math.MaxInt64)
	var n Native
	h.Native(&n)
	if h.Count() != 3 || h.Sum != longest || n.ZeroCount != 2 || n.Spans[0] != (Span{highestNative, 1}) {
		t.Errorf("%d, sum %d, %+v", h.Count(), h.Sum, n)
	}
}

// TestEndsAreExact does the same for the classic buckets of a connection's end.
func TestEndsAreExact(t *testing.T) {
	for i, ns := range durationNanos {
		for by := range uint64(3) {
			var d Durations
			d.Note(int64(ns + by - 1))
			c := d.Classic()
			if at := slices.Index(c[:], 1); at != i && by < 2 || by == 2 && at != i+1 && i+1 < len(c) || d.Sum != ns+by-1 || d.Count() != 1 {
				t.Errorf("%d ns: %v", ns+by-1, c)
			}
		}
		if want := uint64(math.Round(DurationBounds[i] * 1e9)); ns != want {
			t.Errorf("%v s are %d ns", DurationBounds[i], ns)
		}
	}
	for i, b := range SizeBounds {
		for by := range uint64(3) {
			var s, sum Sizes
			s.Note(uint64(b) + by - 1)
			sum.Add(&s)
			c := sum.Classic()
			if at := slices.Index(c[:], 1); at != i && by < 2 || by == 2 && at != i+1 && i+1 < len(c) || sum.Count() != 1 {
				t.Errorf("%v bytes: %v", b, c)
			}
		}
	}
}

func TestNotingAllocatesNothing(t *testing.T) {
	var h Histogram
	var d Durations
	var s Sizes
	var n Native
	h.Note(1e6)
	h.Native(&n)
	if a := testing.AllocsPerRun(100, func() {
		h.Note(1e6)
		d.Note(1e9)
		s.Note(1e9)
		h.Native(&n)
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}
