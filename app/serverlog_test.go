package app

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/web"
)

// failsOnce is a listener whose first Accept fails as without a free descriptor.
type failsOnce struct {
	net.Listener
	failed bool
}

type temporary struct{ error }

func (temporary) Timeout() bool   { return false }
func (temporary) Temporary() bool { return true }

func (l *failsOnce) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, temporary{errors.New("too many open files")}
	}
	return l.Listener.Accept()
}

// TestServerLog has a server fail to accept and a handler panic: warnings. A query with a semicolon is
// its client's fault: a debug line.
func TestServerLog(t *testing.T) {
	var said bytes.Buffer
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("a fault")
		}
	}))
	srv.Config = web.Server("", srv.Config.Handler)
	srv.Config.ErrorLog = serverLog(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	srv.Listener = &failsOnce{Listener: srv.Listener}
	srv.Start()
	client := http.Client{Timeout: 5 * time.Second}
	for _, path := range []string{"/?a;b", "/panic"} {
		if resp, err := client.Get(srv.URL + path); err == nil { // of the panic: the connection ends
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	srv.Close()
	lines := said.String()
	for _, want := range []string{"level=WARN msg=\"http: Accept error: too many open files", "level=WARN msg=\"http: panic serving"} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log lacks %s:\n%s", want, lines)
		}
	}
	srv.Config.ErrorLog.Print("http: URL query contains semicolon, which is no longer a supported separator")
	if !strings.Contains(said.String(), "level=DEBUG msg=\"http: URL query") {
		t.Errorf("the log lacks a debug line:\n%s", said.String())
	}
}

// A client of HTTP/2 that sends something else has caused a debug line, and no warning, which it could cause at any rate.
func TestServerLogOfABadGreeting(t *testing.T) {
	var said bytes.Buffer
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = serverLog(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	config := srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", srv.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: exporter\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // it is open
	_, _ = io.Copy(io.Discard, c)                          // until the server has closed it
	_ = c.Close()
	srv.Close()
	if lines := said.String(); !strings.Contains(lines, "level=DEBUG msg=\"http2: server: error reading preface") || strings.Contains(lines, "level=WARN") {
		t.Errorf("the log is not one debug line:\n%s", lines)
	}
}
