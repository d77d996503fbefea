package e2e

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// While traffic runs, and while a scraper has sent half a request and no more.
func TestStops(t *testing.T) {
	const patience = time.Second
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			l := lab.New(t)
			s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
			stop := keepTrafficUp(t, s, c, 0)
			defer stop()
			e.Await(t, 3*time.Second, func(m lab.Metrics) error {
				_, f := s.with(t, c)
				return missing(m, f, "active", always)
			})

			half, err := l.A.Dial(context.Background(), "tcp4", lab.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer half.Close()
			if _, err := io.WriteString(half, "GET /metrics HTTP/1.1\r\nHost: "); err != nil {
				t.Fatal(err)
			}

			if status, after := e.Stop(t, sig); status != 0 || after > patience {
				t.Errorf("exit status %d after %v, want 0 within %v", status, after, patience)
			}
			stop()
			s.Close() // the test's own listener
			nothingLeft(t, l.A)
		})
	}
}

// keepTrafficUp sends over one connection again and again, with a pause in between, until the
// function that it returns is called. The first exchange is over when it returns.
func keepTrafficUp(t *testing.T, s *server, c *client, pause time.Duration) (stop func()) {
	t.Helper()
	if err := c.exchange(s, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	ended, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-ended:
				done <- nil
				return
			case <-time.After(pause):
			}
			if err := c.exchange(s, 10_000, 1_000_000); err != nil {
				done <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(ended)
		if err := <-done; err != nil {
			t.Errorf("traffic: %v", err)
		}
	})
}
