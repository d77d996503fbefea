package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeIdle is how long a pipe waits for the frames that are to overtake a held one.
	pipeIdle = 20 * time.Millisecond
	// pipeFrames is the most frames that are on their way in one direction.
	pipeFrames = 1 << 12
	// maxFrame holds any frame while offloads are off.
	maxFrame = 2048
)

// Pipe forwards frames between the ends of a line. Offloads must be off: a super-packet cannot be
// sent on.
type Pipe struct {
	Delay time.Duration // of every frame, either way
	// Behind returns how many later frames are to overtake this one from A; 0 lets it pass at
	// once. The function is called from one goroutine. nil lets all pass.
	Behind func(frame []byte) int
}

// Pipe lets p forward the frames until the test ends.
func (l *Line) Pipe(t testing.TB, p Pipe) {
	t.Helper()
	p.forward(t, l.M)
}

// forward forwards the frames between the two ends in m until the test ends. It returns how long it has held those that
// came from towardsA, and from towardsB.
func (p *Pipe) forward(t testing.TB, m *NS) (held [2]*delays) {
	t.Helper()
	fds := [2]int{-1, -1} // towards A, towards B
	err := m.Do(func() (err error) {
		for i, name := range []string{towardsA, towardsB} {
			if fds[i], err = frameSocket(name); err != nil {
				return err
			}
		}
		return nil
	})
	var stop atomic.Bool
	var running sync.WaitGroup
	t.Cleanup(func() {
		stop.Store(true)
		running.Wait()
		for _, fd := range fds {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, way := range []struct {
		from, to int
		behind   func([]byte) int
	}{{fds[0], fds[1], p.Behind}, {fds[1], fds[0], nil}} {
		times := new(delays)
		held[n] = times
		late := make(chan lateFrame, pipeFrames)
		running.Go(func() {
			defer close(late)
			h := holder{behind: way.behind, out: func(f []byte) { late <- lateFrame{f, time.Now()} }}
			if err := readFrames(way.from, &stop, h.frame, h.flush); err != nil {
				t.Error(err)
			}
		})
		running.Go(func() {
			for f := range late {
				sleepUntil(f.came.Add(p.Delay))
				if _, err := unix.Write(way.to, f.data); err != nil && !stop.Load() {
					t.Errorf("lab: pipe: send %d bytes: %v", len(f.data), err)
				}
				times.add(time.Since(f.came))
			}
		})
	}
	return held
}

type lateFrame struct {
	data []byte
	came time.Time
}

// sleepUntil sleeps as exactly as the kernel does. time.Sleep may take a millisecond longer where Go waits for its
// timers and for descriptors in one call, epoll_wait(2).
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		ts := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early
	}
}

// allProtocols is ETH_P_ALL (linux/if_ether.h) in network byte order.
var allProtocols = binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})

// frameSocket opens a packet socket for all frames that an interface of the thread's namespace
// receives, and for sending on it.
func frameSocket(name string) (fd int, err error) {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return -1, fmt.Errorf("lab: pipe: %w", err)
	}
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("lab: pipe: packet socket: %w", err)
	}
	idle := unix.NsecToTimeval(pipeIdle.Nanoseconds())
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &idle),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allProtocols, Ifindex: iface.Index}),
	)
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("lab: pipe: packet socket on %s: %w", name, err)
	}
	return fd, nil
}

// readFrames hands over each frame, in memory of its own, and calls idle whenever none comes.
func readFrames(fd int, stop *atomic.Bool, frame func([]byte), idle func()) error {
	var buf [maxFrame]byte
	for !stop.Load() {
		n, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_TRUNC)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			idle()
		case err != nil:
			return fmt.Errorf("lab: pipe: receive: %w", err)
		case n > len(buf):
			return fmt.Errorf("lab: pipe: frame of %d bytes, want at most %d: turn offloads off", n, len(buf))
		default:
			frame(append([]byte(nil), buf[:n]...))
		}
	}
	return nil
}

// holder changes the order of frames.
type holder struct {
	behind func([]byte) int
	out    func([]byte)
	held   []heldFrame
}

type heldFrame struct {
	data   []byte
	behind int // frames that still have to pass
}

func (h *holder) frame(f []byte) {
	if h.behind != nil {
		if n := h.behind(f); n > 0 {
			h.held = append(h.held, heldFrame{f, n})
			return
		}
	}
	h.out(f)
	left := h.held[:0]
	for _, held := range h.held {
		if held.behind--; held.behind > 0 {
			left = append(left, held)
		} else {
			h.out(held.data)
		}
	}
	h.held = left
}

// flush lets everything go.
func (h *holder) flush() {
	for _, held := range h.held {
		h.out(held.data)
	}
	h.held = nil
}
