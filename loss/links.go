package loss

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// answerSize is how many bytes the kernel puts into one datagram of a long answer at most
	// (netlink_dump in net/netlink/af_netlink.c).
	answerSize = 32 << 10
	// answerTime bounds the wait for an answer. The kernel answers within the request, unless
	// somebody else holds the lock of all interfaces.
	answerTime = 2 * time.Second
)

// links asks rtnetlink(7) for interfaces. sysfs would not do: it shows the network namespace that
// it was mounted in. The socket belongs to the namespace that the first request was made in and
// needs no right.
type links struct {
	fd  int // 0: not open
	seq uint32
	buf []byte
}

// read calls each for the interface with the given index, if there is one, or for all of them if it
// is 0. whole is false if interfaces may be missing. After an error the next read starts anew.
func (l *links) read(index int32, each func(*link)) (whole bool, err error) {
	if l.fd == 0 {
		if err := l.open(); err != nil {
			return false, err
		}
	}
	whole, err = l.ask(index, each)
	if errors.Is(err, unix.ENODEV) {
		return true, nil
	}
	if err != nil {
		l.close()
		return false, fmt.Errorf("rtnetlink: %w", err)
	}
	return whole, nil
}

func (l *links) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open an rtnetlink socket: %w: allow AF_NETLINK (RestrictAddressFamilies= in a systemd unit)", err)
	}
	timeout := unix.NsecToTimeval(int64(answerTime))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return fmt.Errorf("rtnetlink: set SO_RCVTIMEO: %w", err)
	}
	l.fd = fd
	if l.buf == nil {
		l.buf = make([]byte, answerSize)
	}
	return nil
}

func (l *links) close() {
	if l.fd != 0 {
		unix.Close(l.fd) // nothing depends on it any more
		l.fd = 0
	}
}

// ask sends one request and reads the whole answer.
func (l *links) ask(index int32, each func(*link)) (whole bool, err error) {
	l.seq++
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(l.fd, request(l.seq, index), 0, kernel); err != nil {
		return false, fmt.Errorf("send: %w", err)
	}
	var r reply
	for !r.done {
		n, from, err := unix.Recvfrom(l.fd, l.buf, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false, fmt.Errorf("no answer within %v", answerTime)
		case err != nil:
			return false, fmt.Errorf("receive: %w", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
			continue // not the kernel
		}
		if n > len(l.buf) { // an interface with very many attributes: there is room next time
			size := len(l.buf)
			l.buf = make([]byte, n+answerSize)
			return false, fmt.Errorf("an answer of %d bytes is cut off at %d", n, size)
		}
		if err := r.parse(l.buf[:n], l.seq, each); err != nil {
			return false, err
		}
	}
	return !r.interrupted, nil
}
