package walk_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/need"
)

// send sends n frames of 1000 bytes of payload, all from the SYN flood, through a new pair into
// a ring that nobody reads meanwhile.
func send(t *testing.T, cfg walk.Config, n uint64) *walk.Ring {
	t.Helper()
	need.Root(t)
	need.Tool(t, "ip")
	p, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	var ring *walk.Ring
	cfg.IfIndex = p.B.Index
	if err := p.B.Do(func() (err error) { ring, err = walk.Open(cfg); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	var g *gen.Generator
	if err := p.A.Do(func() (err error) {
		g, err = gen.New(gen.Config{Interface: lab.Device, Connections: 1, Payload: 1000, MidStream: true, OneWay: true, Packets: n, CPU: -1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if r, err := g.Run(context.Background()); err != nil || r.Packets != n {
		t.Fatalf("%v, %s", err, r.Line())
	}
	return ring
}

// drain walks what the ring holds until nothing has come for a while.
func drain(t *testing.T, ring *walk.Ring, visit func(walk.Frame)) (frames uint64) {
	t.Helper()
	for quiet := 0; quiet < 2; {
		b, ok := ring.Next()
		if !ok {
			quiet++
			if err := ring.Wait(50 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			continue
		}
		quiet = 0
		for f := (walk.Frame{}); b.Next(&f); frames++ {
			visit(f)
		}
		ring.Release()
	}
	return frames
}

func TestFramesAreCutToTheSnapLength(t *testing.T) {
	ring := send(t, walk.Config{BlockSize: 1 << 16, NumBlocks: 8, SnapLen: 96, RetireTov: 5 * time.Millisecond}, 500)
	n := drain(t, ring, func(f walk.Frame) {
		if len(f.Data) != 96 || f.WireLen != 14+40+1000 {
			t.Fatalf("%d bytes of a frame of %d", len(f.Data), f.WireLen)
		}
		if f.Data[12] != 8 || f.Data[13] != 0 || f.Data[14] != 0x45 || f.Data[23] != 6 {
			t.Fatalf("not the generator's frame: %x", f.Data)
		}
	})
	if s, err := ring.Stats(); err != nil || n != 500 || s != (walk.Stats{Packets: 500}) {
		t.Errorf("walked %d, %+v, %v", n, s, err)
	}
}

// A ring that overflows: what is walked and what is dropped add up to what was sent.
func TestDropsAndWalkedAddUp(t *testing.T) {
	ring := send(t, walk.Config{BlockSize: 1 << 14, NumBlocks: 4, SnapLen: 2048}, 1000)
	n := drain(t, ring, func(walk.Frame) {})
	s, err := ring.Stats()
	if err != nil {
		t.Fatal(err)
	}
	// 4 blocks of 16 KiB hold at most 64 frames of 1054 bytes and a header.
	if n == 0 || n > 64 || s.Packets != 1000 || s.Drops != 1000-n || s.Freezes == 0 {
		t.Errorf("walked %d, %+v", n, s)
	}
}

func TestOpenRefusesSizesThatCannotBe(t *testing.T) {
	for _, c := range []walk.Config{
		{BlockSize: 1 << 16, NumBlocks: 1},
		{BlockSize: 1 << 16, NumBlocks: 1, SnapLen: 1<<18 + 1},
		{BlockSize: 1 << 16, SnapLen: 96},
		{BlockSize: 100, NumBlocks: 1, SnapLen: 96},
		{BlockSize: 1<<30 + 1, NumBlocks: 1, SnapLen: 96},
		{BlockSize: 1 << 16, NumBlocks: 1<<30 + 1, SnapLen: 96},
	} {
		if _, err := walk.Open(c); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
