package group

import "slices"

// DurationBounds are the upper bounds of Durations, in seconds.
var DurationBounds = [...]float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000}

// SizeBounds are the upper bounds of Sizes, in bytes: powers of four.
var SizeBounds = [...]float64{1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28, 1 << 30, 1 << 32}

// durationNanos are DurationBounds in ns, sizeBytes SizeBounds as they are compared.
var (
	durationNanos = inUnits(DurationBounds[:], 1000, 1e6)
	sizeBytes     = inUnits(SizeBounds[:], 1, 1)
)

// inUnits returns whole numbers of bounds, which are multiples of 1/perBound: times perBound, times unit.
func inUnits(bounds []float64, perBound float64, unit uint64) (all []uint64) {
	for _, b := range bounds {
		all = append(all, uint64(b*perBound+0.5)*unit)
	}
	return all
}

// Durations counts how long connections were, in classic buckets alone.
type Durations struct {
	Sum    uint64 // ns
	counts [len(DurationBounds) + 1]uint64
}

// Note counts a duration of ns. One below 0 counts as 0.
func (d *Durations) Note(ns int64) {
	v := uint64(max(ns, 0))
	d.Sum += v
	note(d.counts[:], durationNanos, v)
}

// Add adds o's counts to d's.
func (d *Durations) Add(o *Durations) {
	d.Sum += o.Sum
	add(d.counts[:], o.counts[:])
}

// Count returns how many durations were counted.
func (d *Durations) Count() uint64 { return sum(d.counts[:]) }

// Classic returns how many were at most as long as each of DurationBounds.
func (d *Durations) Classic() (cumulative [len(DurationBounds)]uint64) {
	cumulate(cumulative[:], d.counts[:])
	return cumulative
}

// Sizes counts how many payload bytes directions of connections had, in classic buckets alone.
type Sizes struct {
	Sum    uint64 // bytes
	counts [len(SizeBounds) + 1]uint64
}

// Note counts a direction of so many bytes.
func (s *Sizes) Note(bytes uint64) {
	s.Sum += bytes
	note(s.counts[:], sizeBytes, bytes)
}

// Add adds o's counts to s's.
func (s *Sizes) Add(o *Sizes) {
	s.Sum += o.Sum
	add(s.counts[:], o.counts[:])
}

// Count returns how many sizes were counted.
func (s *Sizes) Count() uint64 { return sum(s.counts[:]) }

// Classic returns how many were at most as large as each of SizeBounds.
func (s *Sizes) Classic() (cumulative [len(SizeBounds)]uint64) {
	cumulate(cumulative[:], s.counts[:])
	return cumulative
}

func note(counts, upper []uint64, v uint64) {
	i, _ := slices.BinarySearch(upper, v)
	counts[i]++
}

func add(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

func sum(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func cumulate(to, counts []uint64) {
	n := uint64(0)
	for i := range to {
		n += counts[i]
		to[i] = n
	}
}
