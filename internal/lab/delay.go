package lab

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// delays collects how long a Pipe has held frames, from when it read them to when it had sent them.
type delays struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *delays) add(held time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, held)
}

// median returns 0 if there were no frames.
func (d *delays) median() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return 0
	}
	all := slices.Sorted(slices.Values(d.all))
	return all[len(all)/2]
}

// slowLink is a link of a Router with a Pipe in it, in a namespace of its own:
//
//	end name ───── toa  pipe  tob ───── router
type slowLink struct{ held [2]*delays }

// newSlowLink makes the link, whose round trip takes longer by roundTrip. Offloads are off on all of its ends, because
// super-packets do not pass a Pipe.
func newSlowLink(t testing.TB, middle, end *NS, name string, router *NS, routerName string, roundTrip time.Duration) *slowLink {
	t.Helper()
	pair(t, end, name, middle, towardsA)
	pair(t, router, routerName, middle, towardsB)
	end.offloads(t, name, false)
	router.offloads(t, routerName, false)
	middle.offloads(t, towardsA, false)
	middle.offloads(t, towardsB, false)
	return &slowLink{(&Pipe{Delay: roundTrip / 2}).forward(t, middle)}
}

// roundTrip returns the median time that frames have spent in the Pipe, there and back.
func (s *slowLink) roundTrip() time.Duration {
	if s == nil {
		return 0
	}
	return s.held[0].median() + s.held[1].median()
}
