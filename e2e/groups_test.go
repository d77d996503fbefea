package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// The file of groups is read again at SIGHUP and when it is replaced; a bad one changes nothing but a gauge and the log.
func TestGroupsAreReadAgain(t *testing.T) {
	t.Parallel() // mostly it waits
	path := filepath.Join(t.TempDir(), "groups")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("a 10.0.0.0/8\n")
	e := lab.New(t).A.StartExporter(t, binary(t), "-interface", lab.IfName, "-groups", path)
	const successful, when = "tcp_stream_exporter_groups_last_reload_successful", "tcp_stream_exporter_groups_last_reload_success_timestamp_seconds"
	last := 0.0
	await := func(says string, want float64, later bool) {
		t.Helper()
		e.Await(t, 20*time.Second, func(m lab.Metrics) error {
			v, there := m[successful]
			if !there || v != want || (m[when] > last) != later {
				return fmt.Errorf("%s: successful is %v, want %v, at %v after %v", says, v, want, m[when], last)
			}
			if later {
				last = m[when]
			}
			return nil
		})
	}
	await("the start", 1, true)
	put("a 10.0.0.0/8\nb 10.0.0.0/8\n")
	e.Signal(t, syscall.SIGHUP)
	await("a bad file and SIGHUP", 0, false)
	put("a 10.0.0.0/8\nb 11.0.0.0/8\n")
	e.Signal(t, syscall.SIGHUP)
	await("a good file and SIGHUP", 1, true)
	put("c 10.0.0.0/8 11.0.0.0/8\nd/24 12.0.0.0/8\ne 13.0.0.0/8\n")
	await("a good file alone", 1, true)
	for text, want := range map[string]int{
		"those before stay in force": 1, "line 2: 10.0.0.0/8 is in group a already": 1, "groups read again": 2, "groups=3 prefixes=4": 1,
	} {
		if got := strings.Count(e.Output(), text); got != want {
			t.Errorf("%d lines of %q, want %d:\n%s", got, text, want, e.Output())
		}
	}
}
