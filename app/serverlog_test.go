package app

import (
	"bytes"
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
