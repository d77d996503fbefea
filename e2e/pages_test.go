package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

func TestPages(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	if err := c.exchange(s, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	e.Settle(t) // so that the figures on the page are not all zero

	for _, p := range []struct {
		method, path string
		status       int
		kind         string // media type
		contains     []string
	}{
		{"GET", "/", 200, "text/html", []string{`href="/metrics"`, lab.IfName}},
		{"GET", "/metrics", 200, "text/plain", []string{
			"# TYPE tcp_stream_count gauge\ntcp_stream_count 2\n",
			"# TYPE capture_packets_processed_total counter\n",
			"# TYPE capture_dropped_packets_total counter\ncapture_dropped_packets_total 0\n",
			"# TYPE capture_queue_freezes_total counter\ncapture_queue_freezes_total 0\n"}},
		{"GET", "/page/main.js", 200, "text/javascript", []string{"import"}},
		{"GET", "/api/v1/status", 200, "application/json", []string{
			`"interface":"` + lab.IfName + `","state":"captured","captured":true,"named":true,"kind":"Ethernet"`, `"complete":true`, `"mtu_bytes":1500`}},
		{"GET", "/api/v1/status?history=9", 200, "application/json", []string{`"interval_seconds":5`}},
		{"GET", "/api/v1/status?history=121", 400, "application/json", []string{"history=121"}},
		{"GET", "/nope", 404, "text/plain", nil},
		{"GET", "/metrics/more", 404, "text/plain", nil},
		{"HEAD", "/", 200, "text/html", nil},
		{"HEAD", "/metrics", 200, "text/plain", nil},
		{"HEAD", "/nope", 404, "text/plain", nil},
	} {
		resp, body, err := e.Do(p.method, p.path)
		if err != nil {
			t.Errorf("%s %s: %v", p.method, p.path, err)
			continue
		}
		if resp.StatusCode != p.status {
			t.Errorf("%s %s: status %d, want %d", p.method, p.path, resp.StatusCode, p.status)
		}
		if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, p.kind) {
			t.Errorf("%s %s: Content-Type %q, want %s", p.method, p.path, kind, p.kind)
		}
		if p.method == "HEAD" && body != "" {
			t.Errorf("HEAD %s has a body of %d bytes, want none", p.path, len(body))
		}
		for _, want := range p.contains {
			if !strings.Contains(body, want) {
				t.Errorf("%s %s: no %q in:\n%.2000s", p.method, p.path, want, body)
			}
		}
	}

	// The landing page shows the capture's figures: at least how many packets have passed. Both may
	// be some time old.
	e.Await(t, 3*time.Second, func(m lab.Metrics) error {
		_, page, err := e.Do("GET", "/")
		packets := fmt.Sprintf("%.0f", m["capture_packets_processed_total"])
		if err == nil && (packets == "0" || !strings.Contains(page, packets)) {
			err = fmt.Errorf("/ does not show the %s packets processed, or they are none:\n%.2000s", packets, page)
		}
		return err
	})
}
