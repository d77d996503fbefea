// Package kmem holds the few steps that need package unsafe: atomic access to status words that
// the kernel shares with us in a packet ring, the message vector of sendmmsg(2), and one ioctl(2)
// with a pointer in its argument. It is the only file of this module that imports unsafe.
package kmem

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Load32 reads the 32-bit word at offset off of mem, in host byte order and with acquire
// semantics. It panics when the word would leave mem or is not aligned to four bytes.
func Load32(mem []byte, off int) uint32 { return atomic.LoadUint32(word(mem, off)) }

// Store32 writes the word that Load32 reads, with release semantics.
func Store32(mem []byte, off int, v uint32) { atomic.StoreUint32(word(mem, off), v) }

// word is sound because the four bytes are inside mem (a mapping, which the garbage collector
// does not move or free, or a Go slice, which the pointer keeps alive) and aligned; a uint32 has
// no invalid bit patterns. Both are checked here.
func word(mem []byte, off int) *uint32 {
	b := mem[off : off+4]
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%4 != 0 {
		panic(fmt.Sprintf("kmem: word at offset %d is not aligned to 4 bytes", off))
	}
	return (*uint32)(p)
}

// mmsghdr is struct mmsghdr of <sys/socket.h>: Go pads it to the alignment of its pointers, as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // bytes sent, written by the kernel
}

// Does not build if the layout drifts: the header, one word, padding up to a pointer's alignment.
var _ [unsafe.Sizeof(unix.Msghdr{}) + unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(mmsghdr{})]byte{}

// Messages is a vector of messages for sendmmsg(2), each of one buffer and, behind it, as much as
// wanted of a tail that all share. It belongs to one goroutine.
type Messages struct {
	hdrs []mmsghdr
	iovs [][2]unix.Iovec
	bufs [][]byte
	tail []byte
}

// NewMessages makes a vector over bufs, none of which may be empty. The tail may be.
func NewMessages(bufs [][]byte, tail []byte) *Messages {
	m := &Messages{hdrs: make([]mmsghdr, len(bufs)), iovs: make([][2]unix.Iovec, len(bufs)), bufs: bufs, tail: tail}
	for i := range bufs {
		m.iovs[i][0].Base = &bufs[i][0]
		m.iovs[i][1].Base = unsafe.SliceData(tail)
		m.hdrs[i].hdr.Iov = &m.iovs[i][0]
	}
	return m
}

// SetLen makes message i the first n bytes of its buffer and the first tail bytes of the tail; it
// panics when either is shorter.
func (m *Messages) SetLen(i, n, tail int) {
	_, _ = m.bufs[i][:n:len(m.bufs[i])], m.tail[:tail:len(m.tail)] // the kernel must not read past them
	m.iovs[i][0].SetLen(n)
	m.iovs[i][1].SetLen(tail)
	m.hdrs[i].hdr.SetIovlen(1)
	if tail != 0 {
		m.hdrs[i].hdr.SetIovlen(2)
	}
}

// Send hands messages from … to-1 to the socket fd and returns how many the kernel took. The
// error is about the message behind the last one taken, and set only when none was taken.
//
// Sound: the kernel reads hdrs, iovs, bufs and tail, all of them kept alive by m, within their
// lengths (from and to are checked by slicing, lengths by SetLen), and writes mmsghdr.n only. A raw
// system call, because the caller owns its thread and the call does not sleep (MSG_DONTWAIT).
func (m *Messages) Send(fd, from, to int) (int, error) {
	hdrs := m.hdrs[from:to]
	if len(hdrs) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))), uintptr(len(hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// EthtoolValue asks a driver for one number with a command of linux/ethtool.h that takes a struct
// ethtool_value, by way of any socket fd.
//
// Sound: ifreq mirrors struct ifreq (a name of 16 bytes, then a union of which the pointer is
// used; the padding makes up for its largest member), the kernel writes value only, and both stay
// alive until the call has returned.
func EthtoolValue(fd int, device string, command uint32) (uint32, error) {
	value := struct{ cmd, data uint32 }{cmd: command}
	var ifreq struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24 - unsafe.Sizeof(uintptr(0))]byte
	}
	copy(ifreq.name[:unix.IFNAMSIZ-1], device)
	ifreq.data = unsafe.Pointer(&value)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq)))
	runtime.KeepAlive(&value)
	if errno != 0 {
		return 0, errno
	}
	return value.data, nil
}
