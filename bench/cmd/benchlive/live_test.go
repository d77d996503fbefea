package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"tcp-stream-exporter/bench/cwalk"
	"tcp-stream-exporter/internal/need"
)

// One short run of every reader: all packets sent must arrive at each.
func TestEveryReaderTakesWhatTheGeneratorSends(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "ethtool")
	dir := t.TempDir()
	for _, build := range [][]string{
		{"build", "-C", "../../..", "-buildvcs=false", "-o", filepath.Join(dir, "exporter"), "."},
		{"build", "-C", "..", "-o", dir, "./ringwalk", "./gopacketreader"},
	} {
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", build, err, out)
		}
	}
	if err := cwalk.Build(t.Context(), filepath.Join(dir, "cwalk")); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	profile := filepath.Join(dir, "live.prof")
	args := []string{"-exporter", filepath.Join(dir, "exporter"), "-tools", dir, "-streams", "100", "-rate", "20000", "-duration", "1s", "-runs", "1"}
	if err := run(context.Background(), append(args, "-idle", "1s", "-readers", "exporter,walk,cwalk,walk-poll,gopacket,gopacket-packet,gopacket-lazy,gopacket-parser"), &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{
		`switches to its threads, wanted or not \| \d`, `first answered scrape.*\| \d+ ms`,
		`\| 100 \| exporter \| \d.* \| 0 \| all, ≥ .* MiB \|`, `\| 100 \| walk \|.* \| 0 \| all, ≥ .* MiB \|`, `\| 100 \| gopacket-parser \|.* \| 0 \| all, ≥ .* MiB \|`,
		`\| 100 \| cwalk \|.* \| 0 \| all, ≥ .* MiB \|`, `\| 100 \| exporter / cheaper bare walk \| \d`, `\| 100 \| exporter / walk that waits for each block \| \d`, `\| 100 \| gopacket / exporter \| \d`, `\| 100 \| \d\d,\d00 \| \d+ \| \d+ \|`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in:\n%s", want, &out)
		}
	}
	if bytes.Contains(out.Bytes(), []byte("Not all arrived")) {
		t.Errorf("packets are missing:\n%s", &out)
	}
	out.Reset()
	if err := run(context.Background(), append(args, "-idle", "0", "-readers", "exporter,cwalk", "-one-way", "-churn", "500"), &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if !regexp.MustCompile(`\| 100 \| exporter \| \d.* \| 0 \| all, ≥ .* MiB \|`).Match(out.Bytes()) || bytes.Contains(out.Bytes(), []byte("Not all arrived")) {
		t.Errorf("one way, with connections that end:\n%s", &out)
	}
	if err := run(context.Background(), append(args, "-profile", profile), &out, &progress); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(profile); err != nil || !bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		t.Errorf("the profile is no gzip file: %v, %d bytes", err, len(text))
	}
}
