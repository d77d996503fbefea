package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// bounded runs srv with at most so many connections on a loopback port until the test ends.
func bounded(t *testing.T, srv *http.Server, connections int) (*Bounded, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := Bound(srv, l, connections)
	go func() { _ = srv.Serve(b) }() // ends with http.ErrServerClosed
	t.Cleanup(func() { _ = srv.Close() })
	return b, l.Addr().String()
}

// answered reads one answer.
func answered(t *testing.T, c net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// await polls until ok, which some other goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// The first request of a connection came with it, however long its header took; a later one came when it was read.
func TestWhenARequestCame(t *testing.T) {
	came := make(chan time.Time, 1)
	b, address := bounded(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		came <- Came(r)
	})}, 1)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await(t, "the connection", func() bool { return b.states(fresh) == 1 })
	time.Sleep(2 * time.Millisecond) // so that no clock is too coarse
	for i := range 2 {
		asked := time.Now()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answered(t, c)
		if at := <-came; at.Before(asked) != (i == 0) || at.After(time.Now()) {
			t.Errorf("request %d came %v after it was sent", i+1, at.Sub(asked))
		}
		await(t, "the end of the request", func() bool { return b.states(idle) == 1 })
	}
}

// states returns how many connections are in a state.
func (b *Bounded) states(state connState) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		if connState(c.state.Load()) == state {
			n++
		}
	}
	return n
}

// While all connections are in the handler, one more is answered 503 with Retry-After at once, also
// one that does not ask, and they all get their answers.
func TestOneTooManyIsRefused(t *testing.T) {
	const most = 3
	release := make(chan struct{})
	b, address := bounded(t, Server("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })), most)
	var busy []net.Conn
	for range most {
		c := connect(t, address)
		ask(t, c)
		busy = append(busy, c)
	}
	await(t, "requests in the handler", func() bool { return b.states(answering) == most })
	// An ordinary client understands it.
	resp, err := http.Get("http://" + address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("%s, want 503", resp.Status)
	}
	for _, asks := range []bool{true, false} {
		for range 5 {
			begin := time.Now()
			c := connect(t, address)
			if asks {
				ask(t, c)
			}
			resp := answered(t, c)
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || !resp.Close {
				t.Errorf("%s, Retry-After %q, close %v", resp.Status, resp.Header.Get("Retry-After"), resp.Close)
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("refused after %v", took)
			}
		}
	}
	if f := b.Figures(); f != (ConnFigures{Refused: 11}) {
		t.Errorf("%+v, want 11 refused", f)
	}
	close(release)
	for _, c := range busy {
		if resp := answered(t, c); resp.StatusCode != 200 {
			t.Errorf("a request that was in the handler: %s", resp.Status)
		}
	}
}

// The connection that has been idle longest goes first, and nobody is refused.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 3
	b, address := bounded(t, Server("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), most)
	var conns []net.Conn
	for i := range most + 2 {
		c := connect(t, address)
		ask(t, c)
		if resp := answered(t, c); resp.StatusCode != 200 {
			t.Errorf("connection %d: %s", i, resp.Status)
		}
		await(t, "an idle connection", func() bool { return b.states(idle) == min(i+1, most) })
		conns = append(conns, c)
	}
	for i, c := range conns {
		if i >= 2 {
			ask(t, c)
			answered(t, c)
		} else if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("idle connection %d got %d bytes, %v; want its end", i, n, err)
		}
	}
	if f := b.Figures(); f != (ConnFigures{Idle: 2}) {
		t.Errorf("%+v, want 2 idle ones closed", f)
	}
}

// Clients that say nothing, or do not end the header, make room at once, and get an answer that says why.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	for _, beginning := range []string{"", "GET / HTTP/1.1\r\nHost: "} {
		b, address := bounded(t, Server("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), 3)
		var silent []net.Conn
		for range 20 {
			c := connect(t, address)
			if _, err := io.WriteString(c, beginning); err != nil {
				t.Fatal(err)
			}
			silent = append(silent, c)
		}
		c := connect(t, address)
		ask(t, c)
		if resp := answered(t, c); resp.StatusCode != 200 {
			t.Errorf("beside silent ones: %s", resp.Status)
		}
		if resp := answered(t, silent[0]); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
			t.Errorf("the oldest silent one: %s", resp.Status)
		}
		if f := b.Figures(); f.Refused != 18 || f.Stalled != 0 {
			t.Errorf("%+v, want 18 refused", f)
		}
	}
}

// Clients that do not accept their answer, or owe the body of their request, keep their connections while
// nobody needs them, and lose them within a second once somebody does.
func TestStalledConnectionsMakeRoom(t *testing.T) {
	for name, request := range map[string]string{
		"do not read":                    "GET /long HTTP/1.1\r\nHost: a\r\n\r\n",
		"leave the answer to the kernel": "GET /short HTTP/1.1\r\nHost: a\r\n\r\n",
		"owe a body":                     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			const most = 4
			srv := Server("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p := make([]byte, piece)
				switch r.URL.Path {
				case "/short":
					_, _ = w.Write(append(p, p...)) // more than the client's buffer, less than the server's
					return
				case "/", "/metrics":
					return
				}
				for range 1000 {
					if _, err := w.Write(p); err != nil {
						return
					}
				}
				t.Error("the kernel took it all in")
			}))
			b, address := bounded(t, srv, most)
			for range most {
				if _, err := io.WriteString(connect(t, address), request); err != nil {
					t.Fatal(err)
				}
			}
			await(t, "stalled connections", func() bool { return b.states(fresh) == 0 })
			time.Sleep(2 * stallTime)
			if n := b.states(answering) + b.states(transferring) + b.states(idle); n != most {
				t.Errorf("%d stalled connections are left, want %d: nobody needs them", n, most)
			}
			begin := time.Now()
			for {
				c := connect(t, address)
				ask(t, c)
				if resp := answered(t, c); resp.StatusCode == 200 {
					break
				}
				if took := time.Since(begin); took > 5*time.Second {
					t.Fatalf("refused for %v", took)
				}
			}
			t.Logf("served after %v", time.Since(begin))
			if f := b.Figures(); f.Stalled != 1 {
				t.Errorf("%+v, want one stalled one reset", f)
			}
		})
	}
}

// However connections come and go, no place is lost, and all requests are answered 200 or 503, or
// not at all where the connection was idle or never asked.
func TestNoPlaceIsLost(t *testing.T) {
	const most = 8
	b, address := bounded(t, Server("", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a line\n", 5000))
	})), most)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			for range 40 {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Error(err)
					return
				}
				in := bufio.NewReader(c)
				for range 1 + i%3 {
					_ = c.SetDeadline(time.Now().Add(10 * time.Second))
					_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						break
					}
					if resp.StatusCode != 200 && resp.StatusCode != 503 {
						t.Errorf("%s", resp.Status)
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil {
						t.Errorf("an answer was cut: %v", err)
					}
					resp.Body.Close()
				}
				b.mu.Lock()
				if n := len(b.conns); n > most {
					t.Errorf("%d connections have a place, want at most %d", n, most)
				}
				b.mu.Unlock()
				c.Close()
			}
		})
	}
	wg.Wait()
	await(t, "no connection left", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) == 0
	})
	t.Logf("%+v", b.Figures())
}
