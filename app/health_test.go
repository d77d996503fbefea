package app

import (
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/collector"
)

func TestHealthy(t *testing.T) {
	for _, c := range []struct {
		since []time.Duration
		want  string // the reason, empty: healthy
	}{
		{[]time.Duration{0, time.Second}, ""},
		{[]time.Duration{turnTime}, ""},
		{[]time.Duration{time.Second, turnTime + 2500*time.Millisecond}, "not healthy: stuck: worker 1 for 12s"},
		{[]time.Duration{time.Minute, time.Hour}, "not healthy: stuck: worker 0 for 1m0s, worker 1 for 1h0m0s"},
	} {
		h := health{sinceTurn: func() []time.Duration { return c.since }}
		if err := h.healthy(); text(err) != c.want {
			t.Errorf("%v: %v, want %q", c.since, err, c.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestReady(t *testing.T) {
	up, down := collector.Interface{Name: "up", Named: true, Exists: true, Up: true}, collector.Interface{Name: "down", Named: true, Exists: true}
	gone, pattern := collector.Interface{Name: "gone", Named: true}, collector.Interface{Name: "ppp0", Exists: true}
	var many []collector.Interface
	for range maxNamed + 5 {
		many = append(many, gone)
	}
	for _, c := range []struct {
		all    []collector.Interface
		closed bool
		want   string // in the reason, empty: ready
	}{
		{[]collector.Interface{up, pattern}, false, ""},
		{nil, false, ""}, // nothing matches a pattern
		{[]collector.Interface{up, down}, false, "not ready: down is down or cannot be captured"},
		{[]collector.Interface{gone, up, down}, true, "not ready: gone does not exist, down is down"},
		{[]collector.Interface{up}, true, "not ready: the capture is not open"},
		{many, false, "gone does not exist and 5 more"},
	} {
		h := health{interfaces: func() []collector.Interface { return c.all }, up: func() bool { return !c.closed }}
		if got := text(h.ready()); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: %q, want %q", c.all, got, c.want)
		}
	}
}
