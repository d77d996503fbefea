package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// httpTimeout bounds every request of the tests.
const httpTimeout = 15 * time.Second

// countedConn counts the payload bytes that the server reads from and writes to a connection,
// HTTP headers included: the oracle for tcp_bytes_transferred_total.
type countedConn struct {
	*net.TCPConn
	read, written atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// ReadFrom hides TCPConn's: all bytes go through Write.
func (c *countedConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// server is an HTTP server in a namespace that counts.
type server struct {
	addr  string
	mu    sync.Mutex
	conns []*countedConn
	net.Listener
}

// Accept counts on every connection.
func (s *server) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	counted := &countedConn{TCPConn: c.(*net.TCPConn)}
	s.mu.Lock()
	s.conns = append(s.conns, counted)
	s.mu.Unlock()
	return counted, nil
}

// serve starts a server. GET /N answers N bytes; POST takes what it is given.
func serve(t *testing.T, ns *lab.NS, addr netip.Addr) *server {
	t.Helper()
	ln, err := ns.Listen("tcp4", netip.AddrPortFrom(addr, 8080).String())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: ln.Addr().String(), Listener: ln}
	hs := &http.Server{ReadTimeout: httpTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if n, err := strconv.Atoi(r.URL.Path[1:]); r.Method == "GET" && err == nil {
			w.Header().Set("Content-Length", r.URL.Path[1:])
			io.CopyN(w, zeros{}, int64(n))
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		hs.Serve(s)
	}()
	t.Cleanup(func() {
		hs.Close()
		<-done
	})
	return s
}

// with returns the server's end of the connection that c has open, and the flow of the data that
// the server sends on it.
func (s *server) with(t *testing.T, c *client) (*countedConn, lab.Flow) {
	t.Helper()
	f := lab.Flow{Src: addrPort(c.current().RemoteAddr()), Dst: addrPort(c.current().LocalAddr())}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		if addrPort(conn.RemoteAddr()) == f.Dst {
			return conn, f
		}
	}
	t.Fatalf("none of the server's %d connections is %v", len(s.conns), f)
	return nil, f
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// client is an HTTP client in a namespace that keeps its one connection open.
type client struct {
	*http.Client
	mu   sync.Mutex
	conn *net.TCPConn
}

func newClient(t *testing.T, ns *lab.NS) *client {
	c := &client{Client: ns.HTTPClient(httpTimeout)}
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := ns.Dial(ctx, network, addr)
		if err == nil {
			c.mu.Lock()
			c.conn = conn.(*net.TCPConn)
			c.mu.Unlock()
		}
		return conn, err
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// current returns the connection that was opened last.
func (c *client) current() *net.TCPConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// exchange uploads up bytes in one request and downloads down bytes in another.
func (c *client) exchange(s *server, up, down int) error {
	resp, err := c.Post("http://"+s.addr+"/", "application/octet-stream", bytes.NewReader(make([]byte, up)))
	if err != nil {
		return err
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("upload: %s", resp.Status)
	}
	resp, err = c.Get(fmt.Sprintf("http://%s/%d", s.addr, down))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != int64(down) || err != nil {
		return fmt.Errorf("download: %d bytes, %v; want %d", n, err, down)
	}
	return nil
}

// repeated returns how many payload bytes the kernel has sent again on this end of a connection
// (tcpi_bytes_retrans, linux/tcp.h): an observer beside this end sees them a second time.
func repeated(t *testing.T, c *net.TCPConn) int64 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	var infoErr error
	if err := raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); err != nil {
		t.Fatal(err)
	}
	if infoErr != nil {
		t.Fatal(infoErr)
	}
	return int64(info.Bytes_retrans)
}
