package capture

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tcp-stream-exporter/ring"
)

// Clock reads the monotonic and the real-time clock at the same moment, in ns.
type Clock func() (mono, real int64)

// Opener opens the ring to capture from. It is called again after the interface went away.
type Opener func() (*ring.Ring, error)

const (
	// idleWait bounds a wait for frames, so that streams expire on a silent line too.
	idleWait = 100 * time.Millisecond
	// expireBudget is how many due connections are looked at between two visits to the ring:
	// about 0.2 ms of work.
	expireBudget = 1024
	// housekeeping is how often the kernel's counters are read and the interface is checked.
	housekeeping = int64(time.Second)
	// The interface is tried again after firstRetry, then after twice as long each time, up to
	// lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second
	// drainTime is how long after the interface has gone the kernel may still hand over the last,
	// partly filled block: longer than any sensible retire timeout.
	drainTime = 200 * time.Millisecond
)

// Capture runs one Worker on one ring. Snapshot, Stats and Stop may be called from any goroutine.
type Capture struct {
	worker *Worker
	open   Opener
	clock  Clock
	report func(Change)

	// Owned by Run's goroutine.
	ring     *ring.Ring
	up       bool
	reopened uint64
	before   ring.Stats // of the rings that were closed
	last     ring.Stats // of the open ring, as last read
	nextJob  int64      // when the next housekeeping is due, ns

	requests // from readers
	stop     atomic.Bool

	mu        sync.Mutex // guards the rest
	current   *ring.Ring // what Stop wakes; nil while the interface is away
	published Stats
}

// Change tells of the interface going away (Err says why) or coming back.
type Change struct {
	Up  bool
	Err error
}

// New makes a capture that starts with the open ring r, or with nil if the interface is down: then
// it waits for the interface first. open is used when the interface comes back; report is told
// of both, on the capture's own goroutine.
func New(w *Worker, r *ring.Ring, open Opener, clock Clock, report func(Change)) *Capture {
	return &Capture{
		worker: w, ring: r, current: r, open: open, clock: clock, report: report,
		up: r != nil, requests: newRequests(),
		published: Stats{Capacity: w.table.Cap(), InterfaceUp: r != nil},
	}
}

// Run captures until Stop. It keeps its goroutine on one thread, so that one CPU's caches stay
// warm. It returns an error only when capturing cannot go on.
func (c *Capture) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer c.end()
	if c.ring == nil && !c.await() {
		return nil
	}
	for {
		err := c.walk()
		if err == nil {
			return nil
		}
		if !errors.Is(err, ring.ErrDown) && !errors.Is(err, ring.ErrGone) {
			return err
		}
		c.lose(err)
		if !c.await() {
			return nil
		}
	}
}

// walk takes blocks from the ring until Stop, or until the ring fails.
func (c *Capture) walk() error {
	for !c.stop.Load() {
		b, ready := c.ring.Next()
		mono, real := c.clock()
		if ready {
			c.worker.Block(&b, mono, real)
			c.ring.Release()
		} else {
			c.worker.Tick(mono)
		}
		more := c.worker.Expire(expireBudget)
		if mono >= c.nextJob {
			c.nextJob = mono + housekeeping
			if err := c.housekeep(); err != nil {
				return err
			}
		}
		if c.serve() || ready || more {
			continue
		}
		if err := c.ring.Wait(idleWait); err != nil {
			return err
		}
	}
	return nil
}

// housekeep reads the kernel's counters and finds out whether the interface still exists: one
// that is deleted after it went down says nothing to its sockets.
func (c *Capture) housekeep() error {
	c.publish()
	index, err := c.ring.IfIndex()
	if err == nil && index < 0 {
		return ring.ErrGone
	}
	return nil
}

// lose gives up the ring of an interface that has gone away, after the frames that came before.
func (c *Capture) lose(why error) {
	c.report(Change{Err: why})
	for until := time.Now().Add(drainTime); !c.stop.Load() && time.Now().Before(until); {
		b, ready := c.ring.Next()
		mono, real := c.clock()
		if !ready {
			c.pause(mono, drainTime/10)
			continue
		}
		c.worker.Block(&b, mono, real)
		c.ring.Release()
	}
	c.publish()
	c.before, c.last = c.total(), ring.Stats{}
	c.setRing(nil)
	c.publish()
}

// await keeps the known streams, serves readers, and opens a new ring once the interface is back.
// It reports false when Stop came first.
func (c *Capture) await() bool {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		for until := time.Now().Add(retry); time.Now().Before(until); {
			if c.stop.Load() {
				return false
			}
			mono, _ := c.clock()
			c.pause(mono, min(time.Until(until), idleWait))
		}
		c.publish()
		r, err := c.open()
		if err != nil {
			continue
		}
		c.setRing(r)
		c.reopened++
		c.publish()
		c.report(Change{Up: true})
		return true
	}
}

// pause does what is due without frames, and sleeps for d if that is nothing.
func (c *Capture) pause(mono int64, d time.Duration) {
	c.worker.Tick(mono)
	more := c.worker.Expire(expireBudget)
	if served := c.serve(); !served && !more {
		c.sleep(d)
	}
}

// setRing closes the ring, if there is one, and takes r in its place; nil while there is none.
func (c *Capture) setRing(r *ring.Ring) {
	c.mu.Lock()
	old := c.ring
	c.current = r
	c.mu.Unlock()
	if old != nil {
		// Nothing depends on it any more, and there is nobody to tell of a failure.
		_ = old.Close()
	}
	c.ring, c.up = r, r != nil
}

// total is what the kernel has counted on all rings so far.
func (c *Capture) total() ring.Stats {
	return ring.Stats{
		Packets: c.before.Packets + c.last.Packets,
		Drops:   c.before.Drops + c.last.Drops,
		Freezes: c.before.Freezes + c.last.Freezes,
	}
}

// stats reads the kernel's counters and returns all totals.
func (c *Capture) stats() Stats {
	if c.up {
		if k, err := c.ring.Stats(); err == nil {
			c.last = k
		}
	}
	s := c.worker.Stats()
	k := c.total()
	s.Dropped, s.Freezes = k.Drops, k.Freezes
	s.Reopened, s.InterfaceUp = c.reopened, c.up
	return s
}

func (c *Capture) publish() {
	s := c.stats()
	c.mu.Lock()
	c.published = s
	c.mu.Unlock()
}

// Stats returns the totals as of at most a second ago.
func (c *Capture) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published
}

// Stop ends Run. It returns at once; Run returns soon after.
func (c *Capture) Stop() {
	c.stop.Store(true)
	c.rouse()
}

// rouse ends a wait for frames or for the interface.
func (c *Capture) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.Wake()
	}
}

// end closes the ring and turns readers away.
func (c *Capture) end() {
	c.publish()
	c.setRing(nil)
	close(c.stopped)
}
