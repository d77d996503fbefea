package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"
)

func TestReadsEveryPacketAndStreamHoweverItDecodes(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	for _, decode := range []string{"source", "packet", "lazy", "parser"} {
		t.Run(decode, func(t *testing.T) {
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
				done <- run(ctx, []string{"-netns", p.B.Namespace, "-i", lab.Device, "-retire", "5ms", "-decode", decode}, &out, stderr)
				stderr.Close()
			}()
			if line, err := bufio.NewReader(messages).ReadString('\n'); line != ready+"\n" {
				t.Fatalf("message %q, %v", line, err)
			}
			var g *gen.Generator
			if err := p.A.Do(func() (err error) {
				g, err = gen.New(gen.Config{Interface: lab.Device, Connections: 10, Payload: 100, Packets: 5000, Rate: 50000, CPU: -1})
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
			fmt.Sscan(values["ns_per_packet"], &perPacket)
			if values["packets"] != "5000" || values["dropped"] != "0" || values["skipped"] != "0" || values["streams"] != "20" || perPacket <= 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "-i"},
		{[]string{"-i", "none0"}, `ring on "none0"`},
		{[]string{"-i", "lo", "x"}, `unexpected argument "x"`},
		{[]string{"-i", "lo", "-netns", "none"}, "namespace none"},
		{[]string{"-i", "lo", "-snaplen", "0"}, "snap length 0"},
		{[]string{"-i", "lo", "-cpu", "1000"}, "CPU 1000"},
		{[]string{"-i", "lo", "-decode", "none"}, `-decode "none"`},
	} {
		err := run(context.Background(), test.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.args, err, test.want)
		}
	}
}
