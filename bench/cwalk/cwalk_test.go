package cwalk

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/filterfile"
	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"

	"golang.org/x/net/bpf"
)

func build(t *testing.T) string {
	t.Helper()
	need.Tool(t, "cc")
	binary := filepath.Join(t.TempDir(), "cwalk")
	if err := Build(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// walk runs the program over so many packets of the generator and returns the figures of its line.
func walk(t *testing.T, binary string, packets uint64, args ...string) map[string]float64 {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	p, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w, err := proc.Start(proc.Options{Namespace: p.B.Namespace, CPU: -1, Argv: append([]string{binary}, args...), Ready: Ready})
	if err != nil {
		t.Fatal(err)
	}
	var g *gen.Generator
	if err := p.A.Do(func() (err error) {
		g, err = gen.New(gen.Config{Interface: lab.Device, Connections: 10, Payload: 100, Packets: packets, CPU: -1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	line, err := w.Stop()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for field := range strings.FieldsSeq(line) {
		key, text, _ := strings.Cut(field, "=")
		var v float64
		if _, err := fmt.Sscan(text, &v); err != nil {
			t.Fatalf("figure %q of %q: %v", field, line, err)
		}
		values[key] = v
	}
	return values
}

// Every way to read takes every packet. A packet's address begins with 10 or more and each has at least the flag SYN,
// 2: the sum touched shows that both headers were read.
func TestWalksEveryPacket(t *testing.T) {
	binary := build(t)
	filter := filepath.Join(t.TempDir(), "tcp")
	prog, err := filterfile.TCP()
	if err != nil {
		t.Fatal(err)
	}
	if err := filterfile.Write(filter, prog); err != nil {
		t.Fatal(err)
	}
	const packets = 20_000
	for _, args := range []string{
		"-i veth0", "-i any -poll", "-i veth0 -i lo -ingress", "-i veth0 -whole -fanout 2",
		"-i veth0 -timestamp hardware -busy-poll 50 -retire 5 -blocksize 65536 -numblocks 512",
		"-i any -timestamp received -filter " + filter,
	} {
		t.Run(args, func(t *testing.T) {
			v := walk(t, binary, packets, strings.Fields(args)...)
			if v["packets"] != packets || v["dropped"] != 0 || v["blocks"] < 1 || v["touched"] < packets*(10+2) || v["ns_per_packet"] <= 0 {
				t.Errorf("figures %v", v)
			}
		})
	}
}

// What is left out is not counted: the program of a file is attached, and so is the snap length.
func TestFilterAndSnapLengthAreAttached(t *testing.T) {
	binary := build(t)
	reject := filepath.Join(t.TempDir(), "none")
	prog, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		t.Fatal(err)
	}
	if err := filterfile.Write(reject, prog); err != nil {
		t.Fatal(err)
	}
	if v := walk(t, binary, 1000, "-i", "veth0", "-filter", reject); v["packets"] != 0 {
		t.Errorf("a filter that rejects all: %v", v)
	}
	if v := walk(t, binary, 1000, "-i", "veth0", "-snaplen", "20"); v["packets"] != 1000 || v["touched"] != 0 {
		t.Errorf("frames of 20 bytes hold no TCP header to touch: %v", v)
	}
}

// A small ring that nobody could empty in time: taken and dropped add up to what was sent.
func TestDropsAndWalkedAddUp(t *testing.T) {
	binary := build(t)
	v := walk(t, binary, 200_000, "-i", "veth0", "-blocksize", "4096", "-numblocks", "1")
	if v["dropped"] == 0 || v["freezes"] == 0 || v["packets"]+v["dropped"] != 200_000 {
		t.Errorf("figures %v", v)
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	binary := build(t)
	for _, test := range []struct{ args, want string }{
		{"", "no interface"}, {"-i none0", "none0: No such device"}, {"-i lo x", "unexpected argument x"},
		{"-i lo -snaplen 0", "-snaplen 0: want 1 to 262144"}, {"-i lo -numblocks -1", "-numblocks -1: want"},
		{"-i lo -timestamp none", "-timestamp none: want default"}, {"-i lo -fanout 17", "-fanout 17: want"},
		{"-i lo -i any -fanout 16", "32 rings are more"}, {"-i lo -filter /dev/null", "want a program as tcpdump -ddd"},
		{"-i lo -filter /none", "/none: No such file"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		out, err := exec.CommandContext(ctx, binary, strings.Fields(test.args)...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: %v, printed %q, want %q", test.args, err, out, test.want)
		}
	}
}
