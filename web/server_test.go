package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

const piece = 64 << 10

// connect dials with a small receive buffer, so that a client that does not read is felt soon.
func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// ask sends a GET on c.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// smallBuffers keeps the kernel from taking in a whole answer at once.
func smallBuffers(srv *http.Server) {
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(32 << 10); err != nil {
			panic(err)
		}
		return ctx
	}
}

func TestEveryLimitIsSet(t *testing.T) {
	srv := Server("127.0.0.1:9100", http.NotFoundHandler())
	if srv.Addr != "127.0.0.1:9100" {
		t.Errorf("the address is %q", srv.Addr)
	}
	for what, d := range map[string]time.Duration{
		"ReadHeaderTimeout": srv.ReadHeaderTimeout, "ReadTimeout": srv.ReadTimeout,
		"WriteTimeout": srv.WriteTimeout, "IdleTimeout": srv.IdleTimeout,
	} {
		if d < time.Second || d > 5*time.Minute {
			t.Errorf("%s is %v", what, d)
		}
	}
	if srv.MaxHeaderBytes < 4<<10 || srv.MaxHeaderBytes > 64<<10 {
		t.Errorf("MaxHeaderBytes is %d", srv.MaxHeaderBytes)
	}
}

// A client that takes several times the stall limit in all, but never as long for one piece,
// gets the whole answer, and the connection serves the next request.
func TestASlowSteadyReaderGetsItAll(t *testing.T) {
	const stall = 400 * time.Millisecond
	const pieces = 24
	srv := server("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := make([]byte, piece)
		for range pieces {
			if _, err := w.Write(p); err != nil {
				t.Errorf("the writing was cut: %v", err)
				return
			}
		}
	}), stall)
	srv.ReadTimeout = stall // must not cut an answer either
	smallBuffers(srv)
	c := connect(t, serve(t, srv))
	in := bufio.NewReader(c)
	for range 2 {
		begin := time.Now()
		ask(t, c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		p := make([]byte, piece)
		for {
			n, err := io.ReadFull(resp.Body, p)
			total += n
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("after %d bytes: %v", total, err)
			}
			time.Sleep(stall / 10)
		}
		if total != pieces*piece || resp.StatusCode != 200 {
			t.Errorf("%s with %d bytes, want %d", resp.Status, total, pieces*piece)
		}
		if took := time.Since(begin); took < 2*stall {
			t.Fatalf("the answer took %v: too fast to show anything", took)
		}
	}
}

// A client that stops reading is cut off after the stall limit, not before and not much later.
func TestAStuckReaderIsCutOff(t *testing.T) {
	const stall = 200 * time.Millisecond
	cut := make(chan time.Duration, 1)
	srv := server("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := make([]byte, piece)
		for range 10_000 {
			begin := time.Now()
			if _, err := w.Write(p); err != nil {
				cut <- time.Since(begin)
				return
			}
		}
		t.Error("the kernel took it all in")
		close(cut)
	}), stall)
	smallBuffers(srv)
	ask(t, connect(t, serve(t, srv)))
	select {
	case d := <-cut:
		if d < stall/2 || d > 20*stall {
			t.Errorf("the last write was cut after %v, want about %v", d, stall)
		}
	case <-time.After(15 * time.Second):
		t.Error("the stuck client holds its handler")
	}
}

// A handler that thinks for longer than the limits is heard all the same, and its request's
// context does not end.
func TestALongWaitBeforeTheAnswer(t *testing.T) {
	const stall = 50 * time.Millisecond
	for _, body := range []string{"late", ""} {
		srv := server("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(5 * stall):
			case <-r.Context().Done():
				t.Errorf("the context ended: %v", r.Context().Err())
			}
			w.WriteHeader(503)
			if body != "" {
				_, _ = io.WriteString(w, body)
			}
		}), stall)
		srv.ReadTimeout, srv.ReadHeaderTimeout = stall, stall
		c := connect(t, serve(t, srv))
		ask(t, c)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("body %q: %v", body, err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body || resp.StatusCode != 503 {
			t.Errorf("%s %q %v, want 503 and %q", resp.Status, got, err, body)
		}
		resp.Body.Close()
	}
}

// A request that never ends is cut off by the limit on its header.
func TestAnEndlessHeaderIsCutOff(t *testing.T) {
	srv := Server("", http.NotFoundHandler())
	srv.ReadHeaderTimeout = 100 * time.Millisecond
	c := connect(t, serve(t, srv))
	begin := time.Now()
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the connection was held for %v", took)
	}
}
