package api

import (
	"context"
	"errors"
	"sync/atomic"
)

const (
	// maxWaiting bounds the requests that wait for their turn to read. One reads at a time: a scrape that comes meanwhile
	// waits for one reading at most, because workers serve readers in the order in which they came.
	maxWaiting = 4
	// maxWriting bounds the requests whose clients are still taking their answers, of up to 3 MB each.
	maxWriting = 4
)

// errCrowded is the error of a request that is refused because too many are under way.
var errCrowded = errors.New("too many requests are under way: try again in a second")

// errWindow is the error of a request for a window while there is one.
var errWindow = errors.New("window: another request measures one at the moment: try again in some seconds, or without window")

// admission bounds the requests that there are at a time.
type admission struct {
	reading chan struct{} // holds one while a request reads
	window  chan struct{} // holds one while a request measures a window
	waiting atomic.Int32
	inside  atomic.Int32 // all that have entered
}

func newAdmission() admission {
	return admission{reading: make(chan struct{}, 1), window: make(chan struct{}, 1)}
}

// enter begins a request, unless there are too many. leave ends it.
func (a *admission) enter() error {
	if a.inside.Add(1) > 1+maxWaiting+maxWriting {
		a.inside.Add(-1)
		return errCrowded
	}
	return nil
}

func (a *admission) leave() { a.inside.Add(-1) }

// acquire waits for the turn to read, which release ends. The error is errCrowded, or ctx's if that ends first.
func (a *admission) acquire(ctx context.Context) error {
	select {
	case a.reading <- struct{}{}:
		return nil
	default:
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > maxWaiting {
		return errCrowded
	}
	select {
	case a.reading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *admission) release() { <-a.reading }
