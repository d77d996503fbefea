package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// A container's interface bears another name after each start: the one that was given never comes back. A
// gauge shows it at once, and the log once it has lasted; and both show when there is one of that name again.
func TestTheNameGivenNoLongerExists(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	exists := lab.Key("tcp_stream_exporter_interface_exists", "interface", lab.IfName)
	await := func(wantExists, wantUp float64) {
		t.Helper()
		e.Await(t, 3*time.Second, func(m lab.Metrics) error {
			v, ok := m[exists]
			if !ok || v != wantExists || m[interfaceUp] != wantUp {
				return fmt.Errorf("%s is %v (there: %v), %s %v; want %v and %v", exists, v, ok, interfaceUp, m[interfaceUp], wantExists, wantUp)
			}
			return nil
		})
	}
	lines := func(gone, again, captured int) {
		t.Helper()
		out := e.Output()
		for text, want := range map[string]int{
			"no interface of this name exists any more": gone, "the interface exists again": again, "capturing again": captured,
		} {
			if n := strings.Count(out, text); n != want {
				t.Errorf("%d lines of %q, want %d", n, text, want)
			}
		}
	}
	await(1, 1)
	l.A.Run(t, "ip", "link", "set", lab.IfName, "down") // down, and still there
	await(1, 0)
	l.A.Run(t, "ip", "link", "set", lab.IfName, "name", "other0")
	l.A.Run(t, "ip", "link", "set", "other0", "up")
	await(0, 0)
	lines(0, 0, 0)
	time.Sleep(11500 * time.Millisecond)
	await(0, 0)
	lines(1, 0, 0)

	l.A.Run(t, "ip", "link", "set", "other0", "down")
	l.A.Run(t, "ip", "link", "set", "other0", "name", lab.IfName)
	await(1, 0)
	lines(1, 1, 0)
	l.A.Run(t, "ip", "link", "set", lab.IfName, "up")
	await(1, 1)
	lines(1, 1, 1)
}
