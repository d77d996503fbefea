package web

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pairs is a listener whose connections are made by dial: pairs of connected Unix sockets, so that
// no ports are used up.
type pairs chan net.Conn

func (p pairs) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pairs) Close() error   { return nil } // whoever made it closes the channel
func (p pairs) Addr() net.Addr { return &net.UnixAddr{} }

func (p pairs) dial(t testing.TB) *net.UnixConn {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	p <- ends[1]
	return ends[0].(*net.UnixConn)
}

// FuzzRequest sends any bytes to the server. It must answer each request that it takes for one by
// path and method as Mux says, the rest with an error, and close; nothing is redirected and nothing
// of the request comes back.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: a:9100\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
		"GET /metrics?name[]=up HTTP/1.0\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /nope HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"GET /%2e%2e/metrics HTTP/1.1\r\nHost: a\r\n\r\n", "GET //metrics/../ HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://b/metrics HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n c\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\r\n", "",
	} {
		f.Add([]byte(request))
	}
	type served struct {
		method, path string
	}
	var mu sync.Mutex
	var seen []served
	const metrics = "the metrics\n"
	mux := Mux([]Route{{"/metrics", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, metrics) })}},
		func() Page { return testPage })
	srv := Server("", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, served{r.Method, r.URL.Path})
		mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	// A busy machine must not look like a slow client.
	srv.ReadHeaderTimeout, srv.ReadTimeout = time.Minute, time.Minute
	l := make(pairs)
	go func() { _ = srv.Serve(l) }() // ends with net.ErrClosed
	f.Cleanup(func() {
		close(l) // first: Close waits until nobody accepts
		_ = srv.Close()
	})
	f.Fuzz(func(t *testing.T, request []byte) {
		seen = nil
		c := l.dial(t)
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = c.Write(request) // fails if the server has heard enough
			_ = c.CloseWrite()
		}()
		all, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("%q: reading the answer: %v", request, err)
		}
		mu.Lock()
		defer mu.Unlock()
		rest := bufio.NewReader(bytes.NewReader(all))
		for _, s := range seen {
			status, body := answer(t, rest, s.method)
			if slices.ContainsFunc(pageParts(), func(r Route) bool { return r.Path == s.path }) {
				continue // 200, 206, 304, 405, 412 or 416, as the header says: net/http's to know
			}
			want := http.StatusNotFound
			switch {
			case s.path == "/metrics", strings.HasPrefix(s.path, "/api/"), s.path == "/" && (s.method == "GET" || s.method == "HEAD"):
				want = http.StatusOK
			case s.path == "/":
				want = http.StatusMethodNotAllowed
			}
			if status != want {
				t.Fatalf("%s %q: %d, want %d", s.method, s.path, status, want)
			}
			if s.path == "/metrics" && s.method != "HEAD" && body != metrics {
				t.Fatalf("%s /metrics: %q", s.method, body)
			}
			if want == http.StatusNotFound && s.method != "HEAD" && body != "not found: there are / and /metrics\n" {
				t.Fatalf("%s %q: %q", s.method, s.path, body)
			}
		}
		if _, err := rest.Peek(1); err == io.EOF {
			return
		}
		if status, body := answer(t, rest, "GET"); status < 400 {
			t.Fatalf("%q: %d %q without a request", request, status, body)
		}
		if left, _ := io.ReadAll(rest); len(left) != 0 {
			t.Fatalf("%q: %q behind the last answer", request, left)
		}
	})
}

// answer reads an answer to a request of the given method.
func answer(t *testing.T, r *bufio.Reader, method string) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %s: %v", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("answer to %s: %v", method, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400 {
		t.Fatalf("answer to %s: %s", method, resp.Status)
	}
	for name := range resp.Header {
		switch name {
		case "Accept-Ranges", "Allow", "Cache-Control", "Connection", "Content-Length", "Content-Range", "Content-Security-Policy", "Content-Type", "Date", "Etag", "Referrer-Policy", "X-Content-Type-Options":
		default:
			t.Fatalf("answer to %s with a header %s", method, name)
		}
	}
	return resp.StatusCode, string(b)
}
