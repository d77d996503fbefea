package netif

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	announcePause = 20 * time.Millisecond  // from one announcement to the next, at least
	listPause     = 100 * time.Millisecond // from one list asked for to the next, at least
	retryPause    = time.Second            // the same, after one that was interrupted or refused
	settlePeriod  = time.Second            // from an interface that comes or goes to a list, at most
	listPatience  = 5 * time.Second        // what a list may take; then it is asked for again
	refreshPeriod = 10 * time.Second       // a list is asked for if nothing else asks for one

	// roomWanted is for messages of changes, which are about 1.4 KB and count for twice as much. The kernel gives
	// what net.core.rmem_max allows.
	roomWanted = 1 << 20
	// longestDatagram bounds the growth of the buffer. An interface with 256 virtual functions takes 64 KiB.
	longestDatagram = 1 << 20
)

// Monitor keeps the list of all interfaces of a network namespace, and calls a function with what changes.
//
// It reads the kernel's message of each change, which holds all of the interface. To ask for the list after each
// change, as callers of Watch may, would cost as much as all interfaces do, hold up those who change them
// (rtnl_lock), and give lists with gaps while some come and go. A list is asked for
//
//   - at the start, and every ten seconds in case a message was lost;
//   - 100 ms after the list before, at the soonest, when the socket had no room for messages (ENOBUFS);
//   - a second after one that was interrupted (NLM_F_DUMP_INTR), which takes no interface out;
//   - a second after interfaces have come or gone, because there is no message when that changes the Lower of
//     others: the end of a veth pair that is made first has none yet in its message.
//
// Lists come through the same socket, in order with the messages: none undoes what a later list said.
//
// Of more than MaxInterfaces interfaces those that it hears of first are
// kept, and Beyond says so; others take the place of deleted ones when a list comes.
type Monitor struct {
	links    *links
	announce func([]Change)

	file   *os.File
	raw    syscall.RawConn
	port   uint32 // of the socket: answers bear it
	buf    []byte
	cancel context.CancelFunc
	first  chan struct{} // closed after the first list
	done   chan struct{} // closed at the end
	err    error         // of the end, then

	// Of the goroutine.
	refresh   time.Duration
	seq       uint32
	answer    reply
	listing   bool      // a list is on its way
	congested bool      // the kernel may be dropping messages without a word, see receive
	stale     bool      // a list is needed
	ready     bool      // the first list has come
	asked     time.Time // when the last list was asked for
	notBefore time.Time // the next one may be, if stale
	settle    time.Time // the next one will be; zero: no interface has come or gone since
	announced time.Time // when something was last announced
}

// NewMonitor begins to keep the interfaces of the network namespace that the calling thread is in, and returns
// when it has read the first list, to which the next one adds what is missing if it was interrupted. The end of ctx
// ends the Monitor as Close does, and the wait for the list too.
//
// announce is called from one goroutine. The first call has all interfaces of the list, as added. Later ones come at
// once after a change, but no sooner than 20 ms after the call before, with all changes since. Until
// announce returns the list stays as it is; it must not call Close. A slow one loses nothing: the list is asked for
// when there is no room for more messages.
//
// The error says why interfaces cannot be watched or listed.
func NewMonitor(ctx context.Context, announce func([]Change)) (*Monitor, error) {
	return newMonitor(ctx, announce, roomWanted, refreshPeriod)
}

// newMonitor takes the bytes of room for messages and the time between lists.
func newMonitor(ctx context.Context, announce func([]Change), room int, refresh time.Duration) (*Monitor, error) {
	m, err := openMonitor(announce, room, refresh)
	if err != nil {
		return nil, err
	}
	ctx, m.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = m.file.Close() }) // ends a wait
	go m.run(ctx)
	select {
	case <-m.first:
		return m, nil
	case <-m.done:
		return nil, m.err
	}
}

// openMonitor returns a Monitor that does not run yet.
func openMonitor(announce func([]Change), room int, refresh time.Duration) (*Monitor, error) {
	file, err := openEvents()
	if err != nil {
		return nil, err
	}
	m := &Monitor{
		links: newLinks(), announce: announce, file: file, buf: make([]byte, answerSize),
		first: make(chan struct{}), done: make(chan struct{}), refresh: refresh,
	}
	if err := m.prepare(room); err != nil {
		_ = file.Close() // nothing was sent or received on it
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	return m, nil
}

// prepare makes room in the socket and finds its port.
func (m *Monitor) prepare(room int) error {
	raw, err := m.file.SyscallConn()
	if err != nil {
		return err
	}
	m.raw = raw
	var own unix.Sockaddr
	if e := raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room) // less is made up for by lists
		own, err = unix.Getsockname(int(fd))
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	a, ok := own.(*unix.SockaddrNetlink)
	if !ok {
		return errors.New("getsockname: no netlink address")
	}
	m.port = a.Pid
	return nil
}

// ByIndex returns the interface with the index, and whether there is one, without a system call. It may be
// called from any goroutine, also from announce, and after the end.
func (m *Monitor) ByIndex(index int) (Interface, bool) { return m.links.get(index) }

// All returns all interfaces by their index, without a system call. It may be called as ByIndex may.
func (m *Monitor) All() []Interface { return m.links.all() }

// Beyond returns how many interfaces the latest list had that are not kept, because MaxInterfaces are. From
// the first one on that does not fit until the next list it is 1.
func (m *Monitor) Beyond() int { return m.links.tooMany() }

// Close ends the Monitor, and returns when the last announcement has. It may be called more than once.
func (m *Monitor) Close() {
	m.cancel()
	<-m.done
}

// Done returns a channel that is closed when the Monitor has ended: after Close, after the end of its context,
// or by an error of its socket that it cannot go on with.
func (m *Monitor) Done() <-chan struct{} { return m.done }

// Err returns that error, or that of the context, once Done is closed.
func (m *Monitor) Err() error {
	select {
	case <-m.done:
		return m.err
	default:
		return nil
	}
}

// run receives until the end.
func (m *Monitor) run(ctx context.Context) {
	defer close(m.done)
	defer m.cancel()
	for {
		err := m.work(time.Now())
		if err == nil {
			err = m.receive()
		}
		if ctx.Err() != nil {
			m.err = ctx.Err()
			return
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			m.err = fmt.Errorf("netlink socket: %w", err)
			return
		}
	}
}

// work does what is due, and sets the time at which to look again.
func (m *Monitor) work(now time.Time) error {
	if m.listing && now.Sub(m.asked) >= listPatience {
		m.endList(false)
	}
	if !m.listing && !m.congested && !now.Before(m.nextList()) {
		m.ask(now)
	}
	if m.ready && m.links.pending() && now.Sub(m.announced) >= announcePause {
		if changes := m.links.changes(); len(changes) > 0 {
			m.announce(changes)
			now = time.Now()
			m.announced = now
		}
	}
	return m.file.SetReadDeadline(m.due())
}

// due returns when there is something to do if nothing is received.
func (m *Monitor) due() time.Time {
	due := m.nextList()
	switch {
	case m.congested:
		due = time.Now().Add(m.refresh) // the next receive says more, and does not wait
	case m.listing:
		due = m.asked.Add(listPatience)
	}
	if at := m.announced.Add(announcePause); m.ready && m.links.pending() && at.Before(due) {
		due = at
	}
	return due
}

// nextList returns when the next list is to be asked for.
func (m *Monitor) nextList() time.Time {
	next := m.asked.Add(m.refresh)
	if m.stale && m.notBefore.Before(next) {
		next = m.notBefore
	}
	if !m.settle.IsZero() && m.settle.Before(next) {
		next = m.settle
	}
	return next
}

// ask asks for all interfaces.
func (m *Monitor) ask(now time.Time) {
	m.seq++
	m.asked, m.notBefore, m.settle = now, now.Add(listPause), time.Time{}
	var err error
	if e := m.raw.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), requestNames(m.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); e != nil || err != nil {
		m.stale, m.notBefore = true, now.Add(retryPause) // no memory: there is some later
		return
	}
	m.listing, m.stale, m.answer = true, false, reply{}
	m.links.beginList()
}

// endList ends the list that is on its way.
func (m *Monitor) endList(whole bool) {
	m.listing = false
	if !m.links.endList(whole) {
		m.stale, m.notBefore = true, time.Now().Add(retryPause)
	}
}

// receive waits for one datagram and reads it.
//
// When there is no room for a message the kernel says so once (ENOBUFS), and from then on drops all messages of
// changes, until the queue has been read to its end (NETLINK_S_CONGESTED: netlink_overrun, netlink_broadcast_deliver, netlink_rcv_wake in
// net/netlink/af_netlink.c; TestMonitorAsksAtTheEndOfTheQueue sees it, on Linux 6.18 at first). A list that is asked
// for before that may be out of date when it is there, and nothing would tell.
func (m *Monitor) receive() error {
	var n int
	var from unix.Sockaddr
	var err error
	if e := m.raw.Read(func(fd uintptr) bool {
		for {
			if n, from, err = unix.Recvfrom(int(fd), m.buf, unix.MSG_TRUNC); !errors.Is(err, unix.EINTR) {
				return m.congested || !errors.Is(err, unix.EAGAIN)
			}
		}
	}); e != nil {
		return e
	}
	switch {
	case errors.Is(err, unix.ENOBUFS):
		m.stale, m.congested = true, true
		return nil
	case errors.Is(err, unix.EAGAIN):
		m.congested = false
		return nil
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return nil // not the kernel
	}
	if n > len(m.buf) && n <= longestDatagram { // there is room next time
		m.buf = make([]byte, n+answerSize)
		m.miss()
		return nil
	}
	return m.read(m.buf[:min(n, len(m.buf))])
}

// miss notes that something was not read.
func (m *Monitor) miss() {
	m.stale = true
	m.answer.interrupted = true // if it was of the list, that has a gap
}

// read reads the messages of one datagram.
func (m *Monitor) read(b []byte) error {
	for len(b) > 0 {
		msg, rest, err := nextMessage(b)
		if err != nil {
			m.miss()
			return nil
		}
		b = rest
		switch {
		case msg.port != m.port:
			m.event(msg)
		case m.listing && msg.seq == m.seq: // else of a list that was given up
			if err := m.listed(msg); err != nil {
				return err
			}
		}
	}
	return nil
}

// listed reads a message of the list. The error is that of the first list.
func (m *Monitor) listed(msg message) error {
	err := m.answer.message(msg.kind, msg.flags, msg.payload, m.links.setListed)
	switch {
	case errors.Is(err, errMessage):
		m.miss()
	case err != nil && !m.ready && !errors.Is(err, unix.ENOBUFS): // that is a queue full of changes
		return fmt.Errorf("list: %w", err)
	case err != nil:
		m.endList(false)
	case m.answer.done:
		m.endList(!m.answer.interrupted)
		if !m.ready {
			m.ready = true
			close(m.first)
		}
	}
	return nil
}

// event reads a message of a change. Those of other families than AF_UNSPEC are about other things than the
// interface: of AF_BRIDGE, RTM_DELLINK means that a port has left its bridge.
func (m *Monitor) event(msg message) {
	if msg.kind != unix.RTM_NEWLINK && msg.kind != unix.RTM_DELLINK ||
		len(msg.payload) > 0 && msg.payload[0] != unix.AF_UNSPEC {
		return
	}
	const none = ^uint32(0)
	i := Interface{MTU: none}
	switch err := i.parse(msg.payload); {
	case err != nil:
		m.miss()
	case msg.kind == unix.RTM_DELLINK:
		m.links.remove(i.Index)
		m.settleSoon()
	case i.MTU != none: // wireless events (IFLA_WIRELESS) have the name alone, and tell nothing of the interface
		if m.links.set(&i) {
			m.settleSoon()
		}
	}
}

// settleSoon has a list come after interfaces that come or go.
func (m *Monitor) settleSoon() {
	if m.settle.IsZero() {
		m.settle = time.Now().Add(settlePeriod)
	}
}
