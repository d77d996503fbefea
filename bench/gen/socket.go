package gen

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// openSocket opens a packet socket that only sends: with protocol 0 it is hooked to no receive
// path (packet(7)), so that the kernel does not show it its own frames.
func openSocket(ifIndex int, qdisc bool) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("gen: packet socket: %w (needs CAP_NET_RAW)", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if !qdisc {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return -1, fmt.Errorf("gen: PACKET_QDISC_BYPASS: %w", err)
		}
	}
	// Frames in flight are charged to the socket until the receiving end has dealt with them.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer); err != nil {
			return -1, fmt.Errorf("gen: SO_SNDBUF %d bytes: %w", sendBuffer, err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifIndex}); err != nil {
		return -1, fmt.Errorf("gen: bind to interface %d: %w", ifIndex, err)
	}
	return fd, nil
}

const sendBuffer = 4 << 20 // bytes

// sender hands frames to the kernel. Frames are sent once each and in order, whatever the number
// of retries.
type sender interface {
	// batch returns the buffers of the next frames, each with an Ethernet header, zero behind it
	// but for what put has written there, and valid until send.
	batch() ([][]byte, error)
	// send sends the first len(lens) frames of the last batch. It returns how many were sent, which
	// is all of them unless there is an error.
	send(lens []length) (int, error)
	// retries returns how often the kernel had no room.
	retries() uint64
	close() error
}

// busy reports whether a send failed for want of room and may be repeated.
func busy(err error) bool {
	return err == unix.ENOBUFS || err == unix.EAGAIN || err == unix.EINTR
}

const (
	shortPause = time.Microsecond      // about 50 µs, because of the default timer slack
	longPause  = 10 * time.Millisecond // bounds how long the end of a run goes unnoticed
)

// pause sleeps, during which time passes or another CPU makes room.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil) // a signal may cut it short: then we look again sooner
}
