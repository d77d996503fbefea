package capture

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"tcp-stream-exporter/ring"
)

const (
	// downCheck is how often an interface that is down is looked at: whether it is up again.
	downCheck = int64(50 * time.Millisecond)
	// An interface that has gone is tried again at once, after firstRetry, and then after twice as
	// long each time, up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second
	// changeRetry is the least time between two tries that changes of interfaces give reason for: where hundreds of
	// them come and go, each try reads the list of all.
	changeRetry = 10 * time.Millisecond
	// drainTime is how long after the interface has gone the kernel may still hand over the last,
	// partly filled block: longer than any sensible retire timeout.
	drainTime = 200 * time.Millisecond
	// drainStep is how often its ring is looked at meanwhile.
	drainStep = drainTime / 10
	// drainBeside is the size in bytes up to which a ring is kept until its last frames have come while the next one
	// is opened. A larger one might leave it no memory.
	drainBeside = 256 << 20
)

// housekeep reads the kernel's counters and looks at the interface: one that is deleted after it went down, or
// renamed, sends its sockets no event (packet_notifier in net/packet/af_packet.c of Linux 6.6). A ring whose
// interface bears another name now, or has become one of another kind, which the filter was not made for, is of
// no more use than one whose interface is deleted.
func (c *Capture) housekeep() error {
	c.publish()
	now, err := c.ring.Link()
	switch {
	case errors.Is(err, ring.ErrGone):
		return err
	case err != nil && c.up: // a ring that works is kept
	case err != nil: // only another ring shows whether it is up again
		return fmt.Errorf("%w: %w", ring.ErrGone, err)
	case c.link == ring.Link{}: // it could not be asked when the ring was taken
		c.link = now
	case now.Name != c.link.Name:
		return fmt.Errorf("%w: it is called %s now", ring.ErrGone, now.Name)
	case now.Hatype != c.link.Hatype:
		return fmt.Errorf("%w: it is of hardware type %d now and was of %d", ring.ErrGone, now.Hatype, c.link.Hatype)
	case now.Up && !c.up:
		c.back()
	case !now.Up && c.up:
		c.away(ring.ErrDown)
	}
	return nil
}

// away notes that the interface is down or gone, and reports it once.
func (c *Capture) away(why error) {
	c.up = false
	c.publish()
	if !c.announced {
		c.announced = true
		c.report(Change{Err: why})
	}
}

// back notes that the interface is captured again, and reports it. What passed meanwhile nobody has seen.
func (c *Capture) back() {
	mono, _ := c.clock()
	c.worker.LostUntil(mono)
	c.up, c.announced = true, false
	c.reopened++
	c.publish()
	c.report(Change{Up: true})
}

// lose gives up the ring of an interface that has gone. The frames that came before stay to be read out.
func (c *Capture) lose(why error) {
	c.turnBegan = noTurn
	c.away(why)
	c.before, c.last = c.total(), ring.Stats{}
	// An interface that bears another name, or is of another kind, still sends frames to this ring.
	_ = c.ring.SetFilter(ring.RejectAll) // in vain where the interface is gone, which does no harm
	c.drained, c.drainEnd = c.ring, time.Now().Add(drainTime)
	c.ring = nil // not closed yet
	c.setRing(nil)
	if c.drained.Size() > drainBeside {
		c.drainAll()
	}
	c.publish()
}

// drain accounts a block of the ring of an interface that has gone, if there is one, and closes the ring when no more
// can come. It reports whether the ring is still there.
func (c *Capture) drain() bool {
	c.behind = false
	if c.drained == nil {
		return false
	}
	if b, ready := c.drained.Next(); ready {
		c.behind = true // another one may be there
		mono, real := c.now()
		c.walk.interfaces = c.interfaces.Load()
		c.walk.block(&b, mono, real)
		c.drained.Release()
	} else if !time.Now().Before(c.drainEnd) {
		c.closeDrained()
		return false
	}
	return true
}

// drainAll waits for the last block of the ring of an interface that has gone.
func (c *Capture) drainAll() {
	for !c.stop.Load() && c.drain() {
		mono, _ := c.clock()
		c.pause(mono, drainStep)
	}
	c.closeDrained()
}

func (c *Capture) closeDrained() {
	if c.drained != nil {
		_ = c.drained.Close() // nothing depends on it any more
		c.drained = nil
	}
}

// await keeps the known streams, serves readers, and opens a new ring once the interface is back.
// It reports false when Stop came first. A change of some interface is reason to try at once: it may be this one.
func (c *Capture) await() bool {
	c.announced = true // at the start by whoever made the capture without a ring
	for retry := time.Duration(0); ; retry = min(max(2*retry, firstRetry), lastRetry) {
		soonest := time.Now().Add(changeRetry)
		for until := time.Now().Add(retry); time.Now().Before(until); {
			if c.stop.Load() {
				return false
			}
			if c.look.Load() && !time.Now().Before(soonest) {
				c.look.Store(false)
				retry = 0
				break
			}
			wait := time.Until(until)
			if c.look.Load() {
				wait = min(wait, time.Until(soonest))
			}
			if c.drain() {
				wait = min(wait, drainStep)
			}
			mono, _ := c.clock()
			c.pause(mono, min(wait, awayWait))
		}
		c.publish()
		r, err := c.tryOpen()
		if err != nil {
			if c.stop.Load() {
				return false
			}
			continue
		}
		c.drainAll() // what came first is accounted first; meanwhile the new ring fills
		c.setRing(r)
		c.back()
		return true
	}
}

// tryOpen opens a ring on a goroutine of its own, while the worker goes on with what is due: as long
// as the kernel takes an interface apart, looking for one may wait a second and more. After Stop it
// does not wait for the end of it.
func (c *Capture) tryOpen() (*ring.Ring, error) {
	type opened struct {
		ring *ring.Ring
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		r, err := c.open()
		done <- opened{r, err}
		c.rouse()
	}()
	for {
		select {
		case o := <-done:
			return o.ring, o.err
		default:
		}
		if c.stop.Load() {
			go func() {
				if o := <-done; o.ring != nil {
					_ = o.ring.Close() // nobody has used it
				}
			}()
			return nil, ErrStopped
		}
		wait := awayWait
		if c.drain() {
			wait = drainStep
		}
		mono, _ := c.clock()
		c.pause(mono, wait)
	}
}

// pause does what is due without frames, and sleeps for d if that is nothing.
func (c *Capture) pause(mono int64, d time.Duration) {
	c.turned.Store(mono)
	if !c.behind {
		c.worker.Tick(mono)
	}
	more := c.expire()
	runtime.LockOSThread() // whose time a reader's pieces are measured in
	served := c.serve()
	runtime.UnlockOSThread()
	if !served && !more {
		c.sleep(d)
	}
}
