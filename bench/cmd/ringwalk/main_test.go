package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/filterfile"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"
)

func TestWalksEveryPacketAndSaysSo(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	filter := filepath.Join(t.TempDir(), "tcp")
	prog, err := filterfile.TCP()
	if err != nil {
		t.Fatal(err)
	}
	if err := filterfile.Write(filter, prog); err != nil {
		t.Fatal(err)
	}
	t.Run("naps", func(t *testing.T) { testWalk(t, "-poll=false") })
	t.Run("waits for each block", func(t *testing.T) { testWalk(t, "-poll") })
	t.Run("takes what the exporter takes", func(t *testing.T) { testWalk(t, "-filter="+filter) })
}

func testWalk(t *testing.T, flag string) {
	p, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var out bytes.Buffer
	messages, stderr := io.Pipe()
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		done <- run(ctx, []string{"-netns", p.B.Namespace, "-i", lab.Device, "-retire", "5ms", flag}, &out, stderr)
	}()
	if line, err := bufio.NewReader(messages).ReadString('\n'); line != ready+"\n" {
		t.Fatalf("message %q, %v", line, err)
	}

	var g *gen.Generator
	if err := p.A.Do(func() (err error) {
		g, err = gen.New(gen.Config{Interface: lab.Device, Connections: 10, Payload: 100, Packets: 20000, CPU: -1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for field := range strings.FieldsSeq(out.String()) {
		key, value, _ := strings.Cut(field, "=")
		values[key] = value
	}
	var perPacket float64
	var touched int
	fmt.Sscan(values["ns_per_packet"], &perPacket)
	fmt.Sscan(values["touched"], &touched)
	// An address begins with 10 or more, and each packet has at least the flag SYN, 2: the sum
	// shows that both headers were read.
	if values["packets"] != "20000" || values["dropped"] != "0" || perPacket <= 0 || touched < 20000*(10+2) {
		t.Errorf("printed %q", out.String())
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "-i"},
		{[]string{"-i", "none0"}, `interface "none0"`},
		{[]string{"-i", "lo", "x"}, `unexpected argument "x"`},
		{[]string{"-i", "lo", "-netns", "none"}, "namespace none"},
		{[]string{"-i", "lo", "-snaplen", "0"}, "snap length 0"},
		{[]string{"-i", "lo", "-filter", "/none"}, "-filter: open /none"},
		{[]string{"-i", "lo", "-cpu", "1000"}, "CPU 1000"},
	} {
		err := run(context.Background(), test.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.args, err, test.want)
		}
	}
}
