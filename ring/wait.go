//go:build linux

package ring

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Wait blocks until a block may be ready, Wake is called, the interface goes away or timeout has
// passed; it may end early. A negative timeout is for ever. The next call to make is
// Next: nil does not say which of them it was.
//
// The error is ErrDown once when the interface goes down, and ErrGone when it has been deleted: when
// that is noticed and, as no frame can come any more, at the end of every later Wait. Blocks filled
// before may follow both: Next still has them. Any other error is of the ring itself and fatal.
//
// It does not spin: what makes it return is used up here or by Next and Release. For that, no block
// may be held: between Next and Release Wait returns an error at once.
//
// A goroutine that waits takes up no thread and none of GOMAXPROCS. One that is locked to its thread
// (runtime.LockOSThread) waits as well, but for two switches of threads more.
func (r *Ring) Wait(timeout time.Duration) error { return r.wait(true, timeout) }

// Nap is Wait for d, above 0, without looking for frames: only Wake ends it before. It is for a caller
// that knows frames to come and would rather find several blocks of them at once.
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
	// The kernel says nothing of an interface that is deleted while it is down. What was captured
	// before comes first.
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
	// The only failure is EAGAIN of a full counter, and then it is readable already.
	_, _ = unix.Write(r.wakeFd, wakeOne[:])
}

// wakeOne is any uint64 that is not 0 in either byte order (eventfd(2)).
var wakeOne = [8]byte{3: 1}

func (r *Ring) drainWake() {
	var count [8]byte
	_, _ = unix.Read(r.wakeFd, count[:]) // sets the counter to 0
}

// pollError finds out what POLLERR is about. Reading SO_ERROR clears it, and poll waits again.
func (r *Ring) pollError() error {
	err := r.socketError()
	if err == nil {
		// An error that cannot be cleared would make every poll return at once.
		return fmt.Errorf("poll: events %#x of the packet socket without an error in SO_ERROR", r.poll[0].Revents)
	}
	return err
}

// socketError reads and clears SO_ERROR. ENETDOWN comes both of an interface that is down and of one
// that is being deleted, which goes down first: only getsockname tells them apart.
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

func (r *Ring) isGone() bool {
	i, err := r.IfIndex()
	return err == nil && i < 0
}

func errClosed(step string) error { return fmt.Errorf("%s: %w", step, os.ErrClosed) }

// Blocks is how many blocks the ring has.
func (r *Ring) Blocks() int { return len(r.mem) / r.blockSize }

// Size is how many bytes all blocks have together.
func (r *Ring) Size() int { return len(r.mem) }
