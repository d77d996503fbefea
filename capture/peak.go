package capture

import (
	"slices"
	"time"
)

// PeakAge is how long a peak stays in the Max figures of Stats. A reader that looks at least so often sees
// every peak, and none takes it away from another reader.
const PeakAge = time.Minute

const (
	peakSlot  = int64(time.Second)
	peakSlots = int(PeakAge / time.Second)
)

// peak holds the largest value of each second of the last PeakAge.
type peak struct {
	now  int64 // of the second under way
	past [peakSlots]int64
}

func (p *peak) note(v int64) { p.now = max(p.now, v) }

// max returns the largest value of the second under way and the PeakAge before it.
func (p *peak) max() time.Duration { return time.Duration(max(p.now, slices.Max(p.past[:]))) }

// peaks holds the worker's worst moments, in ns.
type peaks struct {
	turn     peak // between two visits to the ring
	work     peak // processor time spent between two visits to the ring
	frameAge peak // between a frame's arrival and its walk
	lag      peak // how far the wheel stood behind the clock

	began int64 // when the second under way began, on the monotonic clock
	slot  int   // where its values will go
}

// advance begins a new second if one has passed by mono. What was noted since the last one counts as of the
// latest second that is over, also when many are: a worker that stood still for long notes it when
// it goes on.
func (p *peaks) advance(mono int64) {
	passed := (mono - p.began) / peakSlot
	for n := min(passed, int64(peakSlots)); n > 0; n-- {
		for _, k := range []*peak{&p.turn, &p.work, &p.frameAge, &p.lag} {
			k.past[p.slot] = 0
			if n == 1 {
				k.past[p.slot], k.now = k.now, 0
			}
		}
		p.slot = (p.slot + 1) % peakSlots
	}
	p.began += passed * peakSlot
}
