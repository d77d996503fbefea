package capture

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// Opener opens the ring to capture from. It is called again after the interface went away.
type Opener func() (*ring.Ring, error)

const (
	// awayWait bounds a sleep while there is no ring.
	awayWait = 100 * time.Millisecond
	// expireBudget is the most due connections that are looked at between two visits to the ring:
	// about 0.1 ms of work, and 0.3 ms where all of them go and nothing is in the cache.
	expireBudget = 512
	// housekeeping is how often the kernel's counters are read and the interface is looked at.
	housekeeping = int64(time.Second)
	// clockStep is by how much the real-time clock must move against the monotonic one between two
	// turns to have been set: slewing it does 0.5 ms in a second.
	clockStep = int64(10 * time.Millisecond)
)

// Capture runs one Worker on one ring. Snapshot, Stats and Stop may be called from any goroutine.
type Capture struct {
	worker   *worker.Worker
	walk     walk
	capacity int // connections, of the worker's table
	cpu      int // to run on, or anyCPU
	open     Opener
	clock    Clock
	// cpuTime reads the processor time of the calling thread, ns.
	cpuTime func() int64
	report  func(Change)

	// Owned by Run's goroutine.
	ring      *ring.Ring
	link      ring.Link // of the interface, when the ring was taken
	up        bool
	announced bool // that the interface is away
	reopened  uint64
	before    ring.Stats // of the rings that were closed
	last      ring.Stats // of the open ring, as last read
	drained   *ring.Ring // of an interface that has gone, until its last frames have come; or nil
	behind    bool       // it had a block at the last look: nothing expires by the clock meanwhile
	drainEnd  time.Time  // when no more can come
	nextJob   int64      // when the next housekeeping is due, ns
	index     int        // of the interface, as Stats.IfIndex has it while it is up
	peaks     peaks
	turnBegan int64 // when the ring was last looked at, ns; noTurn: the worker has waited since
	worked    int64 // the thread's processor time at that look, ns
	shift     int64 // the monotonic clock less the real-time one, at the last look
	// ageFrom is when the real-time clock was last set: the age of a frame from before it is not
	// known.
	ageFrom int64

	reserved    int            // records that there is memory for, or will be soon
	wantRecords chan int       // asks populate for memory of the records from here on
	populating  sync.WaitGroup // until populate has ended

	naps naps

	requests   // from readers
	stop       atomic.Bool
	look       atomic.Bool                // from watch: housekeeping is due
	turned     atomic.Int64               // when the worker last came by, ns; see SinceTurn
	superAbove atomic.Uint32              // from SetSuperAbove
	interfaces atomic.Pointer[Interfaces] // from Workers.SetInterfaces; nil: one is captured

	mu        sync.Mutex // guards the rest
	current   *ring.Ring // what Stop wakes; nil while the interface is away
	published worker.Stats
}

// Change reports that the interface has gone away (Err is the reason) or come back.
type Change struct {
	Up  bool
	Err error
}

// anyCPU leaves it to the kernel where a worker runs.
const anyCPU = -1

// pin has the calling thread run on one CPU alone.
func pin(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		remedy := ""
		switch {
		case errors.Is(err, unix.EPERM):
			remedy = ": a systemd unit must allow it with SystemCallFilter=sched_setaffinity"
		case errors.Is(err, unix.EINVAL):
			remedy = ": there is no such CPU, or the program may not run there: use those of Cpus_allowed_list in /proc/self/status"
		}
		return fmt.Errorf("pin a worker to CPU %d: %w%s", cpu, err, remedy)
	}
	return nil
}

// CheckCPUs returns an error if one of the workers could not run on the CPU that SetCPUs would give it.
func CheckCPUs(cpus []int, workers int) error {
	checked := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: a pinned thread ends with its goroutine
		for _, cpu := range cpus[:min(workers, len(cpus))] {
			if err := pin(cpu); err != nil {
				checked <- err
				return
			}
		}
		checked <- nil
	}()
	return <-checked
}

// noTurn is no time: nothing is under way.
const noTurn = math.MinInt64

// New makes a capture that starts with the open ring r, or with nil if the interface is down: then
// it waits for the interface first. open is called when the interface comes back; report is called
// of both events, on the capture's own goroutine.
func New(w *worker.Worker, r *ring.Ring, open Opener, clock Clock, report func(Change)) *Capture {
	c := &Capture{
		cpuTime: ring.ThreadTime,
		worker:  w, walk: walk{worker: w}, capacity: w.Capacity(), cpu: anyCPU, open: open, clock: clock, report: report, requests: newRequests(),
		turnBegan: noTurn, ageFrom: math.MinInt64,
		wantRecords: make(chan int, reserveMost/worker.PageRecords),
	}
	mono, real := clock()
	c.shift, c.peaks.began = mono-real, mono
	c.superAbove.Store(math.MaxUint32)
	c.turned.Store(mono)
	c.setRing(r)
	c.published = worker.Stats{Capacity: w.Capacity(), InterfaceUp: c.up, IfIndex: c.index}
	return c
}

// SetSuperAbove has frames with a payload of more than so many bytes counted as super-packets; before
// it is called none are. It may be called from any goroutine, and takes effect at once.
func (c *Capture) SetSuperAbove(bytes uint32) { c.superAbove.Store(bytes) }

// Run captures until Stop. It returns an error only when capturing cannot go on.
func (c *Capture) Run() error {
	defer c.end()
	c.populating.Add(populators)
	for range populators {
		go c.populate()
	}
	defer c.watch()()
	if c.cpu != anyCPU {
		runtime.LockOSThread() // and never unlocked: a pinned thread ends with its goroutine
		if err := pin(c.cpu); err != nil {
			return err
		}
	}
	for {
		if c.ring == nil && !c.await() {
			return nil
		}
		err := c.capture()
		if err == nil {
			return nil
		}
		if !errors.Is(err, ring.ErrGone) {
			return err
		}
		c.lose(err)
	}
}

// capture takes blocks from the ring until Stop, or until the ring fails. It goes on while the interface is
// down: the kernel fills the ring again as soon as it is up (NETDEV_UP in packet_notifier,
// net/packet/af_packet.c of Linux 6.6), before anybody here can know.
//
// The goroutine stays on one thread while it works, whose time it measures, and is free of it while it
// waits, which costs less then (ring.Wait).
func (c *Capture) capture() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !c.stop.Load() {
		b, ready := c.ring.Next()
		mono, real := c.now()
		if !ready { // what came before the clock was read must be accounted before anything expires by it
			if b, ready = c.ring.Next(); ready {
				mono, real = c.now()
			}
		}
		c.beginTurn(mono, real)
		if ready {
			c.noteAge(b, real)
			c.walk.interfaces = c.interfaces.Load()
			c.walk.block(&b, mono, real)
			c.ring.Release()
		} else {
			c.worker.Tick(mono)
		}
		c.reserve()
		more := c.expire()
		if mono >= c.nextJob || c.look.Load() {
			c.look.Store(false)
			if err := c.housekeep(); err != nil {
				return err
			}
			c.nextJob = mono + housekeeping
			if !c.up {
				c.nextJob = mono + downCheck
			}
		}
		if c.serve() || ready || more {
			continue
		}
		runtime.UnlockOSThread()
		err := c.idle()
		runtime.LockOSThread()
		switch {
		case errors.Is(err, ring.ErrDown):
			c.away(err)
			c.nextJob = mono
		case err != nil:
			return err
		}
	}
	return nil
}

// idle waits until there may be something to do.
func (c *Capture) idle() error {
	now := c.endTurn()
	if c.naps.may(now, c.worker.Counters.Blocks, c.ring.Blocks(), c.ring.Size()) {
		return c.ring.Nap(c.naps.nap)
	}
	return c.ring.Wait(c.wait(now))
}

// wait bounds a wait for frames that begins at mono: until housekeeping is due or a stream may be, so
// that a silent line wakes nobody ten times a second for nothing.
func (c *Capture) wait(mono int64) time.Duration {
	until := mono + downCheck
	if c.up {
		until = min(c.nextJob, c.worker.NextDue())
	}
	return time.Duration(max(until-mono, 0))
}

// beginTurn notes that the ring was looked at, and how long after the last look. The clocks are read
// once a turn, never for a packet.
func (c *Capture) beginTurn(mono, real int64) {
	c.noteTurn(mono)
	c.turnBegan = mono
	c.worker.SetSuperAbove(c.superAbove.Load())
	shift := mono - real
	if d := shift - c.shift; d > clockStep || d < -clockStep {
		c.ageFrom = real
	}
	c.shift = shift
}

// endTurn ends a turn: the worker is about to wait for frames, from now on.
func (c *Capture) endTurn() (now int64) {
	mono, _ := c.clock()
	c.noteTurn(mono)
	c.turnBegan = noTurn
	return mono
}

// noteTurn notes how long it has been since the last look at the ring, and how much of that was work
// and not time in which others had the processor. Reading the thread's time is a system call, of
// some 0.6 µs: 1/200 of what a full block of packets takes.
func (c *Capture) noteTurn(mono int64) {
	cpu := c.cpuTime()
	if c.turnBegan != noTurn {
		c.peaks.turn.note(mono - c.turnBegan)
		c.peaks.work.note(cpu - c.worked)
	}
	c.worked = cpu
}

// noteAge notes how long the first frame of block b, which is the oldest, has lain in the ring.
// b is a copy: its walk leaves the caller's where it is.
func (c *Capture) noteAge(b ring.Block, real int64) {
	if f, ok := b.Next(); ok && f.Time() >= c.ageFrom {
		c.peaks.frameAge.note(real - f.Time())
	}
}

// expire does one turn's share of expiring, and notes how late it comes if that was not enough. It does one turn's share
// of moving connections to other groups, too.
func (c *Capture) expire() (more bool) {
	more = c.worker.Expire(expireBudget)
	if more {
		c.peaks.lag.note(c.worker.Behind())
	}
	return c.worker.Regroup() || more
}

// setRing closes the ring, if there is one, and takes r in its place; nil while there is none.
func (c *Capture) setRing(r *ring.Ring) {
	c.mu.Lock()
	old := c.ring
	c.current = r
	c.mu.Unlock()
	if old != nil {
		// Nothing depends on it any more, and there is nowhere to report a failure.
		_ = old.Close()
	}
	c.ring, c.up, c.index = r, r != nil, worker.NoInterface
	if r != nil {
		if i, err := r.IfIndex(); err == nil {
			c.index = i
		}
		c.link, _ = r.Link() // housekeeping asks again
	}
}

// withRing calls f with the open ring, if there is one. It may be called from any goroutine.
func (c *Capture) withRing(f func(*ring.Ring) error) error {
	c.mu.Lock()
	r := c.current
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	if err := f(r); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil // it has been closed meanwhile: its interface is gone
}

// total returns the kernel's counts of all rings so far.
func (c *Capture) total() ring.Stats {
	return ring.Stats{
		Packets: c.before.Packets + c.last.Packets,
		Drops:   c.before.Drops + c.last.Drops,
		Freezes: c.before.Freezes + c.last.Freezes,
	}
}

// stats reads the kernel's counters and returns all totals.
func (c *Capture) stats() worker.Stats {
	if c.ring != nil {
		if k, err := c.ring.Stats(); err == nil {
			c.noteDrops(k)
			c.last = k
		}
	}
	s := c.worker.Stats()
	k := c.total()
	s.Dropped, s.Freezes = k.Drops, k.Freezes
	s.Reopened, s.InterfaceUp, s.IfIndex = c.reopened, c.up, worker.NoInterface
	s.Holds = c.holds
	if c.ring != nil {
		s.RingBlocks, s.RingWaiting = c.ring.Blocks(), c.ring.Waiting()
	}
	if c.up {
		s.IfIndex = c.index
	}
	s.MaxTurn, s.MaxTurnWork = c.peaks.turn.max(), c.peaks.work.max()
	s.MaxFrameAge, s.MaxExpiryLag = c.peaks.frameAge.max(), c.peaks.lag.max()
	return s
}

// noteDrops has the worker know if the kernel has dropped frames since its counters were last read. Blocks that are closed
// from here on do not tell of them any more (ring.Block.Losing).
func (c *Capture) noteDrops(now ring.Stats) {
	if now.Drops != c.last.Drops || now.Freezes != c.last.Freezes {
		mono, _ := c.clock()
		c.worker.LostUntil(mono)
	}
}

func (c *Capture) publish() {
	mono, _ := c.clock()
	c.turned.Store(mono)
	c.peaks.advance(mono)
	s := c.stats()
	c.mu.Lock()
	c.published = s
	c.mu.Unlock()
}

// Stats returns the totals as of at most a second ago, or as they have been since the last packet.
func (c *Capture) Stats() worker.Stats {
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
	c.closeDrained()
	close(c.wantRecords)
	c.populating.Wait()
	close(c.stopped)
}
