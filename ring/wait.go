//go:build linux

package ring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Wait blocks until a block may be ready, Wake is called, the interface goes away or timeout has passed. It
// may return early, and nil does not say why: call Next. A negative timeout is for ever.
//
// The errors:
//
//	ErrDown  the interface has gone down; returned once
//	ErrGone  the interface has been deleted; returned at once, and by every later Wait when it ends
//	others   the ring is unusable
//
// Next still has the blocks that were filled before ErrDown or ErrGone.
//
// Wait does not spin: Wait itself, or Next and Release, use up what made it return. Between Next and Release
// it returns an error at once, because the block that is held would make it spin.
//
// A goroutine that waits occupies no thread and none of GOMAXPROCS. One that is locked to its thread
// (runtime.LockOSThread) takes two switches of threads more.
func (r *Ring) Wait(timeout time.Duration) error { return r.wait(true, timeout) }

// Nap is Wait for d, above 0, that ignores frames: only Wake ends it early. A caller that expects frames takes
// a nap to find several blocks of them at once.
func (r *Ring) Nap(d time.Duration) error { return r.wait(false, d) }

func (r *Ring) wait(listen bool, timeout time.Duration) error {
	if r.mem == nil {
		return errClosed("wait")
	}
	if r.held {
		return errors.New("wait: the block of the last Next is still held: call Release first")
	}
	if err := r.park(listen, timeout); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	socket := r.poll[pollSocket].Revents
	if r.poll[pollWake].Revents != 0 {
		r.drainWake()
	}
	if socket&^unix.POLLIN != 0 {
		return r.pollError()
	}
	// packet_notifier reports no error for an interface that is deleted while it is down, so ask. What was
	// captured before comes first.
	if socket == 0 && r.wasDown && r.isGone() {
		return ErrGone
	}
	return nil
}

// Wake ends a Wait that is under way, or else the next one.
func (r *Ring) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wakeFd < 0 {
		return
	}
	// The only failure is EAGAIN of a full counter, which is readable already.
	_, _ = unix.Write(r.wakeFd, wakeOne[:])
}

// wakeOne is any uint64 that is not 0 in either byte order (eventfd(2)).
var wakeOne = [8]byte{3: 1}

// drainWake takes back what Wake has written.
func (r *Ring) drainWake() {
	var count [8]byte
	_, _ = unix.Read(r.wakeFd, count[:]) // sets the counter to 0
}

// pollError returns the error behind POLLERR. Reading SO_ERROR clears it, so that poll waits again.
func (r *Ring) pollError() error {
	err := r.socketError()
	if err == nil {
		// An error that cannot be cleared would make every poll return at once.
		return fmt.Errorf("poll: events %#x of the packet socket without an error in SO_ERROR", r.poll[0].Revents)
	}
	return err
}

// socketError returns and clears SO_ERROR. ENETDOWN stands for an interface that is down and for one that is
// deleted, which goes down first (packet_notifier): only getsockname distinguishes them.
func (r *Ring) socketError() error {
	code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return fmt.Errorf("read SO_ERROR: %w", err)
	}
	switch errno := unix.Errno(code); {
	case errno == 0:
		return nil
	case errno == unix.ENODEV, errno == unix.ENXIO, errno == unix.ENETDOWN && r.isGone():
		r.wasDown = true
		return fmt.Errorf("%w: %w", ErrGone, errno)
	case errno == unix.ENETDOWN:
		r.wasDown = true
		return fmt.Errorf("%w: %w", ErrDown, errno)
	default:
		return fmt.Errorf("packet socket: %w", errno)
	}
}

// isGone reports whether the interface has been deleted.
func (r *Ring) isGone() bool {
	i, err := r.IfIndex()
	return err == nil && i < 0
}

// errClosed returns os.ErrClosed with the step that came too late.
func errClosed(step string) error { return fmt.Errorf("%s: %w", step, os.ErrClosed) }

// Blocks returns the number of blocks in the ring.
func (r *Ring) Blocks() int { return len(r.mem) / r.blockSize }

// Size returns the size of all blocks together, in bytes.
func (r *Ring) Size() int { return len(r.mem) }
