package group

import (
	"math"
	"math/bits"
	"slices"
)

// Histogram counts times in ns, 0 to longest. Each count stands in a cell: the cells are bounded by all bounds of the
// exponential buckets of native-histogram schema 3 (2^(k/8) seconds) and all ClassicBounds, so that both kinds of buckets
// are exact sums of cells, and a sample costs one increment. Upper bounds are inclusive. No pointers, 2,056 bytes.
type Histogram struct {
	Sum   uint64                // ns
	cells [1 << cellBits]uint64 // the first are used; a power of two, so that no index needs a check
}

// ClassicBounds are the upper bounds of the classic buckets, in seconds.
var ClassicBounds = [...]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// classicNanos are ClassicBounds in ns.
var classicNanos = [len(ClassicBounds)]uint64{100e3, 250e3, 500e3, 1e6, 2.5e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6, 1e9, 2.5e9, 5e9, 10e9}

const (
	// NativeSchema is the resolution of the native buckets: 2^3 of them to a factor of two.
	NativeSchema = 3

	// The native buckets have the upper bounds 2^(k/8) seconds, k from lowestNative+1 to highestNative: 1.04 µs to
	// 140 s. What is not above 2^(lowestNative/8) seconds, 0.95 µs, counts as zero.
	lowestNative  = -160
	highestNative = 57

	// longest is the longest time that there is a cell for, 137 s: stream gives no longer sample.
	longest = 1<<37 - 1

	sharedBounds = 3 // 0.25, 0.5 and 1 second are bounds of both kinds
	cells        = highestNative - lowestNative + 1 + len(ClassicBounds) - sharedBounds

	// A time finds its cell by its leading bits: its power of two and the stepBits that follow select a step of layout,
	// which is 0.8 to 1.6 % wide, so that one bound lies in it at most. They stand side by side in the time as a float64.
	// The exponent's lowest six bits tell apart all that there are, but 0 ns from 2 ns, which are in the first cell both.
	stepBits   = 6
	stepsShift = 52 - stepBits
	steps      = 1 << (6 + stepBits)
	least      = 1 << 9 // ns: all shorter times are in the first cell

	cellBits = 8
)

// layout has the cells' bounds, ascending.
var layout = func() (l struct {
	upper   [cells]uint64 // ns, the highest time in each cell
	step    [steps]uint64 // the cell of the step's lowest time, and above cellBits its upper bound
	native  [highestNative - lowestNative + 1]uint8
	classic [len(ClassicBounds)]uint8 // the cells whose upper bound it is
}) {
	all := slices.Clone(classicNanos[:])
	nativeNanos := func(k int) uint64 { return uint64(math.Exp2(float64(k)/8) * 1e9) }
	for k := lowestNative; k <= highestNative; k++ {
		all = append(all, nativeNanos(k))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	copy(l.upper[:], all)
	cell := func(ns uint64) uint8 {
		i, _ := slices.BinarySearch(all, ns)
		return uint8(i)
	}
	for k := range l.native {
		l.native[k] = cell(nativeNanos(k + lowestNative))
	}
	for i := range l.classic {
		l.classic[i] = cell(classicNanos[i])
	}
	for s := range l.step {
		l.step[s] = l.upper[0] << cellBits // that of times below least
	}
	for lowest := uint64(least); lowest <= longest; lowest += 1 << (bits.Len64(lowest) - 1 - stepBits) {
		at := cell(lowest)
		l.step[stepOf(lowest)] = l.upper[at]<<cellBits | uint64(at)
	}
	return l
}()

// stepOf returns the step of a time of ns, 0 to longest.
func stepOf(ns uint64) uint64 { return math.Float64bits(float64(int64(ns))) >> stepsShift % steps }

// cellOf returns the cell of a time of ns, 0 to longest. It has no branch: which of two cells it is nothing foretells.
func cellOf(ns uint64) uint64 {
	s := layout.step[stepOf(ns)]
	return s&(1<<cellBits-1) + (s>>cellBits-ns)>>63
}

// NoteSample is Note for a time that is known to be from 0 to 137 s.
func (h *Histogram) NoteSample(ns int64) {
	h.Sum += uint64(ns)
	h.cells[uint8(cellOf(uint64(ns)))]++
}

// Note counts a time of ns. One below 0 counts as 0, one above 137 s as that.
func (h *Histogram) Note(ns int64) {
	v := uint64(ns)
	if v > longest {
		v = uint64(min(max(ns, 0), longest))
	}
	h.Sum += v
	h.cells[uint8(cellOf(v))]++
}

// Add adds o's counts to h's.
func (h *Histogram) Add(o *Histogram) {
	h.Sum += o.Sum
	for i, n := range o.cells[:cells] {
		h.cells[i] += n
	}
}

// Count returns how many times were counted.
func (h *Histogram) Count() (n uint64) {
	for _, c := range &h.cells {
		n += c
	}
	return n
}

// cellBounds are the upper bounds of the cells in seconds.
var cellBounds = func() (bounds [cells]float64) {
	for i, ns := range layout.upper {
		bounds[i] = float64(ns) / 1e9
	}
	return bounds
}()

// Cells returns the upper bounds of all cells in seconds, ascending and the same for all histograms, and how many times
// were at most as long as each: the finest that there is, for quantiles.
func (h *Histogram) Cells() (bounds []float64, cumulative [cells]uint64) {
	n := uint64(0)
	for i, count := range h.cells[:cells] {
		n += count
		cumulative[i] = n
	}
	return cellBounds[:], cumulative
}

// Classic returns how many times were at most as long as each of ClassicBounds.
func (h *Histogram) Classic() (cumulative [len(ClassicBounds)]uint64) {
	at, n := 0, uint64(0)
	for i, end := range &layout.classic {
		for ; at <= int(end); at++ {
			n += h.cells[at]
		}
		cumulative[i] = n
	}
	return cumulative
}

// Native holds the buckets of a native histogram in the form of Prometheus' exposition (metrics.proto of client_model).
type Native struct {
	Schema        int32
	ZeroThreshold float64 // seconds: what is not above it counts in ZeroCount
	ZeroCount     uint64
	Spans         []Span
	Deltas        []int64 // of each bucket of the spans to the one before it, the first to 0
}

// Span is a run of consecutive buckets. Bucket k has the upper bound 2^(k/8) seconds.
type Span struct {
	Offset int32 // buckets between the end of the span before and this one; of the first span: its first bucket's number
	Length uint32
}

// mostEmpty is the most empty buckets that stand within a span: another span takes as much room.
const mostEmpty = 2

// Native fills into, whose slices it uses again.
func (h *Histogram) Native(into *Native) {
	into.Schema, into.ZeroThreshold = NativeSchema, math.Exp2(lowestNative/8.0)
	into.Spans, into.Deltas = into.Spans[:0], into.Deltas[:0]
	at := 0
	next := 0 // the bucket behind the last span
	before := int64(0)
	for k, end := range &layout.native {
		n := int64(0)
		for ; at <= int(end); at++ {
			n += int64(h.cells[at])
		}
		if k == 0 {
			into.ZeroCount = uint64(n)
			continue
		}
		if n == 0 {
			continue
		}
		bucket := k + lowestNative
		if gap := bucket - next; len(into.Spans) == 0 || gap > mostEmpty {
			into.Spans = append(into.Spans, Span{Offset: int32(gap), Length: 0})
		} else {
			for range gap {
				into.Deltas = append(into.Deltas, -before)
				into.Spans[len(into.Spans)-1].Length++
				before = 0
			}
		}
		into.Spans[len(into.Spans)-1].Length++
		into.Deltas = append(into.Deltas, n-before)
		before, next = n, bucket+1
	}
}
