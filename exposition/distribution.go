package exposition

import "tcp-stream-exporter/group"

// Distribution holds the figures of one histogram, in the unit of its family.
type Distribution struct {
	Bounds []float64 // of the classic buckets, inclusive, +Inf left out
	Counts []uint64  // how many samples are at most as large as each of Bounds
	Count  uint64    // samples
	Sum    float64
	Times  *group.Histogram // has the native buckets; nil: there are none
}

func (d *Distribution) setTimes(h *group.Histogram) {
	counts := h.Classic()
	d.set(group.ClassicBounds[:], counts[:], h.Count(), float64(h.Sum)/1e9)
	d.Times = h
}

func (d *Distribution) setDurations(h *group.Durations) {
	counts := h.Classic()
	d.set(group.DurationBounds[:], counts[:], h.Count(), float64(h.Sum)/1e9)
}

func (d *Distribution) setSizes(h *group.Sizes) {
	counts := h.Classic()
	d.set(group.SizeBounds[:], counts[:], h.Count(), float64(h.Sum))
}

// set sets all but Times, which it clears, and copies counts.
func (d *Distribution) set(bounds []float64, counts []uint64, count uint64, sum float64) {
	d.Bounds, d.Counts, d.Count, d.Sum, d.Times = bounds, append(d.Counts[:0], counts...), count, sum, nil
}
