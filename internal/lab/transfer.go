package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// transferTimeout bounds each connection of a Transfer.
const transferTimeout = 30 * time.Second

// Transfer says what is sent: from From to To, which listens, and back.
type Transfer struct {
	From, To    *NS
	Connections int   // at the same time; 0: one
	Forth, Back int64 // bytes of each connection from the client, and to it; both ways at once
}

// Transferred says what a Transfer was to those who took part.
type Transferred struct {
	Server      netip.AddrPort
	Clients     []netip.AddrPort // as they see themselves
	SeenAs      []netip.AddrPort // as the server sees them, in another order
	Forth, Back int64            // bytes that have arrived, of all connections
	RetransSegs int64            // segments that both kernels have sent again (TcpRetransSegs) meanwhile
}

// RetransSegs returns TcpRetransSegs of the namespace (RFC 4022): segments that its TCP has sent again.
func (n *NS) RetransSegs(t testing.TB) int64 {
	t.Helper()
	return n.Counters(t)["TcpRetransSegs"]
}

// Run runs the transfer to its end. An error, or a byte too few or too many, ends the test.
func (x Transfer) Run(t testing.TB) Transferred {
	t.Helper()
	before := x.From.RetransSegs(t) + x.To.RetransSegs(t)
	ln, err := x.To.Listen("tcp", netip.AddrPortFrom(x.To.Addr, 0).String())
	if err != nil {
		t.Fatalf("lab: transfer: %v", err)
	}
	defer ln.Close()
	connections := max(x.Connections, 1)
	r := Transferred{Server: ln.Addr().(*net.TCPAddr).AddrPort()}
	var mu sync.Mutex // holds r and the errors
	var errs []error
	var all sync.WaitGroup
	deadline := time.Now().Add(transferTimeout)
	_ = ln.(*net.TCPListener).SetDeadline(deadline) // it is open
	end := func(who string, connect func() (net.Conn, error), send, want int64, got *int64, peers *[]netip.AddrPort, addr func(net.Conn) net.Addr) {
		all.Go(func() {
			c, err := connect()
			n := int64(0)
			if err == nil {
				n, err = exchange(c, send, deadline)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil && n != want {
				err = fmt.Errorf("%d bytes arrived, want %d", n, want)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", who, err))
				return
			}
			*got += n
			*peers = append(*peers, addr(c).(*net.TCPAddr).AddrPort())
		})
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	dial := func() (net.Conn, error) { return x.From.Dial(ctx, "tcp", r.Server.String()) }
	for range connections {
		end("server", ln.Accept, x.Back, x.Forth, &r.Forth, &r.SeenAs, net.Conn.RemoteAddr)
		end("client", dial, x.Forth, x.Back, &r.Back, &r.Clients, net.Conn.LocalAddr)
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("lab: transfer from %s to %s: %v", x.From.Name, r.Server, err)
	}
	r.RetransSegs = x.From.RetransSegs(t) + x.To.RetransSegs(t) - before
	return r
}

// exchange sends bytes, ends the sending, reads to the end meanwhile, and returns how many bytes that was.
func exchange(c net.Conn, send int64, deadline time.Time) (got int64, err error) {
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c, zeros{}, send)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	got, err = io.Copy(io.Discard, c)
	return got, errors.Join(err, <-sent)
}

// zeros is a reader of nothing but zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
