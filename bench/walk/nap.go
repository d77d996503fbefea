package walk

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Naps decides when a reader sleeps over several blocks instead of waiting for the next one. It is the exporter's rule
// (capture/nap.go), stated a second time: where blocks come fast, sleep until eight have come, or a sixteenth of the
// ring, and for 24 ms at most.
type Naps struct {
	blocks uint64    // that had been walked at the last rest
	rested time.Time // when that was
}

const (
	maxNap     = 24 * time.Millisecond
	napBlocks  = 8
	napShare   = 16
	bytesPerNs = 1
)

// Next returns for how long to sleep now that no block is ready, or 0: wait for one. walked is the number of blocks
// walked so far, cfg the ring's.
func (n *Naps) Next(now time.Time, walked uint64, cfg Config) time.Duration {
	came, since := walked-n.blocks, now.Sub(n.rested)
	n.blocks, n.rested = walked, now
	over := min(napBlocks, cfg.NumBlocks/napShare)
	if came == 0 || over < 2 {
		return 0
	}
	most := min(maxNap, time.Duration(cfg.NumBlocks*cfg.BlockSize/bytesPerNs))
	each := since / time.Duration(came)
	if each <= 0 || each >= most*2/3 {
		return 0
	}
	return min(most, each*time.Duration(over))
}

// Sleeper sleeps with its goroutine parked, which takes neither a thread nor the Go scheduler's monitor; time.Sleep
// wakes both. It belongs to one goroutine, which must not be locked to its thread.
type Sleeper struct {
	timer *os.File // timerfd_create(2), read by Go's poller
	fd    int
	count [8]byte
}

// NewSleeper opens the timer.
func NewSleeper() (*Sleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("walk: timerfd: %w", err)
	}
	return &Sleeper{timer: os.NewFile(uintptr(fd), "timerfd"), fd: fd}, nil
}

// Sleep sleeps for d, which is above 0.
func (s *Sleeper) Sleep(d time.Duration) error {
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(s.fd, 0, &at, nil); err != nil {
		return fmt.Errorf("walk: timerfd: %w", err)
	}
	if _, err := s.timer.Read(s.count[:]); err != nil {
		return fmt.Errorf("walk: timerfd: %w", err)
	}
	return nil
}

// Close closes the timer.
func (s *Sleeper) Close() error { return s.timer.Close() }
