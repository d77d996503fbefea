package collector

import (
	"strings"
	"testing"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/worker"
)

// A label that is not UTF-8, which nobody should give, makes no panic, at the start or in a scrape.
func TestLabelsThatAreNotUTF8(t *testing.T) {
	h := New(&fakeSource{}, Options{})
	var f loss.Figures
	for what, c := range map[string]func() error{
		"interface": func() error {
			return h.Registry().Register(Own(func() (s worker.Stats) { return s }, "a\xff", func() bool { return false }))
		},
		"losses": func() error { return h.Registry().Register(Losses(func() loss.Figures { return f })) },
		"build":  func() error { return h.Registry().Register(BuildInfo("v\xff", "go\xff", "libpcap\xff")) },
	} {
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%s: panic: %v", what, r)
				}
			}()
			if err := c(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}()
	}
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("a scrape panics: %v", r)
		}
	}()
	w := scrapeOnce(h, "GET", "/metrics")
	for _, line := range []string{
		`tcp_stream_exporter_interface_up{interface="a\\xff"} 0`,
		`tcp_stream_exporter_interface_exists{interface="a\\xff"} 0`,
		`tcp_stream_exporter_build_info{goversion="go\\xff",libpcap="libpcap\\xff",version="v\\xff"} 1`,
	} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), line) {
			t.Errorf("status %d, the scrape lacks %s", w.Code, line)
		}
	}
	// Package loss gives text alone. Nothing else of a label that is none makes it worse than an error.
	f.Links = []loss.Link{{Name: "a\xff"}}
	if w := scrapeOnce(h, "GET", "/metrics"); w.Code != 500 || strings.Contains(w.Body.String(), "panic") {
		t.Errorf("status %d: %.300s", w.Code, w.Body)
	}
}
