package web

import (
	"context"
	"crypto/tls"
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
	// in use and another one comes. Otherwise it has pieceTimeout.
	stallTime = 500 * time.Millisecond
	// requestTime is how long a client may then take to send a whole request, or the rest of one that has
	// been answered.
	requestTime = 250 * time.Millisecond
	// sendBuffer bounds the bytes of an answer that the kernel holds for a client that does not accept them
	// (SO_SNDBUF, socket(7)). The kernel doubles it, up to net.core.wmem_max, usually 208 KiB. By itself it
	// would hold 4 MiB (tcp_wmem): too much for each of 128 clients; and a client that reads 1 MB/s would
	// seem to stall for a second, because a full buffer takes more only when a third of it has left.
	sendBuffer = 256 << 10
	// refuseTime is how long a connection that is refused may take to send its request. A client that gets
	// the refusal before it has asked may take the connection for broken.
	refuseTime = 100 * time.Millisecond
	// refusalTime bounds the write of a refusal, which the empty buffer of a new connection takes at once.
	refusalTime = 50 * time.Millisecond
)

// refusal is the answer to a request above the bound. The client may come again after a second: by then
// those that stall have lost their connections.
var refusal = fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
	"Content-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", len(refusalText), refusalText)

// tlsRefusal is what a client that speaks TLS gets instead, before its handshake: a fatal alert, internal_error (RFC 8446
// section 6). There is none for a busy server.
var tlsRefusal = []byte{21, 3, 3, 0, 2, 2, 80}

const refusalText = "all connections are in use: try again in a second\n"

// Bounded is a listener that bounds the connections of one server. Make it with Bound.
//
// When all connections are in use and another one comes, one of them is closed to make room. It is of the
// first kind below that there is, and of several the one that has been so longest:
//
//   - idle between two requests, its answers accepted: closed, as by the idle timeout
//   - no whole request for requestTime: refused, 503 with Retry-After; by TLS closed
//   - its client has not accepted a piece of an answer, or what the kernel has of it, for stallTime: reset
//   - the rest of a request that has been answered is missing for requestTime: reset
//   - idle, the end of its answer on its way: closed, and the kernel delivers the answer
//   - no whole request for a shorter time: refused
//
// If there is none, the new connection is refused. All of this is decided when a connection comes: there
// are no timers, and one goroutine refuses.
type Bounded struct {
	net.Listener
	most     int  // connections at a time
	tls      bool // clients speak TLS
	refusing chan refused
	closed   chan struct{}
	close    sync.Once

	mu    sync.Mutex
	conns map[*conn]struct{} // those that are admitted
	count ConnFigures
}

// ConnFigures counts connections since the start.
type ConnFigures struct {
	Refused uint64 // answered 503
	Stalled uint64 // reset because their clients took or sent nothing
	Idle    uint64 // closed while idle to make room
}

// Refusing returns how many descriptors a Bounded takes besides those of its connections: one for the
// connection that is being refused, one for a connection that has just come, and some for those that wait to
// be refused.
func Refusing(connections int) int { return 2 + max(1, min(connections/8, 14)) }

// Bound returns a listener that accepts from l and keeps at most so many connections. It is for srv alone,
// which must not be serving yet, and has its TLS configuration and its handler already.
func Bound(srv *http.Server, l net.Listener, connections int) *Bounded {
	b := &Bounded{
		Listener: l, most: connections, tls: srv.TLSConfig != nil, refusing: make(chan refused, Refusing(connections)-2),
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
		return context.WithValue(ctx, connKey{}, connOf(c))
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && c != nil {
			c.enter()
			defer c.leave()
			if r.ProtoMajor == 2 {
				w = &streamWriter{w, c}
			}
		}
		handler.ServeHTTP(w, r)
	})
	changed := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if c := connOf(c); c != nil {
			switch state {
			case http.StateActive:
				if connState(c.state.Load()) == idle {
					c.came.Store(sinceStart())
				}
				c.setState(transferring)
			case http.StateIdle:
				c.setState(idle)
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

// Came returns when a request came to the server of a Bounded: the first one of a connection when that was accepted, a
// later one when its header had been read. For one by HTTP/2, and for those of other servers, it is now.
func Came(r *http.Request) time.Time {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok || c == nil || r.ProtoMajor == 2 {
		return time.Now()
	}
	return start.Add(time.Duration(c.came.Load()))
}

// connOf returns the connection below c, which may be one of TLS; nil if it is none of a Bounded.
func connOf(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	bound, _ := c.(*conn)
	return bound
}

// Figures returns the counts so far. It may be called from any goroutine.
func (b *Bounded) Figures() ConnFigures {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// Accept returns the next connection that is admitted.
func (b *Bounded) Accept() (net.Conn, error) {
	for {
		inner, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := b.admit(inner); c != nil {
			return c, nil
		}
		r := refused{inner, time.Now().Add(refuseTime), b.tls}
		select {
		case b.refusing <- r:
		default: // enough wait already: refuse this one without its request
			r.answer()
		}
	}
}

// admit takes in a new connection, or returns nil.
func (b *Bounded) admit(inner net.Conn) *conn {
	b.mu.Lock()
	for len(b.conns) >= b.most {
		victim, why := b.victim()
		if victim == nil {
			b.count.Refused++
			b.mu.Unlock()
			return nil
		}
		delete(b.conns, victim)
		switch why {
		case idleDone, idleSending:
			b.count.Idle++
		case silent, silentNew:
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
	c.came.Store(c.since.Load())
	b.conns[c] = struct{}{}
	return c
}

// victim marks the connection that is to make room as evicted, and returns it with the reason; nil if
// there is none. b.mu is held.
func (b *Bounded) victim() (*conn, reason) {
	var chosen *conn
	var state connState
	var why reason
	var since int64
	now := sinceStart()
	for c := range b.conns {
		s, w, at := c.reasonToClose(now)
		if w != noReason && (chosen == nil || w < why || w == why && at < since) {
			chosen, state, why, since = c, s, w, at
		}
	}
	if chosen == nil || !chosen.mark(state) {
		return nil, noReason
	}
	return chosen, why
}

// reason ranks why a connection may be closed to make room for another one. The least is the best.
type reason int

const (
	idleDone    reason = iota // idle, its answers accepted
	silent                    // sends no whole request
	stalled                   // does not accept its answer
	unfinished                // does not send the rest of a request that has been answered
	idleSending               // idle, the end of its answer on its way
	silentNew                 // sends no whole request, and has just come
	noReason                  // is in use
)

// reasonToClose returns the state of a connection, the reason to close it in that, and since when that has
// held.
func (c *conn) reasonToClose(now int64) (connState, reason, int64) {
	state, since, writing := connState(c.state.Load()), c.since.Load(), c.writing.Load()
	long := now-since >= int64(requestTime)
	switch {
	case state == idle && c.unsent() == 0:
		return state, idleDone, since
	case state == idle && now-since >= int64(stallTime):
		return state, stalled, since
	case state == idle:
		return state, idleSending, since
	case state == fresh && long:
		return state, silent, since
	case state == fresh:
		return state, silentNew, since
	case writing != 0 && now-writing >= int64(stallTime):
		return state, stalled, writing
	case state == answering && c.streamsStall(now):
		return state, stalled, c.progress.Load()
	case writing == 0 && state == transferring && long:
		return state, unfinished, since
	}
	return state, noReason, since
}

// connState is the state of a connection.
type connState int32

const (
	fresh        connState = iota // has not sent a whole request yet
	answering                     // is in the handler
	transferring                  // before and after that: the rest of the request or of the answer is on its way
	idle                          // between two requests
	evicted                       // is being closed to make room
)

// conn is a connection that is admitted.
type conn struct {
	net.Conn
	bounded *Bounded
	state   atomic.Int32
	since   atomic.Int64 // when the state began, as sinceStart
	came    atomic.Int64 // when the request came, as sinceStart: see Came
	writing atomic.Int64 // when the write that waits for the client began, as sinceStart; 0: there is none

	handlers atomic.Int32 // requests in the handler; several with HTTP/2
	streams
}

// setState notes a new state, unless the connection is evicted.
func (c *conn) setState(state connState) {
	c.since.Store(sinceStart())
	for {
		old := c.state.Load()
		if connState(old) == evicted || c.state.CompareAndSwap(old, int32(state)) {
			return
		}
	}
}

// enter notes that a request has come to the handler.
func (c *conn) enter() {
	c.handlers.Add(1)
	c.setState(answering)
}

// leave notes that the handler has returned. The connection is in use as long as it works on others.
func (c *conn) leave() {
	if c.handlers.Add(-1) == 0 && connState(c.state.Load()) == answering {
		c.since.Store(sinceStart())
		c.state.CompareAndSwap(int32(answering), int32(transferring))
	}
}

// mark marks a connection as evicted, and reports whether it did: not if the connection has left the state
// in which it was seen.
func (c *conn) mark(state connState) bool {
	if state == answering || state == transferring { // its client stalls in either
		c.state.Store(int32(evicted))
		return true
	}
	return c.state.CompareAndSwap(int32(state), int32(evicted))
}

// evict closes a connection that is marked.
func (c *conn) evict(why reason) {
	switch why {
	case silent, silentNew: // nothing is being written: an answer begins with a request
		if c.bounded.tls {
			break // it may be past the handshake, where nothing plain can be said
		}
		_ = c.SetWriteDeadline(time.Now().Add(refusalTime))
		_, _ = c.Conn.Write(refusal)
	case stalled, unfinished:
		c.discard()
	}
	_ = c.Conn.Close()
}

// unsent returns how many bytes of answers the client has not acknowledged yet (SIOCOUTQ, tcp(7)); 0 if
// the kernel does not say.
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

// discard has the kernel drop what the client has not accepted when the connection is closed (SO_LINGER,
// socket(7)). Otherwise it would hold memory for minutes.
func (c *conn) discard() {
	if l, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
}

func (c *conn) Write(p []byte) (int, error) {
	if connState(c.state.Load()) == evicted {
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

// Close closes the connection, which no longer counts.
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
	tls   bool
}

// refuse answers connections that are refused, one after the other, each once its request has come.
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

// answer sends the refusal and closes the connection, without waiting for the client.
func (r refused) answer() {
	text := refusal
	if r.tls {
		text = tlsRefusal
	}
	_ = r.SetWriteDeadline(time.Now().Add(refusalTime))
	_, _ = r.Write(text)
	_ = r.Close()
}

// Close closes the listener, but none of the connections that are admitted.
func (b *Bounded) Close() error {
	b.close.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// sinceStart returns a time of the monotonic clock, ns; above 0.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()
