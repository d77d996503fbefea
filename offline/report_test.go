package offline

import (
	"bytes"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/pcapgen"
	"tcp-stream-exporter/pcapfile"
)

func TestProgress(t *testing.T) {
	var screen bytes.Buffer
	if p := newProgress(&screen, largeFile); p.to != nil {
		t.Error("progress is shown on what is no terminal")
	}
	var traffic bytes.Buffer
	cfg := pcapgen.Default
	cfg.Packets = 10
	if err := pcapgen.Write(&traffic, cfg); err != nil {
		t.Fatal(err)
	}
	file, err := pcapfile.NewReader(&traffic)
	if err != nil {
		t.Fatal(err)
	}
	var p pcapfile.Packet
	for file.Next(&p) == nil {
	}
	in := &input{cur: file}
	for _, c := range []struct {
		size int64
		want string
	}{{2 * file.Offset(), "\r50%, 0.0 million packets "}, {0, "\r0 MiB, 0.0 million packets "}} {
		screen.Reset()
		shown := &progress{to: &screen, size: c.size, count: 4095}
		shown.at(in) // the first time, half a second or more after nothing
		shown.at(in) // at once: nothing new to tell
		if screen.String() != c.want {
			t.Errorf("%q, want %q", screen.String(), c.want)
		}
		shown.clear()
		if !strings.HasSuffix(screen.String(), "\r\x1b[K") {
			t.Errorf("not wiped: %q", screen.String())
		}
	}
}
