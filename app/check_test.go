package app

import (
	"errors"
	"io"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// TestCheckStatus: wrong flags are 2, a capture that would not work 1, and what is told goes to standard output alone.
func TestCheckStatus(t *testing.T) {
	need.Root(t)
	for _, c := range []struct {
		args []string
		code int
		want string // how standard error begins behind the name
	}{
		{[]string{"-check", "-numblocks", "0"}, exitUsage, "-numblocks 0: "},
		{[]string{"-check", "-read", "file"}, exitUsage, "-check"},
		{[]string{"-check=maybe"}, exitUsage, "-check maybe: "},
		{[]string{"-check", "-interface", "no-such"}, exitFailure, "-interface no-such: no such interface"},
		{[]string{"-check", "-interface", "no-such", "-wait"}, exitFailure, "-interface no-such: there is no such interface yet"},
		{[]string{"-check", "-interface", "lo", "-direction", "out"}, exitFailure, "-direction out: "},
	} {
		out, complaints, code := exporter(c.args...)
		if code != c.code || out != "" || !strings.HasPrefix(complaints, "tcp-stream-exporter: "+c.want) {
			t.Errorf("%q: status %d, %q and %q; want %d and %q", c.args, code, out, complaints, c.code, c.want)
		}
	}
}

// A check whose output cannot be written says so.
func TestCheckToNowhere(t *testing.T) {
	need.Root(t)
	o, err := parseFlags([]string{"-check", "-interface", "lo"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.checkCapture(full{}); !errors.As(err, new(outputError)) || !errors.Is(err, errFull) {
		t.Errorf("%v, want an outputError with the writer's", err)
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
