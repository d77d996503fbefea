package netif

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// answerSize is the most bytes that the kernel puts into one datagram of a long answer
// (netlink_dump in net/netlink/af_netlink.c).
const answerSize = 32 << 10

// ErrNotExist is the error for an interface that does not exist.
var ErrNotExist = errors.New("no such interface")

// Conn asks rtnetlink(7) for interfaces, one request after another. Its zero value is ready: it opens
// a socket at the first request, in the network namespace that the calling thread is in, and a new one
// at the next request after an error.
type Conn struct {
	// Timeout bounds the wait for each datagram of an answer; 0: none. The kernel answers within the
	// request, unless somebody else holds the lock of all interfaces (rtnl_lock).
	Timeout time.Duration

	fd  int // 0: not open; the Go runtime has taken 0 to 2
	seq uint32
	buf []byte
}

// ByIndex returns the interface with an index above 0. The error is ErrNotExist if there is none.
func (c *Conn) ByIndex(index int) (Interface, error) {
	var found Interface
	_, err := c.ask(int32(index), func(i *Interface) { found = *i })
	if err == nil && found.Index == 0 {
		err = ErrNotExist
	}
	return found, err
}

// All calls each for every interface. whole is false if interfaces may be missing or may have come
// twice, because some came or went meanwhile.
func (c *Conn) All(each func(*Interface)) (whole bool, err error) { return c.ask(0, each) }

// Close gives the socket back. The Conn may be used again, and then opens another.
func (c *Conn) Close() {
	if c.fd != 0 {
		_ = unix.Close(c.fd) // nothing depends on it any more
		c.fd = 0
	}
}

// ask calls each for the interface with the given index, or for all of them if it is 0. After an error of
// the conversation itself the next request has a new socket, on which no late answer can be.
func (c *Conn) ask(index int32, each func(*Interface)) (whole bool, err error) {
	if c.fd == 0 {
		if err := c.open(); err != nil {
			return false, err
		}
	}
	whole, err = c.roundTrip(index, each)
	if errors.Is(err, unix.ENODEV) {
		return true, ErrNotExist
	}
	if err != nil {
		c.Close()
		return false, fmt.Errorf("rtnetlink: %w", err)
	}
	return whole, nil
}

func (c *Conn) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open an rtnetlink socket: %w: allow AF_NETLINK (RestrictAddressFamilies= in a systemd unit)", err)
	}
	timeout := unix.NsecToTimeval(int64(c.Timeout))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		_ = unix.Close(fd) // nothing was sent or received on it
		return fmt.Errorf("rtnetlink: set SO_RCVTIMEO: %w", err)
	}
	c.fd = fd
	if c.buf == nil {
		c.buf = make([]byte, answerSize)
	}
	return nil
}

// roundTrip sends one request and reads the whole answer.
func (c *Conn) roundTrip(index int32, each func(*Interface)) (whole bool, err error) {
	c.seq++
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(c.fd, request(c.seq, index), 0, kernel); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	var r reply
	for !r.done {
		n, from, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false, fmt.Errorf("no answer within %v", c.Timeout)
		case err != nil:
			return false, fmt.Errorf("receive: %w", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not the kernel
		}
		if n > len(c.buf) { // an interface with very many attributes: there is room next time
			size := len(c.buf)
			c.buf = make([]byte, n+answerSize)
			return false, fmt.Errorf("an answer of %d bytes is cut off at %d", n, size)
		}
		if err := r.parse(c.buf[:n], c.seq, each); err != nil {
			return false, err
		}
	}
	return !r.interrupted, nil
}
