//go:build linux

package ring

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollHeld is ppoll(2) behind the back of Go's scheduler, which keeps the caller's processor (its P)
// reserved meanwhile. In unix.Ppoll the scheduler finds a goroutine that has been on its processor for
// longer than 10 ms, as one does that never parks: it takes the processor away at once, wakes a thread
// to look for other work, and is woken itself when the call returns; and its monitor, having found
// something to do, looks again every 20 µs for a while. With a block of frames every few milliseconds
// that is up to sixty switches of threads for each one that is needed.
//
// What stops the world waits for the call, but not for long: the scheduler's signal that asks for it
// ends the call, and the loop gives way to it. Polling then goes on for what is left of d, which the
// kernel has written to its argument (select(2), "Linux notes"). It returns how many descriptors have
// something to tell, 0 when d is over.
//
// Sound: the kernel reads and writes r.poll and r.pollTime only during the call, both are kept alive by
// the conversions in the call itself (unsafe.Pointer's rule 4), and r, being shared, does not lie on
// a stack that could move.
func (r *Ring) pollHeld(d time.Duration) (n int, err error) {
	r.pollTime = unix.NsecToTimespec(int64(d))
	for {
		ready, errno := r.pollOnce()
		switch errno {
		case 0:
			return ready, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// pollOnce is not inlined: it is at its beginning that the scheduler can stop the loop.
//
//go:noinline
func (r *Ring) pollOnce() (n int, errno unix.Errno) {
	ready, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&r.poll[0])), uintptr(len(r.poll)),
		uintptr(unsafe.Pointer(&r.pollTime)), 0, 0, 0)
	return int(ready), errno
}
