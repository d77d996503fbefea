package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stallTime is how long a client may take to accept a piece of an answer while all connections are
	// in use and another one comes. Otherwise it has as long as the server gives it.
	stallTime = 500 * time.Millisecond
	// owedTime is how long a client may then owe a whole request, or the rest of one that has been answered.
	owedTime = 250 * time.Millisecond
	// sendBuffer is how many bytes of an answer the kernel takes in at most for a client that does not
	// accept them; it allows itself twice that, and no more than net.core.wmem_max, usually 208 KiB. Left to
	// itself it takes 4 MiB (tcp_wmem), which 128 clients must not have, and a client that reads 1 MB/s
	// would seem to stall for a second: a full buffer takes more when a third of it has left.
	sendBuffer = 256 << 10
	// refuseTime is how long a connection that is refused may take to send its request. A client that
	// hears of the refusal before it has asked may take the connection for broken.
	refuseTime = 100 * time.Millisecond
	// refusalTime bounds the writing of a refusal, which a new connection's empty buffer takes at once.
	refusalTime = 50 * time.Millisecond
)

// refusal is the answer to a request above the bound. The client may come again after a second: by then
// those that stall have lost their places.
var refusal = fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
	"Content-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", len(refusalText), refusalText)

const refusalText = "all connections are in use: try again in a second\n"

// Bounded is a listener that bounds the connections of one server. Make it with Bound.
//
// When all are in use and another one comes, one that is of no use makes room for it, the first of these
// that there is, and of several the one that has been so longest:
//
//   - idle between two requests, its answers accepted. It is closed as by the idle timeout.
//   - without a whole request for owedTime. It is refused: 503 with Retry-After.
//   - waiting for its client to accept a piece of an answer, or what the kernel has of it, for stallTime.
//     It is reset.
//   - waiting for the rest of a request that has been answered for owedTime. It is reset.
//   - idle, the end of its answer on its way. It is closed, and the kernel delivers the answer.
//   - without a whole request for a shorter time. It is refused.
//
// If there is none the new one is refused. All that is decided when a connection comes: there are no
// timers, and one goroutine refuses.
type Bounded struct {
	net.Listener
	most     int
	refusing chan refused
	closed   chan struct{}
	close    sync.Once

	mu    sync.Mutex
	conns map[*conn]struct{}
	count ConnFigures
}

// ConnFigures count connections since the start.
type ConnFigures struct {
	Refused uint64 // answered 503
	Stalled uint64 // reset because their clients took or sent nothing
	Idle    uint64 // closed while idle to make room
}

// Refusing is how many descriptors a Bounded of so many connections takes besides theirs: the connection
// that is being refused, the one that has just come, and those that wait to be refused.
func Refusing(connections int) int { return 2 + max(1, min(connections/8, 14)) }

// Bound returns a listener for srv, which must not be serving yet, that accepts from l and keeps at most
// so many connections.
func Bound(srv *http.Server, l net.Listener, connections int) *Bounded {
	b := &Bounded{
		Listener: l, most: connections, refusing: make(chan refused, Refusing(connections)-2),
		closed: make(chan struct{}), conns: make(map[*conn]struct{}, connections),
	}
	inContext, handler := srv.ConnContext, srv.Handler
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if inContext != nil {
			inner := c
			if bound, ok := c.(*conn); ok {
				inner = bound.Conn
			}
			ctx = inContext(ctx, inner)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.enter(answering)
			defer c.enter(owing)
		}
		handler.ServeHTTP(w, r)
	})
	changed := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if c, ok := c.(*conn); ok {
			switch state {
			case http.StateActive:
				c.enter(owing)
			case http.StateIdle:
				c.enter(idle)
			}
		}
		if changed != nil {
			changed(c, state)
		}
	}
	go b.refuse()
	return b
}

type connKey struct{}

// Figures returns what has been counted; it may be called from any goroutine.
func (b *Bounded) Figures() ConnFigures {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Accept returns the next connection that gets a place.
func (b *Bounded) Accept() (net.Conn, error) {
	for {
		inner, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := b.admit(inner); c != nil {
			return c, nil
		}
		r := refused{inner, time.Now().Add(refuseTime)}
		select {
		case b.refusing <- r:
		default: // as many as may be: this one is not waited for
			r.answer()
		}
	}
}

// admit gives a new connection a place, or returns nil.
func (b *Bounded) admit(inner net.Conn) *conn {
	b.mu.Lock()
	for len(b.conns) >= b.most {
		victim, why := b.useless()
		if victim == nil {
			b.count.Refused++
			b.mu.Unlock()
			return nil
		}
		delete(b.conns, victim)
		switch why {
		case restsIdle, delivers:
			b.count.Idle++
		case silent, begins:
			b.count.Refused++
		default:
			b.count.Stalled++
		}
		b.mu.Unlock()
		victim.evict(why)
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if buffered, ok := inner.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = buffered.SetWriteBuffer(sendBuffer) // without it the kernel chooses
	}
	c := &conn{Conn: inner, bounded: b}
	c.since.Store(sinceStart())
	b.conns[c] = struct{}{}
	return c
}

// useless takes the place of the connection that makes room, and says of what use it was; nil if there is
// none. b.mu is held.
func (b *Bounded) useless() (*conn, use) {
	var worst *conn
	var state connState
	var uses use
	var since int64
	now := sinceStart()
	for c := range b.conns {
		s, u, at := c.look(now)
		if u != inUse && (worst == nil || u < uses || u == uses && at < since) {
			worst, state, uses, since = c, s, u, at
		}
	}
	if worst == nil || !worst.take(state) {
		return nil, inUse
	}
	return worst, uses
}

// use says how soon a connection makes room for another one.
type use int

const (
	restsIdle use = iota
	silent        // sends no whole request
	stalls        // does not accept its answer
	owes          // does not send the rest of a request that has been answered
	delivers      // idle, and its answer is on its way
	begins        // has just come
	inUse         // makes no room
)

// look is what a connection is doing and of what use it is, since when.
func (c *conn) look(now int64) (connState, use, int64) {
	state, since, writing := connState(c.state.Load()), c.since.Load(), c.writing.Load()
	long := now-since >= int64(owedTime)
	switch {
	case state == idle && c.unsent() == 0:
		return state, restsIdle, since
	case state == idle && now-since >= int64(stallTime):
		return state, stalls, since
	case state == idle:
		return state, delivers, since
	case state == fresh && long:
		return state, silent, since
	case state == fresh:
		return state, begins, since
	case writing != 0 && now-writing >= int64(stallTime):
		return state, stalls, writing
	case writing == 0 && state == owing && long:
		return state, owes, since
	}
	return state, inUse, since
}

// connState is what a connection is doing.
type connState int32

const (
	fresh     connState = iota // has not sent a whole request yet
	answering                  // is in the handler
	owing                      // before and after that: the rest of the answer or of the request is on its way
	idle                       // between two requests
	gone                       // has lost its place
)

// conn is a connection that has a place.
type conn struct {
	net.Conn
	bounded *Bounded
	state   atomic.Int32
	since   atomic.Int64 // when the state began, as sinceStart
	writing atomic.Int64 // since when a write has been waiting for the client, as sinceStart; 0: there is none
}

// enter notes a new state, unless the connection has lost its place.
func (c *conn) enter(state connState) {
	c.since.Store(sinceStart())
	for {
		old := c.state.Load()
		if connState(old) == gone || c.state.CompareAndSwap(old, int32(state)) {
			return
		}
	}
}

// take takes its place away from a connection, unless it has left the state in which it was seen.
func (c *conn) take(state connState) bool {
	if state == answering || state == owing { // it stalls, wherever it is
		c.state.Store(int32(gone))
		return true
	}
	return c.state.CompareAndSwap(int32(state), int32(gone))
}

// evict closes a connection that take has taken the place of.
func (c *conn) evict(why use) {
	switch why {
	case silent, begins: // nothing is being written: an answer begins with a request
		_ = c.SetWriteDeadline(time.Now().Add(refusalTime))
		_, _ = c.Conn.Write(refusal)
	case stalls, owes:
		c.discard()
	}
	_ = c.Conn.Close()
}

// unsent is how many bytes of answers the client has not accepted yet (SIOCOUTQ, tcp(7)), 0 if the kernel
// does not tell.
func (c *conn) unsent() int {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil {
		return 0
	}
	return n
}

// discard has the kernel throw away what the client has not accepted when the connection is closed, which
// would otherwise hold memory for minutes (SO_LINGER, socket(7)).
func (c *conn) discard() {
	if l, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
}

func (c *conn) Write(p []byte) (int, error) {
	if connState(c.state.Load()) == gone {
		return 0, net.ErrClosed
	}
	c.writing.Store(sinceStart())
	n, err := c.Conn.Write(p)
	c.writing.Store(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.discard()
	}
	return n, err
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.bounded.mu.Lock()
	defer c.bounded.mu.Unlock()
	delete(c.bounded.conns, c)
	return err
}

// refused is a connection above the bound.
type refused struct {
	net.Conn
	until time.Time
}

// refuse waits for the requests of connections that are refused, one after the other, and answers them.
func (b *Bounded) refuse() {
	var request [4096]byte
	for {
		select {
		case r := <-b.refusing:
			_ = r.SetReadDeadline(time.Now().Add(max(time.Until(r.until), time.Millisecond)))
			_, _ = r.Read(request[:]) // whatever it is
			r.answer()
		case <-b.closed:
			for {
				select {
				case r := <-b.refusing:
					_ = r.Close()
				default:
					return
				}
			}
		}
	}
}

// answer sends the refusal and closes the connection, without waiting for anything.
func (r refused) answer() {
	_ = r.SetWriteDeadline(time.Now().Add(refusalTime))
	_, _ = r.Write(refusal)
	_ = r.Close()
}

// Close closes the listener, not the connections that have a place.
func (b *Bounded) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// sinceStart is a time of the monotonic clock, ns; above 0.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()
