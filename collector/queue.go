package collector

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// stallTime is how long a client may take to accept a piece of its answer while another scrape waits
	// for a place and none has ended by itself for as long. Otherwise it has as long as the server gives it:
	// where scrapes end, those that wait get their turn, and a client on a busy machine may need a moment.
	stallTime = 250 * time.Millisecond
	// maxWaiting is how many scrapes wait for a place unless Options say otherwise. Each holds a
	// connection and its goroutines, some 20 KiB, and no snapshot.
	maxWaiting = 64
)

// queue gives places to scrapes, and bounds how many wait for one.
//
// The newest scrape that waits is the next to get a place, and the one that has waited longest is refused
// when too many wait. In turn, a scrape of a client that reads would come behind all those that do not,
// each of which takes stallTime; and whoever has waited longest is the likeliest to have given up.
//
// While a scrape waits and none ends, clients that have stalled for stallTime lose their places. It needs no goroutine:
// a timer is set while somebody waits, for when the next client will have stalled that long.
type queue struct {
	mu         sync.Mutex
	places     int
	maxWaiting int
	open       []*output // of the scrapes that have a place
	waiting    []*waiter // oldest first
	timer      *time.Timer
	moved      int64 // when a scrape ended by itself, as sinceStart

	refused, stalled uint64 // scrapes refused, and scrapes that lost their place
}

// waiter is a scrape that waits for a place.
type waiter struct {
	out  *output
	turn chan error // of capacity 1: nil with the place, errCrowded
}

// errCrowded is of a scrape that was refused because too many wait.
var errCrowded = errors.New("too many scrapes wait for their turn: try again in a second")

func newQueue(places, maxWaiting int) *queue {
	q := &queue{places: places, maxWaiting: maxWaiting}
	q.timer = time.AfterFunc(time.Hour, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.makeRoom()
	})
	q.timer.Stop()
	return q
}

// enter waits for a place for the scrape that writes to o. The error is ctx's if that ends first, or
// errCrowded.
func (q *queue) enter(ctx context.Context, o *output) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := q.join(o)
	if w == nil {
		return nil
	}
	select {
	case err := <-w.turn:
		return err
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.makeRoom()
	}
	q.mu.Unlock()
	if i < 0 && <-w.turn == nil { // it has just been given a place
		q.leave(o)
	}
	return ctx.Err()
}

// join takes a free place, and returns nil, or begins to wait for one.
func (q *queue) join(o *output) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) < q.places {
		q.open = append(q.open, o)
		return nil
	}
	w := &waiter{o, make(chan error, 1)}
	q.waiting = append(q.waiting, w)
	if len(q.waiting) > q.maxWaiting {
		q.waiting[0].turn <- errCrowded
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.refused++
	}
	q.makeRoom()
	return w
}

// leave gives back the place that enter took for o, to the newest scrape that waits.
func (q *queue) leave(o *output) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !o.cut.Load() {
		q.moved = sinceStart()
	}
	q.open = slices.DeleteFunc(q.open, func(x *output) bool { return x == o })
	if last := len(q.waiting) - 1; last >= 0 {
		w := q.waiting[last]
		q.waiting = slices.Delete(q.waiting, last, last+1)
		q.open = append(q.open, w.out)
		w.turn <- nil
	}
	q.makeRoom()
}

// makeRoom ends the scrapes whose clients have stalled for too long, the longest first, but no more than
// there are scrapes that wait, and sets the timer for the next one. q.mu is held.
func (q *queue) makeRoom() {
	q.timer.Stop()
	if len(q.waiting) == 0 {
		return
	}
	leaving := 0
	for _, o := range q.open {
		if o.cut.Load() {
			o.hurry() // again: its last piece may have moved the deadline on at the same moment
			leaving++
		}
	}
	now := sinceStart()
	for ; leaving < len(q.waiting); leaving++ {
		o, since := q.longestStalled(now)
		if left := stallTime - time.Duration(now-max(since, q.moved)); left > 0 {
			q.timer.Reset(left)
			return
		}
		o.cut.Store(true)
		o.hurry()
		q.stalled++
	}
	q.timer.Reset(stallTime)
}

// longestStalled is the scrape whose client has been given its piece first, and when, as sinceStart; nil and
// now if no client has one.
func (q *queue) longestStalled(now int64) (longest *output, since int64) {
	since = now
	for _, o := range q.open {
		if at := o.writing.Load(); at != 0 && at < since && !o.cut.Load() {
			longest, since = o, at
		}
	}
	return longest, since
}

// figures are how many scrapes were refused and how many lost their place, since the start.
func (q *queue) figures() (refused, stalled uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused, q.stalled
}

// counts are how many scrapes have a place and how many wait.
func (q *queue) counts() (open, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.open), len(q.waiting)
}

// hurry ends the write that is under way. It fails where there is no connection to have a deadline (a
// recorder in a test). The writer is valid: its scrape is in the queue until it ends.
func (o *output) hurry() { _ = http.NewResponseController(o.w).SetWriteDeadline(time.Now()) }

// sinceStart is a time of the monotonic clock, ns; above 0.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()
