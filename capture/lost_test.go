package capture

import (
	"testing"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// gapsOf returns the sequence gaps of all streams, and those of the capture.
func gapsOf(t *testing.T, w *worker.Worker) (streams, capture uint64) {
	t.Helper()
	for _, v := range viewsOf(t, w) {
		streams += uint64(v.Gaps)
	}
	return streams, w.Stats().CaptureGaps
}

// wantGaps checks gapsOf.
func wantGaps(t *testing.T, w *worker.Worker, when string, streams, capture uint64) {
	t.Helper()
	if s, c := gapsOf(t, w); s != streams || c != capture {
		t.Errorf("%s: %d gaps of streams and %d of the capture, want %d and %d", when, s, c, streams, capture)
	}
}

// data is a frame of the client's segment number n, of 100 bytes.
func data(n uint32, at int64) fakekernel.Frame {
	p := packet.TCP{Src: client, Dst: server, Seq: 1 + 100*n, Ack: 1, Flags: packet.ACK, Window: 500, Payload: 100}
	return fakekernel.Frame{Data: p.Ethernet(), Time: at, Hatype: 1, IfIndex: 2}
}

// A block that says that frames were dropped (TP_STATUS_LOSING) has gaps of the capture where they go back to before it,
// and gaps of streams where they lie within it, as one does that comes after it and says nothing.
func TestGapsOfBlocksThatTellOfDrops(t *testing.T) {
	const now = 1_700_000_000 * sec
	for _, losing := range []bool{false, true} {
		at := walker(t, worker.Config{})
		clock := int64(now)
		walk := func(status uint32, numbers ...uint32) {
			var frames []fakekernel.Frame
			for _, n := range numbers {
				clock += ms
				frames = append(frames, data(n, clock))
			}
			mem, used := fakekernel.Block(1<<16, frames)
			if used != len(frames) {
				t.Fatalf("%d of %d frames fit", used, len(frames))
			}
			fakekernel.PutU32(mem, fakekernel.BlockStatus, fakekernel.StatusUser|status)
			clock += ms
			b := ring.BlockOf(mem)
			at.block(&b, clock, clock)
		}
		status, behind := uint32(0), uint64(0)
		if losing {
			status, behind = fakekernel.StatusLosing, 1
		}
		walk(0, 0, 1)
		walk(status, 3, 4, 6) // 2 would have come before the block, 5 within it
		wantGaps(t, at.worker, "in the block", 2-behind, behind)
		walk(0, 8)
		wantGaps(t, at.worker, "behind it", 3-behind, behind)
	}
}

// What the rest of a block held that could not be walked is lost.
func TestGapsBehindABadBlock(t *testing.T) {
	const now = 1_700_000_000 * sec
	at := walker(t, worker.Config{})
	b := block(t, data(0, now))
	at.block(b, now+ms, now+ms)
	mem, _ := fakekernel.Block(1<<16, []fakekernel.Frame{data(1, now+2*ms), data(2, now+2*ms)})
	fakekernel.PutU32(mem[fakekernel.BlockHdrLen:], fakekernel.NextOffset, 1<<30)
	bad := ring.BlockOf(mem)
	at.block(&bad, now+3*ms, now+3*ms)
	if n := at.worker.Stats().BadBlocks; n != 1 {
		t.Fatalf("%d bad blocks", n)
	}
	at.block(block(t, data(3, now+4*ms)), now+5*ms, now+5*ms)
	wantGaps(t, at.worker, "behind a bad block", 0, 1)
}

// Drops that are read from the kernel's counter, and times without a ring, lie before the gaps of the capture. Neither a
// counter that stands still nor frames without drops do.
func TestGapsBehindDropsThatWereRead(t *testing.T) {
	h := &handClock{mono: 100 * sec, real: 1_700_000_000 * sec}
	c := New(newWorker(t, worker.Config{}), nil, nil, h.read, func(Change) {})
	next := uint32(0)
	walk := func(skip uint32) {
		next += skip
		h.pass(ms)
		b := block(t, data(next, h.real))
		next++
		h.pass(ms)
		c.walk.block(b, h.mono, h.real)
	}
	read := func(s ring.Stats) {
		c.noteDrops(s)
		c.last = s
	}
	walk(0)
	read(ring.Stats{Packets: 1000})
	walk(1)
	wantGaps(t, c.worker, "without drops", 1, 0)
	read(ring.Stats{Packets: 2000, Drops: 1, Freezes: 1})
	walk(1)
	wantGaps(t, c.worker, "behind drops", 1, 1)
	read(ring.Stats{Packets: 3000, Drops: 1, Freezes: 1})
	walk(1)
	wantGaps(t, c.worker, "behind a counter that stands still", 2, 1)
	c.back()
	walk(1)
	wantGaps(t, c.worker, "behind the interface's return", 2, 2)
}
