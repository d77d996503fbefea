//go:build linux

package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// x/sys/unix makes these calls through Go's scheduler only, which wakes its monitor (see parking).
// None of them blocks.

// pollNow calls ppoll(2) on r.poll with a timeout of 0, and returns the number of descriptors that are ready.
//
// Sound: the kernel reads and writes r.poll and the zero time only during the call, which the
// conversions in the call itself keep alive (unsafe.Pointer's rule 4).
func (r *Ring) pollNow() (n int, err error) {
	var zero unix.Timespec
	ready, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&r.poll[0])), uintptr(len(r.poll)),
		uintptr(unsafe.Pointer(&zero)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(ready), nil
}

// ThreadTime returns the processor time of the calling thread in ns, 0 if the kernel refuses it.
//
// Sound: the kernel writes t only during the call, whose conversion keeps it alive; unix.Timespec is the
// structure of clock_gettime(2) on every architecture that Go supports on Linux.
func ThreadTime() int64 {
	var t unix.Timespec
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0
	}
	return t.Nano()
}
