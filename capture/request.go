package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tcp-stream-exporter/stream"
)

// ErrStopped is what readers get once the capture has ended.
var ErrStopped = errors.New("capture: stopped")

// requests is how readers ask the worker for streams: one reader at a time posts one request, and
// the worker fills it piece by piece.
type requests struct {
	turn    chan struct{}           // held by the reader whose request is under way
	wanted  atomic.Pointer[request] // nil: none
	wake    chan struct{}           // ends a wait for the interface
	stopped chan struct{}           // closed when the worker has ended
}

func newRequests() requests {
	return requests{turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// request is one reader's order: the streams from record index pos on, appended to views until
// all are there or views is full. The worker owns it until it sends on filled.
type request struct {
	pos    int
	views  []stream.View
	stats  Stats
	done   bool
	filled chan struct{} // holds one, so that the worker never waits
}

// serve does one piece of the request under way, if there is one, and reports whether it did.
func (c *Capture) serve() bool {
	q := c.wanted.Load()
	if q == nil {
		return false
	}
	q.pos, q.views, q.done = c.worker.viewsFrom(q.pos, q.views)
	if q.done {
		q.stats = c.stats()
	}
	if q.done || cap(q.views)-len(q.views) < pieceStreams {
		c.wanted.CompareAndSwap(q, nil)
		q.filled <- struct{}{}
	}
	return true
}

// sleep waits for d, or until a request or Stop comes.
func (c *Capture) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.wake:
	case <-t.C:
	}
}

// Snapshot fills s with every stream and the totals. It returns ctx's error if that ends first,
// and ErrStopped once the capture has ended. After an error s.Views must not be used again.
func (c *Capture) Snapshot(ctx context.Context, s *Snapshot) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	q := &request{views: s.Views[:0], filled: make(chan struct{}, 1)}
	s.Views = nil
	for !q.done {
		q.views = grow(q.views, c.Stats().Streams)
		c.wanted.Store(q)
		c.rouse()
		select {
		case <-q.filled:
		case <-c.stopped:
			return ErrStopped
		case <-ctx.Done():
			// Nobody waits for it: the worker finds no request, or finishes the one piece that
			// it is at, into memory that nobody uses any more.
			c.wanted.CompareAndSwap(q, nil)
			return ctx.Err()
		}
	}
	s.Views, s.Stats = q.views, q.stats
	return nil
}
