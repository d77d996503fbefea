package perfdata

import (
	"math"
	"slices"
)

// Spread is the median of several runs, with the lowest and the highest of them.
type Spread struct {
	Runs                    int
	Median, Lowest, Highest float64
}

// Of returns the spread of values; of none at all it is NaN.
func Of(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return Spread{Median: math.NaN(), Lowest: math.NaN(), Highest: math.NaN()}
	}
	return Spread{Runs: len(v), Median: (v[(len(v)-1)/2] + v[len(v)/2]) / 2, Lowest: v[0], Highest: v[len(v)-1]}
}
