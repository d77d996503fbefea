package status

import (
	"math"
	"strconv"
	"time"
)

// number is a figure that may not be known: NaN, which JSON has as null.
type number float64

// unknown is the number that is not known.
var unknown = number(math.NaN())

// MarshalJSON writes the figure with at most three digits behind the point.
func (n number) MarshalJSON() ([]byte, error) { return n.append(nil), nil }

func (n number) append(b []byte) []byte {
	x := float64(n)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, math.Round(x*1000)/1000, 'f', -1, 64)
}

// series are the figures of a chart, the oldest first.
type series []number

// MarshalJSON writes the figures as an array.
func (s series) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 8*len(s)+2)
	b = append(b, '[')
	for i, n := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = n.append(b)
	}
	return append(b, ']'), nil
}

// rate returns by how much a counter has grown in a second. It is not known without two readings at different times, and
// if the counter has begun anew.
func rate(before, now uint64, from, to time.Duration) number {
	if from == 0 || to <= from || now < before {
		return unknown
	}
	return number(float64(now-before) / (to - from).Seconds())
}

// share returns a part of a whole, from 0 to 1.
func share(part, whole uint32) number {
	if whole == 0 {
		return unknown
	}
	return number(float64(part) / float64(whole))
}

// whole returns a figure as a number without digits behind the point.
func (n number) whole() number { return number(math.Round(float64(n))) }

// plus adds up what is known: interfaces come and go.
func (n number) plus(o number) number {
	switch {
	case math.IsNaN(float64(n)):
		return o
	case math.IsNaN(float64(o)):
		return n
	}
	return n + o
}
