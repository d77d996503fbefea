//go:build linux

package ring

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking blocks a wait the way a read from the network blocks: the goroutine is parked with Go's poller.
//
// In a blocking system call the goroutine would keep its processor (its P) until the scheduler's monitor
// (sysmon) takes it away. The monitor then looks for more work every 20 µs for a while, and a goroutine that
// keeps its P for longer than 10 ms is interrupted by a signal and moved to another thread. A parked one
// costs none of that: while every P is idle the monitor sleeps, and the thread that has run out of work
// waits for the poller's descriptors and goes on with this goroutine.
//
// The poller takes one descriptor for a reader. Here it is an epoll set (epoll(7)) of the three that end a
// wait: the packet socket, the eventfd of Wake, and a timerfd, which wakes neither the monitor nor a second
// thread as Go's timers do. Nothing reads from the set: look asks the three themselves. No call here may be
// unix.Syscall, or built on it: those enter the scheduler, and wake its monitor.
type parking struct {
	set     *os.File
	conn    syscall.RawConn // of set
	epoll   int             // its descriptor
	timer   int             // timerfd, -1 before it is open
	listens bool            // the set has the packet socket's frames wake the goroutine
	looking func(uintptr) bool
	err     error // of the last look
}

// The places in Ring.poll.
const (
	pollSocket = iota
	pollWake
	pollTimer
)

// openParking opens what a wait needs besides the socket and the eventfd.
func (r *Ring) openParking() (err error) {
	p := &r.parking
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	err = unix.SetNonblock(p.epoll, true) // else os does not give it to the poller
	p.set = os.NewFile(uintptr(p.epoll), "epoll")
	if err == nil {
		err = p.set.SetReadDeadline(time.Time{}) // fails unless the poller has taken it
	}
	if err == nil {
		p.conn, err = p.set.SyscallConn()
	}
	r.poll = [...]unix.PollFd{
		pollSocket: {Fd: int32(r.fd), Events: unix.POLLIN | unix.POLLERR},
		pollWake:   {Fd: int32(r.wakeFd), Events: unix.POLLIN},
		pollTimer:  {Fd: int32(p.timer), Events: unix.POLLIN},
	}
	for i := range r.poll {
		if err == nil {
			err = p.control(unix.EPOLL_CTL_ADD, int(r.poll[i].Fd), unix.EPOLLIN)
		}
	}
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	p.listens, p.looking = true, r.look
	return nil
}

func (p *parking) control(op, fd int, events uint32) error {
	return unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// park blocks until one of the three descriptors is ready, and sets every Revents. Without listen it ignores
// the socket, whose Revents is then 0. A negative timeout is for ever.
func (r *Ring) park(listen bool, timeout time.Duration) error {
	p := &r.parking
	if listen != p.listens {
		events := uint32(0)
		if listen {
			events = unix.EPOLLIN
		}
		if err := p.control(unix.EPOLL_CTL_MOD, r.fd, events); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		p.listens = listen
	}
	r.poll[pollSocket].Fd = int32(r.fd)
	if !listen {
		r.poll[pollSocket].Fd = -1 // poll(2) ignores it
	}
	if timeout == 0 {
		r.look(0)
		return p.err
	}
	// Setting the timer also clears an expiry that was not read; a time of 0 stops it.
	until := unix.ItimerSpec{Value: unix.NsecToTimespec(max(0, int64(timeout)))}
	if err := unix.TimerfdSettime(p.timer, 0, &until, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	// Read resets the poller's state, then calls look, and parks while that returns false: an event between
	// the look and the parking is not missed.
	if err := p.conn.Read(p.looking); err != nil {
		return err
	}
	return p.err
}

// look reports whether one of the three is ready. RawConn.Read wants the argument.
func (r *Ring) look(uintptr) bool {
	n, err := r.pollNow()
	for errors.Is(err, unix.EINTR) {
		n, err = r.pollNow()
	}
	r.parking.err = err
	return n != 0 || err != nil
}

// close closes what openParking has opened, even when it failed half-way.
func (p *parking) close() error {
	var errs [2]error
	if p.timer >= 0 {
		errs[0] = unix.Close(p.timer)
	}
	if p.set != nil {
		errs[1] = p.set.Close()
	}
	p.timer, p.set = -1, nil
	return errors.Join(errs[:]...)
}
