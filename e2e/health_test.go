package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// probe asks for a health check.
func probe(t *testing.T, e *lab.Exporter, path string) (status int, body string, took time.Duration) {
	t.Helper()
	begin := time.Now()
	resp, body, err := e.Do(http.MethodGet, path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode, body, time.Since(begin)
}

// awaitProbe asks until the answer has the status and the text.
func awaitProbe(t *testing.T, e *lab.Exporter, path string, status int, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got, body, _ := probe(t, e, path)
		if got == status && strings.Contains(body, text) && strings.Count(body, "\n") == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %d %q, want %d and %q in one line", path, got, body, status, text)
		}
	}
}

// Scrapes that wait for their clients hold all places, and more wait for one. Health checks are answered at once.
func TestHealthBesideHangingScrapes(t *testing.T) {
	const hanging, withinTime = 60, time.Second
	p := newPressure(t, manyConnections, binary(t))
	connect(t, p.l.A, hanging, scrapeRequest)
	time.Sleep(200 * time.Millisecond) // they fill their buffers
	for _, path := range []string{"/-/healthy", "/-/ready", "/-/healthy", "/-/ready"} {
		if status, body, took := probe(t, p.Exporter, path); status != 200 || took > withinTime {
			t.Errorf("%s beside %d hanging scrapes: %d %q after %v, want 200 within %v", path, hanging, status, body, took, withinTime)
		} else {
			t.Logf("%s: %q after %v", path, body, took)
		}
	}
	p.calm(t)
}

// An interface that goes makes the exporter not ready, and leaves it healthy.
func TestReadyFollowsTheInterface(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	awaitProbe(t, e, "/-/ready", 200, "ready")
	l.A.Run(t, "ip", "link", "set", lab.IfName, "down")
	awaitProbe(t, e, "/-/ready", 503, lab.IfName+" is down")
	awaitProbe(t, e, "/-/healthy", 200, "healthy")
	l.A.Run(t, "ip", "link", "set", lab.IfName, "name", "other0")
	awaitProbe(t, e, "/-/ready", 503, lab.IfName+" does not exist")
	l.A.Run(t, "ip", "link", "set", "other0", "name", lab.IfName)
	l.A.Run(t, "ip", "link", "set", lab.IfName, "up")
	awaitProbe(t, e, "/-/ready", 200, "ready")
}

// Of several interfaces each that is named has to be there, and what a pattern selects may come and go.
func TestReadyOfSeveralInterfaces(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName+",later0,tun*", "-wait", "-workers", "2")
	awaitProbe(t, e, "/-/ready", 503, "not ready: later0 does not exist\n")
	awaitProbe(t, e, "/-/healthy", 200, "healthy")
	l.A.Run(t, "ip", "link", "add", "later0", "type", "veth", "peer", "name", "later1")
	awaitProbe(t, e, "/-/ready", 503, "not ready: later0 is down")
	l.A.Run(t, "ip", "link", "set", "later0", "up")
	awaitProbe(t, e, "/-/ready", 200, "ready")
}
