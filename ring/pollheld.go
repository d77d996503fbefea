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
// to look for other work, and is woken itself when the call returns. With a block of frames every other
// millisecond that is three switches of threads for each one that is needed.
//
// It must be short. What stops the world waits for it, but not for long: the scheduler's signal that
// asks for it ends the call with EINTR.
//
// Sound: the kernel reads t and reads and writes r.poll only during the call, both are kept alive by
// the conversions in the call itself (unsafe.Pointer's rule 4), and r, being shared, does not lie on
// a stack that could move.
func (r *Ring) pollHeld(d time.Duration) (n int, err error) {
	r.pollTime = unix.NsecToTimespec(int64(d))
	ready, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&r.poll[0])), uintptr(len(r.poll)),
		uintptr(unsafe.Pointer(&r.pollTime)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(ready), nil
}
