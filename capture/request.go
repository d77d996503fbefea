package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/worker"
)

// ErrStopped is the readers' error once the capture has ended.
var ErrStopped = errors.New("the capture has stopped")

// requests hands readers' requests for streams or groups to the worker: one reader at a time posts one request,
// and the worker fills it piece by piece.
type requests struct {
	turn    chan struct{}           // held by the reader whose request is under way
	wanted  atomic.Pointer[request] // nil: none
	serving atomic.Pointer[request] // the one that the worker is at
	wake    chan struct{}           // ends a wait for the interface
	stopped chan struct{}           // closed when the worker has ended
	holds   worker.Holds            // owned by the worker
}

func newRequests() requests {
	return requests{turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// request is one reader's order: all streams, or all combinations of groups, from pos on. The worker owns it until it
// sends on filled.
type request struct {
	pos    int
	into   *worker.Snapshot
	groups *group.Reading // instead of into
	part   bool           // into need not hold all: the request ends when it has no room for another piece
	all    bool           // nothing is left, and into has the totals
	full   bool           // groups has no room for what is left
	filled chan struct{}  // holds one, so that the worker never waits
}

// piece has w do one piece of q, and returns whether that was the last.
func (q *request) piece(w *worker.Worker, shift int64) (done bool) {
	if q.groups != nil {
		q.pos, q.all, q.full = w.GroupsFrom(q.pos, q.groups)
		return q.all
	}
	q.pos, q.all = w.ViewsFrom(q.pos, shift, q.into)
	return q.all || q.part && !q.into.HasRoom()
}

// runPieces is how many pieces of a request are done in a turn at most, about 10 µs of work. Between two of them the ring
// is looked at, so that packets wait for one piece and no longer. A run spares what a turn costs besides, above all
// readings of the thread's time, which are system calls: they took three quarters of a reading that did one piece a turn.
const runPieces = 8

// serve does pieces of the request under way, if there is one, until the ring has a block, and reports whether it did any.
func (c *Capture) serve() bool {
	q := c.wanted.Load()
	if q == nil {
		return false
	}
	// A reader that gives up takes the request back and then looks whether it is being served:
	// either it sees that, or this sees that the request has gone.
	c.serving.Store(q)
	defer c.serving.Store(nil)
	if c.wanted.Load() != q {
		return false
	}
	begin := c.cpuTime()
	done, pieces := false, 0
	for !done && pieces < runPieces && (pieces == 0 || !c.blockReady()) {
		done = q.piece(c.worker, c.shift)
		pieces++
	}
	if q.all && q.into != nil {
		q.into.Stats = c.stats()
	}
	c.holds.NoteRun(c.cpuTime()-begin, pieces)
	if done {
		c.wanted.CompareAndSwap(q, nil)
		q.filled <- struct{}{}
	}
	return true
}

// blockReady reports whether the kernel has handed over a block that waits to be walked.
func (c *Capture) blockReady() bool {
	if c.ring == nil {
		return false
	}
	_, ready := c.ring.Next()
	return ready
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
// and ErrStopped once the capture has ended.
func (c *Capture) Snapshot(ctx context.Context, s *worker.Snapshot) error {
	if err := s.Empty(c.capacity); err != nil {
		return err
	}
	return c.fill(ctx, s)
}

// fill appends every stream to s, which must have room for them, and sets the totals.
func (c *Capture) fill(ctx context.Context, s *worker.Snapshot) error {
	if err := c.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-c.turn }()
	return c.filled(ctx, c.post(request{into: s}))
}

// takeTurn waits until no other reader's request is under way. The caller ends the turn by a receive.
func (c *Capture) takeTurn(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// post hands a request to the worker. The caller has its turn, and waits for the request with filled.
func (c *Capture) post(q request) *request {
	q.filled = make(chan struct{}, 1)
	c.wanted.Store(&q)
	c.rouse()
	return &q
}

// filled waits until the worker has done q. With an error q is the reader's again.
func (c *Capture) filled(ctx context.Context, q *request) error {
	select {
	case <-q.filled:
		return nil
	case <-c.stopped:
		return ErrStopped
	case <-ctx.Done():
		c.wanted.CompareAndSwap(q, nil)
		for c.serving.Load() == q { // one piece, some 2 µs
			time.Sleep(10 * time.Microsecond)
		}
		return ctx.Err()
	}
}
