package app

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Errors of top name the flag as typed and the remedy.
func TestTopFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	if err := os.WriteFile(file, []byte("user: ann\nauth: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string // how standard error begins behind the name
	}{
		{[]string{"top", "-address", "ftp://x"}, exitUsage, "-address ftp://x: want a URL such as http://localhost:9100"},
		{[]string{"top", "-interval", "1ms"}, exitUsage, "-interval 1ms: want 500ms to 1h0m0s"},
		{[]string{"top", "-interval", "2"}, exitUsage, "-interval 2: no duration: "},
		{[]string{"top", "-sort", "rtt"}, exitUsage, "-sort rtt: want bytes, bitrate, "},
		{[]string{"top", "-view", "x"}, exitUsage, "-view x: want streams or groups"},
		{[]string{"top", "-filter", "80 lan"}, exitUsage, `-filter "80 lan": lan: want an address`},
		{[]string{"top", "-once", "-rows", "0"}, exitUsage, "-rows 0: want 1 to 1000"},
		{[]string{"top", "-rows", "5"}, exitUsage, "-rows 5: goes with -once"},
		{[]string{"top", "-http.config.file", "/no/such"}, exitUsage, "-http.config.file /no/such: "},
		{[]string{"top", "-http.config.file", file}, exitUsage, "-http.config.file " + file + ": "},
		{[]string{"top", "-view", "groups", "-view", "streams"}, exitUsage, "-view groups and -view streams: "},
		{[]string{"top", "-port", ":9100"}, exitUsage, "-port: unknown flag: "},
		{[]string{"top", "router"}, exitUsage, `argument "router": `},
		{[]string{"-debug", "top"}, exitUsage, `argument "top": a command comes first`},
		{[]string{"top"}, exitFailure, "no terminal to show a screen on: -once "}, // standard output is a buffer
		{[]string{"top", "-once", "-address", "127.0.0.1:1"}, exitFailure, "http://127.0.0.1:1: connection refused"},
	} {
		out, complaints, code := exporter(c.args...)
		if code != c.code || out != "" || !strings.HasPrefix(complaints, "tcp-stream-exporter: "+c.want) || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%q: status %d, %q and %q; want %d and %q", c.args, code, out, complaints, c.code, c.want)
		}
	}
}

// The page about top shows its flags as they are.
func TestTopPageShowsTheHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseTop([]string{"-help"}, &help); !errors.Is(err, errHelp) {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(help.String(), "\t", "    "); !strings.Contains(readDoc(t, "docs/top.md"), "```text\n"+want+"```\n") {
		t.Errorf("docs/top.md does not show what top -help prints:\n%s", want)
	}
	if _, err := parseTop([]string{"-help"}, full{}); !errors.As(err, new(outputError)) {
		t.Errorf("%v, want an outputError", err)
	}
}

// The table of -once that cannot be written is an error.
func TestTopOnceToNowhere(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }))
	defer s.Close()
	var complaints bytes.Buffer
	if code := run([]string{"top", "-once", "-address", s.URL}, full{}, &complaints); code != exitFailure || !strings.Contains(complaints.String(), errFull.Error()) {
		t.Errorf("status %d, %q", code, &complaints)
	}
}
