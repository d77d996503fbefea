package netpath

import (
	"math/bits"
	"time"
)

// Lateness counts packets by how much later than due they were passed on: the quality of the path's timing
// in this run. Each packet counts twice, at the point and at its end.
type Lateness struct {
	Max     time.Duration
	classes [40]uint64 // class n: below 2^n ns
}

func (l *Lateness) add(d time.Duration) {
	l.Max = max(l.Max, d)
	l.classes[min(bits.Len64(uint64(max(d, 0))), len(l.classes)-1)]++
}

// Share returns the bound in ns, a power of two, that this share of the packets kept.
func (l *Lateness) Share(share float64) time.Duration {
	all, seen := uint64(0), uint64(0)
	for _, n := range l.classes {
		all += n
	}
	for class, n := range l.classes {
		if seen += n; float64(seen) >= share*float64(all) {
			return min(1<<class, l.Max)
		}
	}
	return l.Max
}
