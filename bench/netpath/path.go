package netpath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Path is a running path.
type Path struct {
	config  Config
	devices [2]int // descriptors, by side
	start   time.Time
	rand    *rand.Rand

	queue  queue
	free   []*packet
	order  uint64
	acks   uint64        // pure ones of the receiver
	idleAt time.Duration // when the bottleneck has sent what it holds
	books  ledger
	late   Lateness
	record *recorder

	stop   atomic.Bool
	active atomic.Int64 // time of the last packet, in ns since start
	done   chan struct{}
	err    error // after done
}

// Start carries packets between the devices of a sender and a receiver, given by descriptors that
// do not block, until Stop, which closes them.
func Start(senderTun, receiverTun int, c Config) (*Path, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Path{
		config: c, devices: [2]int{senderTun, receiverTun}, start: time.Now(), rand: rand.New(rand.NewPCG(c.Seed, 0)),
		books: newLedger(), done: make(chan struct{}),
	}
	if c.Capture != nil {
		var err error
		if p.record, err = newRecorder(c.Capture, p.start, c.ACKsEarly); err != nil {
			return nil, err
		}
	}
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it what keepTime set
		keepTime()
		p.err = p.run()
	}()
	return p, nil
}

// keepTime has the kernel wake this thread as soon as a packet is due. Best effort: Lateness
// has the result.
func keepTime() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // ns; the default of 50 µs is half a way of the shortest paths
	// Ahead of the traffic's own programs, which share the CPUs. The thread sleeps most of the time.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
}

// Idle returns the time since a packet last came or was delivered.
func (p *Path) Idle() time.Duration {
	return time.Since(p.start) - time.Duration(p.active.Load())
}

// Stop ends the path, drops what is on its way and closes the devices. It must be called once.
func (p *Path) Stop() (Truth, Lateness, error) {
	p.stop.Store(true)
	<-p.done
	err := p.err
	if p.record != nil {
		err = errors.Join(err, p.record.close())
	}
	for _, fd := range p.devices {
		unix.Close(fd)
	}
	return p.books.Truth, p.late, err
}

const (
	// longestSleep bounds how late a silent path sees that it is to stop.
	longestSleep = 50 * time.Millisecond
	// readsInARow of one device, so that the other's packets and those that are due do not wait.
	readsInARow = 64
	// wakeUp is about how long a thread takes from its timer to running. It wakes up so much earlier
	// than the next packet is due and polls until then.
	wakeUp = 60 * time.Microsecond
)

func (p *Path) run() error {
	poll := []unix.PollFd{{Fd: int32(p.devices[sender]), Events: unix.POLLIN}, {Fd: int32(p.devices[receiver]), Events: unix.POLLIN}}
	for !p.stop.Load() {
		sleep := longestSleep
		if len(p.queue) > 0 {
			sleep = max(0, min(sleep, p.queue[0].due-time.Since(p.start)-wakeUp))
		}
		timeout := unix.NsecToTimespec(sleep.Nanoseconds())
		if _, err := unix.Ppoll(poll, &timeout, nil); err != nil && err != unix.EINTR {
			return fmt.Errorf("netpath: ppoll: %w", err)
		}
		for _, from := range []side{sender, receiver} {
			if err := p.takeIn(from); err != nil {
				return err
			}
		}
		if err := p.passOn(); err != nil {
			return err
		}
	}
	return nil
}

// takeIn reads packets that an end has sent.
func (p *Path) takeIn(from side) error {
	for range readsInARow {
		k := p.blank()
		n, err := unix.Read(p.devices[from], k.data[:])
		if err != nil || n == 0 {
			p.free = append(p.free, k)
			if err == nil || err == unix.EAGAIN || err == unix.EINTR {
				return nil
			}
			return fmt.Errorf("netpath: read from a tun device: %w", err)
		}
		now := time.Since(p.start)
		p.active.Store(int64(now))
		p.order++
		k.n, k.from, k.order, k.next, k.seg = n, from, p.order, atPoint, parse(k.data[:n])
		if p.enter(k, now) {
			p.queue.push(k)
		} else {
			p.free = append(p.free, k)
		}
	}
	return nil
}

func (p *Path) blank() *packet {
	if n := len(p.free); n > 0 {
		k := p.free[n-1]
		p.free = p.free[:n-1]
		return k
	}
	return new(packet)
}

// enter sends a packet on the way to the point; false: it is lost.
func (p *Path) enter(k *packet, now time.Duration) bool {
	c := &p.config
	if k.from == receiver {
		if k.seg.pureACK() && c.ThinACKs > 1 {
			if p.acks++; p.acks%uint64(c.ThinACKs) != 0 {
				return false
			}
		}
		k.due = now + c.Behind.Delay
		return !p.chance(c.Behind.ReturnLoss)
	}
	k.again = p.books.leaves(&k.seg)
	if p.chance(c.Before.Loss) {
		p.books.LostBefore++
		if k.again {
			p.books.AgainLost++
		}
		return false
	}
	k.due = now + c.Before.Delay
	if p.chance(c.Held) {
		k.due += time.Duration(p.rand.Float64() * float64(c.HeldBy))
	}
	return true
}

func (p *Path) chance(share float64) bool { return share > 0 && p.rand.Float64() < share }

// passOn moves the packets that are due. What a packet does next counts from when it was due, not
// from when the thread came to it, so that delays do not add up.
func (p *Path) passOn() error {
	now := time.Since(p.start)
	for len(p.queue) > 0 && p.queue[0].due <= now {
		k := p.queue.pop()
		if k.next == atPoint {
			p.late.add(now - k.due)
			onward, err := p.pass(k)
			if err != nil {
				return err
			}
			if onward {
				p.queue.push(k)
			} else {
				p.free = append(p.free, k)
			}
			continue
		}
		now = time.Since(p.start)
		p.late.add(now - k.due)
		p.active.Store(int64(now))
		_, err := unix.Write(p.devices[1-k.from], k.data[:k.n])
		p.free = append(p.free, k)
		if err != nil {
			return fmt.Errorf("netpath: write %d bytes to a tun device: %w", k.n, err)
		}
	}
	return nil
}

// pass takes a packet past the point; false: it is lost behind it.
func (p *Path) pass(k *packet) (onward bool, err error) {
	c := &p.config
	if p.record != nil && (k.from == sender || !c.DataOnly) {
		early := time.Duration(0)
		if k.from == receiver && k.seg.pureACK() {
			early = c.ACKsEarly
		}
		if err := p.record.add(k.due, early, k.data[:k.n]); err != nil {
			return false, err
		}
	}
	k.next = atEnd
	if k.from == receiver {
		k.due += c.Before.Delay
		return !p.chance(c.Before.ReturnLoss), nil
	}
	if k.seg.tcp {
		p.books.passes(&k.seg, k.again)
	}
	if p.chance(c.Behind.Loss) {
		p.books.LostBehind++
		return false, nil
	}
	if c.Mbits > 0 && !p.squeeze(k) {
		p.books.QueueDrops++
		return false, nil
	}
	k.due += c.Behind.Delay
	return true, nil
}

// squeeze makes a packet wait for the bottleneck; false: the queue is full.
func (p *Path) squeeze(k *packet) bool {
	begin := max(p.idleAt, k.due)
	if begin-k.due > p.config.Queue {
		return false
	}
	p.idleAt = begin + time.Duration(float64(k.n)*8e3/p.config.Mbits)
	k.due = p.idleAt
	return true
}
