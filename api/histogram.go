package api

import "sort"

// Histogram holds what is shown of a histogram of times. Bounds are upper bounds in seconds, ascending, and inclusive; each
// cumulative count is of what is not above its bound.
type Histogram struct {
	Count      uint64
	Bounds     []float64 // of the classic buckets
	Cumulative []uint64
	// Buckets as fine as there are any, for quantiles. The first of them begins at 0.
	FineBounds     []float64
	FineCumulative []uint64
}

// quantile returns the time, s, that a share q of the counts is not above, 0 < q < 1, within the fine bucket that has it
// by linear interpolation, as Prometheus' histogram_quantile does. What lies above all bounds counts as the highest. Count
// must not be 0.
func (h *Histogram) quantile(q float64) float64 {
	n := len(h.FineBounds)
	if n == 0 {
		return 0
	}
	rank := q * float64(h.Count)
	i := sort.Search(n, func(i int) bool { return float64(h.FineCumulative[i]) >= rank })
	if i == n {
		return h.FineBounds[n-1]
	}
	low, below := 0.0, uint64(0)
	if i > 0 {
		low, below = h.FineBounds[i-1], h.FineCumulative[i-1]
	}
	return low + (h.FineBounds[i]-low)*(rank-float64(below))/float64(h.FineCumulative[i]-below)
}

// distribution is a histogram in the answer.
type distribution struct {
	Count     uint64       `json:"count"`
	Sum       float64      `json:"sum_seconds"`
	Quantiles quantiles    `json:"quantiles_seconds"`
	Buckets   [][2]float64 `json:"buckets"` // upper bound in seconds, cumulative count; the last, of Count, left out
}

type quantiles struct {
	Median float64 `json:"0.5"`
	High   float64 `json:"0.95"`
}

// shown returns h in the form of the answer; nil if nothing was counted.
func (h *Histogram) shown(sumNanos uint64) *distribution {
	if h.Count == 0 {
		return nil
	}
	d := &distribution{
		Count: h.Count, Sum: float64(sumNanos) / 1e9,
		Quantiles: quantiles{h.quantile(0.5), h.quantile(0.95)},
		Buckets:   make([][2]float64, len(h.Bounds)),
	}
	for i, bound := range h.Bounds {
		d.Buckets[i] = [2]float64{bound, float64(h.Cumulative[i])}
	}
	return d
}
