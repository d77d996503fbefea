package check

import (
	"encoding/binary"
	"testing"
	"time"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

func newTestWorker(t *testing.T, connections int, change func(*worker.Config)) *worker.Worker {
	t.Helper()
	cfg := worker.Config{MaxConnections: connections, StreamAge: time.Hour, FinalizedAge: time.Hour}
	if change != nil {
		change(&cfg)
	}
	w, err := worker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestPreparedBlocks: every packet of the prepared traffic is one that most packets are: decoded, of a known connection,
// next in its stream. A worker that tells interfaces or VLANs apart finds the same.
func TestPreparedBlocks(t *testing.T) {
	const connections, passes = 50, 3
	for name, change := range map[string]func(*worker.Config){
		"plain": nil, "by interface": func(c *worker.Config) { c.ByInterface = true }, "by VLAN": func(c *worker.Config) { c.ByVLAN = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestWorker(t, 2*connections, change)
			l := newLoad(connections, 1_700_000_000_000_000_000)
			opening := uint64(0)
			if change == nil { // open knows no interface
				l.open(w)
				opening = 2 * connections
			}
			p := capture.NewPrepared(w)
			for range passes {
				for n := range l.blocks {
					l.fill(n)
					p.Block(ring.BlockOf(l.blocks[n]), l.now)
				}
			}
			s := w.Stats()
			if want := opening + passes*blocks*framesPerBlock; s.Packets != want || s.BadBlocks != 0 || s.Skipped != [parse.NumReasons]uint64{} || s.Unselected != 0 || s.NoRoom != 0 {
				t.Errorf("%d packets, %d bad blocks, skipped %v, want %d and nothing else", s.Packets, s.BadBlocks, s.Skipped, want)
			}
			if s.Connections != connections {
				t.Errorf("%d connections, want %d", s.Connections, connections)
			}
			var views worker.Snapshot
			if err := views.Empty(w.Capacity()); err != nil {
				t.Fatal(err)
			}
			if err := w.Snapshot(&views); err != nil {
				t.Fatal(err)
			}
			repeats := uint64(0)
			for i := range views.Views {
				v := &views.Views[i]
				repeats += uint64(v.Retransmits) + uint64(v.OutOfOrder) + uint64(v.Gaps)
			}
			if repeats != 0 {
				t.Errorf("%d segments that are not the next", repeats)
			}
		})
	}
}

// TestBlockLayout: a prepared block is laid out as the kernel does it.
func TestBlockLayout(t *testing.T) {
	l := newLoad(10, 1_700_000_000_000_000_000)
	l.fill(0)
	var frames []fakekernel.Frame
	for b := ring.BlockOf(l.blocks[0]); ; {
		f, ok := b.Next()
		if !ok {
			break
		}
		frames = append(frames, fakekernel.Frame{Data: f.Data, WireLen: f.WireLen(), Time: f.Time(), Hatype: f.Hatype(), IfIndex: f.IfIndex()})
	}
	mem, used := fakekernel.Block(blockBytes, frames)
	if used != framesPerBlock {
		t.Fatalf("the kernel puts %d of %d frames into a block", used, framesPerBlock)
	}
	word := func(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	for _, at := range []int{fakekernel.Version, fakekernel.BlockStatus, fakekernel.NumPkts, fakekernel.OffsetToFirstPkt, fakekernel.BlkLen} {
		if got, want := word(l.blocks[0], at), word(mem, at); got != want {
			t.Errorf("block, offset %d: %d, want %d", at, got, want)
		}
	}
	for n := range used {
		got, want := l.blocks[0][fakekernel.BlockHdrLen+n*frameStride:], mem[fakekernel.BlockHdrLen+n*frameStride:]
		for _, at := range []int{
			fakekernel.NextOffset, fakekernel.Sec, fakekernel.Nsec, fakekernel.Snaplen, fakekernel.Len, fakekernel.Status, fakekernel.SllIfindex,
		} {
			if word(got, at) != word(want, at) {
				t.Errorf("frame %d, offset %d: %d, want %d", n, at, word(got, at), word(want, at))
			}
		}
		if mac := binary.NativeEndian.Uint16(want[fakekernel.Mac:]); binary.NativeEndian.Uint16(got[fakekernel.Mac:]) != mac || binary.NativeEndian.Uint16(got[fakekernel.SllHatype:]) != 1 {
			t.Errorf("frame %d: its bytes do not begin at %d", n, mac)
		}
		if t.Failed() {
			return
		}
	}
}

func TestMeasureSpeed(t *testing.T) {
	s, err := measureSpeed(func(n int) (*worker.Worker, error) {
		return worker.New(worker.Config{MaxConnections: n, StreamAge: time.Hour, FinalizedAge: time.Hour})
	}, 100, 20*time.Millisecond)
	// Nothing does it in 2 ns, and nothing takes 100 µs.
	if err != nil || s.connections != 100 || s.nanos < 2 || s.nanos > 100_000 {
		t.Errorf("%+v, %v", s, err)
	}
	// With little memory there are fewer connections; with none to be had, an error.
	c := &Config{ConnectionBytes: 600, Ring: ring.Config{BlockSize: 4096, NumBlocks: 1}, Workers: 1, NewWorker: func(n int) (*worker.Worker, error) {
		return worker.New(worker.Config{MaxConnections: n, StreamAge: time.Hour, FinalizedAge: time.Hour})
	}}
	all, err := speeds(c, &machine{available: 8 * 600 * 1500, hasAvailable: true})
	if err != nil || len(all) != 2 || all[1].connections > 1500 {
		t.Errorf("%+v, %v; want 1,000 and some 1,500 connections", all, err)
	}
}
