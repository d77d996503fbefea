package collector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// maxOpen bounds the scrapes that have a place: they have begun and not ended, those that wait for a slow
	// client included. Each holds a snapshot of its own, 104 bytes a stream, which bounds the number.
	maxOpen = 4
	// maxWorking bounds the scrapes that copy streams or render at the same time. Two let a pair of
	// Prometheus servers scrape side by side; more would take the CPU from the capture.
	maxWorking = 2
	// stallTime is how long a client may take to accept a piece of its answer while another scrape waits
	// for a place and none has ended by itself for as long. Otherwise it has as long as the server gives it:
	// where scrapes end, those that wait get a place, and a client on a busy machine may need a moment.
	stallTime = 250 * time.Millisecond
	// maxWaiting bounds the scrapes that wait for a place unless Options sets another number. Each holds a
	// connection and its goroutines, some 20 KiB, and no snapshot.
	maxWaiting = 64
)

// semaphore holds as many permits as its capacity. Callers that wait get one in the order in which
// they came.
type semaphore chan struct{}

// acquire waits for a permit; it gives up with ctx's error when ctx ends first.
func (s semaphore) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err // select would choose at random between a free permit and an ended context
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives back the permit that acquire took.
func (s semaphore) release() { <-s }

// queue gives places to scrapes, and bounds how many wait for one.
//
// The newest scrape that waits is the next to get a place, and the one that has waited longest is refused
// when too many wait. First come, first served would put a client that reads behind all those that do
// not, each of which takes stallTime; and the client that has waited longest is the likeliest to have
// given up. How new a scrape is goes by when it came to the server, not by when its goroutine got here: on a
// busy processor those of older connections may run long after those of newer ones.
//
// While a scrape waits and none ends, clients that have stalled for stallTime lose their places. That
// takes no goroutine: while a scrape waits, a timer is set for when the next client will have stalled that
// long.
type queue struct {
	mu         sync.Mutex
	places     int
	maxWaiting int
	open       []*output // of the scrapes that have a place
	waiting    []*waiter // oldest first, by when they came
	timer      *time.Timer
	moved      int64 // when a scrape last ended by itself, as sinceStart

	refused, stalled uint64 // scrapes that were refused, and that lost their places
}

// waiter is a scrape that waits for a place.
type waiter struct {
	out  *output
	came time.Time
	call chan error // of capacity 1: gets nil with the place, or errCrowded
}

// errCrowded is the error of a scrape that is refused because too many wait.
var errCrowded = errors.New("too many scrapes wait for their turn: try again in a second")

func newQueue(places, maxWaiting int) *queue {
	q := &queue{places: places, maxWaiting: maxWaiting}
	q.timer = time.AfterFunc(time.Hour, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.cutOff()
	})
	q.timer.Stop()
	return q
}

// enter waits for a place for the scrape that writes to o and came to the server at that time. The error is errCrowded, or ctx's if that ends
// first.
func (q *queue) enter(ctx context.Context, o *output, came time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := q.join(o, came)
	if w == nil {
		return nil
	}
	select {
	case err := <-w.call:
		return err
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, w)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.cutOff()
	}
	q.mu.Unlock()
	if i < 0 && <-w.call == nil { // it has just been given a place
		q.leave(o)
	}
	return ctx.Err()
}

// join takes a free place, and returns nil, or begins to wait for one.
func (q *queue) join(o *output, came time.Time) *waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.open) < q.places {
		q.open = append(q.open, o)
		return nil
	}
	w := &waiter{o, came, make(chan error, 1)}
	at, _ := slices.BinarySearchFunc(q.waiting, came, func(old *waiter, came time.Time) int {
		if old.came.After(came) {
			return 1
		}
		return -1 // of several at a time, the one that gets here last is the newest
	})
	q.waiting = slices.Insert(q.waiting, at, w)
	if len(q.waiting) > q.maxWaiting {
		q.waiting[0].call <- errCrowded
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.refused++
	}
	q.cutOff()
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
		w.call <- nil
	}
	q.cutOff()
}

// cutOff ends the scrapes whose clients have stalled for too long, the longest first, but no more than
// there are scrapes that wait, and sets the timer for the next one. q.mu is held.
func (q *queue) cutOff() {
	q.timer.Stop()
	if len(q.waiting) == 0 {
		return
	}
	leaving := 0
	for _, o := range q.open {
		if o.cut.Load() {
			o.abort() // again: its last piece may have moved the deadline on at the same moment
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
		o.abort()
		q.stalled++
	}
	q.timer.Reset(stallTime)
}

// longestStalled returns the scrape whose client was given its piece first, and when that was, as
// sinceStart; nil and now if no client has one.
func (q *queue) longestStalled(now int64) (longest *output, since int64) {
	since = now
	for _, o := range q.open {
		if at := o.writing.Load(); at != 0 && at < since && !o.cut.Load() {
			longest, since = o, at
		}
	}
	return longest, since
}

// turnedAway returns how many scrapes were refused, and how many lost their places, since the start.
func (q *queue) turnedAway() (refused, stalled uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused, q.stalled
}

// counts returns how many scrapes have a place, and how many wait for one.
func (q *queue) counts() (open, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.open), len(q.waiting)
}

// sinceStart returns a time of the monotonic clock, ns; above 0.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()
