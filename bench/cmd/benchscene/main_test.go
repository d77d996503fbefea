package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/need"
)

// A short scene on few connections.
func TestSceneIsPlayedToItsEnd(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "wrk")
	exporter := filepath.Join(t.TempDir(), "exporter")
	if out, err := exec.Command("go", "build", "-C", "../../..", "-buildvcs=false", "-o", exporter, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	args := "-clients 2 -connections 10 -duration 2s -cut 1s -pause 0s -age 2s -scrape-every 1s -answer 100"
	if err := run(context.Background(), append([]string{"-exporter", exporter}, strings.Fields(args)...), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		// Each client has one connection more, with which it tries the server; two streams each.
		`\| clients, cut off \| \d.* \| 0 \| \d+ \| 44 \| 4\d \|`,
		`\| clients again, .* \| 0 \| \d+ \| 44 \| \d+ \|`,
		`\| silence, .* \| 0 \| 0 \| \d+ \| 0 \| 0 \|`,
		`packets, 0 dropped \(0\.00 %\)`,
		`without the ring of 256 MiB: at most \d+\.\d MiB\.`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in:\n%s", want, &out)
		}
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for args, want := range map[string]string{
		"x": `unexpected argument "x"`, "-clients 0": "-clients", "-age 1ms": "-age", "-answer 0": "-answer",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
