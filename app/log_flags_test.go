package app

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// logged returns what a log with these flags has of one line of each level.
func logged(t *testing.T, args ...string) string {
	t.Helper()
	o, err := parseFlags(args, io.Discard)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	var out bytes.Buffer
	log := slog.New(o.log.handler(&out))
	log.Debug("one", "streams", 1)
	log.Info("two", "interface", "a b")
	log.Warn("three")
	log.Error("four")
	return out.String()
}

func TestLogLevels(t *testing.T) {
	for _, c := range []struct {
		args string
		want int // lines, the last of four
	}{
		{"", 3}, {"-log.level debug", 4}, {"-log.level info", 3}, {"-log.level warn", 2}, {"-log.level error", 1},
		{"-debug", 4}, {"-debug -log.level debug", 4}, {"-debug=false -log.level warn", 2},
	} {
		got := logged(t, strings.Fields(c.args)...)
		if strings.Count(got, "\n") != c.want || !strings.Contains(got, "msg=four") {
			t.Errorf("%q has\n%swant the last %d of four lines", c.args, got, c.want)
		}
	}
}

// TestLogFormats holds the format without a flag to what it has always been, and wants each line of the other one to be
// an object with the same fields.
func TestLogFormats(t *testing.T) {
	for _, args := range [][]string{nil, {"-log.format", "logfmt"}} {
		if got := logged(t, args...); !strings.HasPrefix(got, "time=") || !strings.Contains(got, ` level=INFO msg=two interface="a b"`+"\n") {
			t.Errorf("%q: %s", args, got)
		}
	}
	lines := strings.Split(strings.TrimSpace(logged(t, "-log.format", "json")), "\n")
	var second map[string]string
	if err := json.Unmarshal([]byte(lines[0]), &second); err != nil || second["level"] != "INFO" || second["msg"] != "two" || second["interface"] != "a b" {
		t.Errorf("%q: %v", lines[0], err)
	}
}

// TestLinesOutsideTheLevels wants the line that ends the program, and that of lost lines, in the format of the others,
// whatever the level.
func TestLinesOutsideTheLevels(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"logfmt", "tcp-stream-exporter: capturing ended: \"a\"; b\n"},
		{"json", `"level":"ERROR","msg":"capturing ended: \"a\"; b"}` + "\n"},
	} {
		o, err := parseFlags([]string{"-log.level", "error", "-log.format", c.format}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		o.log.say(&out, slog.LevelError, "capturing ended: \"a\"\nb")
		if !strings.HasSuffix(out.String(), c.want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %q, want %q", c.format, &out, c.want)
		}
	}
}

func TestLogFlagsThatCannotBe(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-log.level loud", "-log.level loud: want debug, info, warn or error"},
		{"-log.level INFO", "-log.level INFO: want debug, info, warn or error"},
		{"-log.format xml", "-log.format xml: want logfmt or json"},
		{"-debug -log.level warn", "-debug true and -log.level warn: -debug is another name of -log.level debug, give only one"},
		{"-read file -log.level warn", "-log.level warn: goes with a live capture only: leave it out with -read"},
		{"-read file -log.format json", "-log.format json: goes with a live capture only: leave it out with -read"},
	} {
		if _, err := parseFlags(strings.Fields(c.args), io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}
