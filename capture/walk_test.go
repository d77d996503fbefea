package capture

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

const (
	ms  = int64(time.Millisecond)
	sec = int64(time.Second)
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

// newWorker makes a worker of 1000 connections that live for 5 s, unless cfg sets other ages.
func newWorker(t testing.TB, cfg worker.Config) *worker.Worker {
	t.Helper()
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1000
	}
	if cfg.StreamAge == 0 {
		cfg.StreamAge, cfg.FinalizedAge = 5*time.Second, time.Second
	}
	w, err := worker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// walker makes a walk for a worker of its own.
func walker(t testing.TB, cfg worker.Config) *walk { return &walk{worker: newWorker(t, cfg)} }

// send accounts one packet at now.
func send(w *worker.Worker, p packet.TCP, now int64) {
	b := p.Ethernet()
	w.Frame(parse.LinkEthernet, b, uint32(len(b)), now)
	w.Expire(0) // no frame waits for its batch to fill
}

// viewsOf returns the streams that a worker knows.
func viewsOf(t *testing.T, w *worker.Worker) []stream.View {
	t.Helper()
	var s worker.Snapshot
	if err := w.Snapshot(&s); err != nil {
		t.Fatal(err)
	}
	views := append([]stream.View(nil), s.Views...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return views
}

// block builds a ring block of frames whose times are given in real time.
func block(t *testing.T, frames ...fakekernel.Frame) *ring.Block {
	t.Helper()
	mem, used := fakekernel.Block(1<<16, frames)
	if used != len(frames) {
		t.Fatalf("%d of %d frames fit", used, len(frames))
	}
	b := ring.BlockOf(mem)
	return &b
}

func TestLoopbackFramesOnAnyCountOnce(t *testing.T) {
	at := walker(t, worker.Config{})
	p := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.ACK, Payload: 10}.Ethernet()
	at.block(block(t,
		fakekernel.Frame{Data: p, Hatype: 772, PktType: 4, Time: sec},
		fakekernel.Frame{Data: p, Hatype: 772, PktType: 0, Time: sec},
		fakekernel.Frame{Data: p, Hatype: 1, PktType: 4, Time: sec}, // sent over Ethernet: wanted
	), sec, sec)
	if v := viewsOf(t, at.worker); len(v) != 1 || v[0].Packets != 2 {
		t.Errorf("%+v, want one stream of 2 packets", v)
	}
	if c := at.worker.Counters; c.Copies != 1 || c.Packets != 3 {
		t.Errorf("%+v", c)
	}
}

// A block that leads outside itself is accounted up to there, and no frame of it twice.
func TestABadBlockInBatchesThatOverlap(t *testing.T) {
	const connections = 5000
	for _, good := range []int{1, 31, 32, 33, 64, 65, 96, 97, 150} {
		at := walker(t, worker.Config{MaxConnections: 2 * connections})
		all := make([]fakekernel.Frame, connections)
		from := func(i, payload int) []byte {
			src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1000)
			return packet.TCP{Src: src, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 500, Payload: payload}.Ethernet()
		}
		for i := range all {
			all[i] = fakekernel.Frame{Data: from(i, 0), Time: sec + int64(i)}
		}
		for ; len(all) > 0; all = all[100:] {
			at.block(block(t, all[:100]...), 2*sec, 2*sec)
		}
		frames := make([]fakekernel.Frame, 200)
		for i := range frames {
			frames[i] = fakekernel.Frame{Data: from(i, 10), Time: sec + 10_000}
		}
		mem, used := fakekernel.Block(1<<16, frames)
		off := fakekernel.BlockHdrLen
		for range good - 1 {
			off += int(binary.NativeEndian.Uint32(mem[off+fakekernel.NextOffset:]))
		}
		fakekernel.PutU32(mem, off+fakekernel.NextOffset, 1<<20)
		b := ring.BlockOf(mem)
		at.block(&b, 2*sec, 2*sec)
		if c := at.worker.Counters; used != 200 || c.BadBlocks != 1 || c.Packets != uint64(connections+good) {
			t.Errorf("%d of %d frames are good: %+v", good, used, c)
		}
		bytes := uint64(0)
		for _, v := range viewsOf(t, at.worker) {
			bytes += v.Bytes
		}
		if want := uint64(10 * good); bytes != want {
			t.Errorf("%d of %d frames are good: %d bytes, want %d", good, used, bytes, want)
		}
	}
}

// The whole way of a packet, of new connections and of known ones, and their expiry, allocate
// nothing.
func TestPacketPathAllocatesNothing(t *testing.T) {
	l := newLoad(2000, 1<<14)
	at := walker(t, worker.Config{MaxConnections: 2000, StreamAge: 50 * time.Millisecond, FinalizedAge: 20 * time.Millisecond})
	w := at.worker
	opened := uint64(0)
	n := testing.AllocsPerRun(10, func() {
		l.advance()
		l.run(at)
		if w.Stats().Opened == opened {
			t.Fatal("a pass opened no connection")
		}
		opened = w.Stats().Opened
		w.Tick(l.now + sec) // everything expires before the next pass
		for w.Expire(expireBudget) {
		}
		if w.Stats().Streams != 0 {
			t.Fatalf("%d streams left", w.Stats().Streams)
		}
		l.now += 2 * sec
	})
	if n != 0 {
		t.Errorf("%v allocations per pass of %d packets, want 0", n, l.packets)
	}
	if w.Counters.NoRoom != 0 || w.Counters.BadBlocks != 0 {
		t.Errorf("%+v", w.Counters)
	}
	for _, c := range []struct {
		streams  int // of 20,000 batches overlap
		optional bool
	}{{2000, false}, {2000, true}, {20_000, false}, {20_000, true}} {
		known := walker(t, worker.Config{MaxConnections: c.streams, StreamAge: time.Hour, FinalizedAge: time.Hour, Optional: c.optional})
		l = newLoad(c.streams, 1<<14)
		l.open(known)
		before := known.worker.Stats().Opened
		if n := testing.AllocsPerRun(10, func() { l.advance(); l.run(known) }); n != 0 {
			t.Errorf("%v allocations per pass over known connections, want 0 (%+v)", n, c)
		}
		if known.worker.Stats().Opened != before {
			t.Errorf("%d streams opened while all were known", known.worker.Stats().Opened-before)
		}
		for _, v := range viewsOf(t, known.worker) {
			if v.Retransmits+v.OutOfOrder+v.Gaps != 0 {
				t.Fatalf("the load is not clean: %+v", v)
			}
		}
	}
}
