package capture

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/stream"
)

const (
	ms  = int64(time.Millisecond)
	sec = int64(time.Second)
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

func newWorker(t testing.TB, cfg Config) *Worker {
	t.Helper()
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1000
	}
	if cfg.StreamAge == 0 {
		cfg.StreamAge, cfg.FinalizedAge = 5*time.Second, time.Second
	}
	w, err := NewWorker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// send accounts one packet at now.
func send(w *Worker, p packet.TCP, now int64) {
	b := p.Ethernet()
	w.Frame(parse.LinkEthernet, b, uint32(len(b)), now)
	w.flush()
}

// shown is a stream with its addresses.
type shown struct {
	stream.View
	stream.Ends
}

func viewsOf(w *Worker) (views []shown) {
	var s Snapshot
	if err := w.Snapshot(&s); err != nil {
		panic(err)
	}
	for _, v := range s.Views {
		views = append(views, shown{v, v.Ends(s.Wide)})
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	return views
}

// from finds the stream that src sends.
func from(t *testing.T, w *Worker, src netip.AddrPort) shown {
	t.Helper()
	for _, v := range viewsOf(w) {
		if v.Src == parse.AddrFrom(src.Addr()) && v.SrcPort == src.Port() {
			return v
		}
	}
	t.Fatalf("no stream from %v", src)
	return shown{}
}

func TestBothDirectionsAreStreams(t *testing.T) {
	w := newWorker(t, Config{})
	send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 100}, sec)
	send(w, packet.TCP{Src: server, Dst: client, Seq: 1, Ack: 101, Flags: packet.ACK}, sec+20*ms)
	c, s := from(t, w, client), from(t, w, server)
	if c.Bytes != 100 || s.Bytes != 0 || c.Dst != s.Src || c.DstPort != 443 || s.DstPort != 40000 {
		t.Errorf("client %+v, server %+v", c, s)
	}
	if c.Has&stream.HasDelay == 0 || c.MinDelay != float32(0.020) {
		t.Errorf("delay %v", c.MinDelay)
	}
	if st := w.Stats(); st.Streams != 2 || st.Active != 2 || st.Connections != 1 || st.Packets != 2 {
		t.Errorf("%+v", st)
	}
}

func TestStreamsGoWhenTheirAgeHasPassed(t *testing.T) {
	w := newWorker(t, Config{})
	live := func(at int64) (int64, int64) {
		w.Tick(at)
		for w.Expire(10) {
		}
		return w.tally.Streams, w.tally.Active
	}
	send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK}, 100*sec)
	send(w, packet.TCP{Src: server, Dst: client, Seq: 1, Ack: 1, Flags: packet.ACK}, 100*sec)
	send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK}, 103*sec) // postpones
	send(w, packet.TCP{Src: server, Dst: client, Seq: 1, Ack: 1, Flags: packet.FIN | packet.ACK}, 104*sec)
	for _, tc := range []struct{ at, streams, active int64 }{
		{104*sec + 999*ms, 2, 1},
		{105*sec + 100*ms, 1, 1}, // a second after the FIN
		{107*sec + 900*ms, 1, 1},
		{108*sec + 100*ms, 0, 0}, // five seconds after the client's last packet
	} {
		if streams, active := live(tc.at); streams != tc.streams || active != tc.active {
			t.Errorf("at %.1f s: %d streams, %d active; want %d, %d", float64(tc.at)/1e9, streams, active, tc.streams, tc.active)
		}
	}
	if w.table.Len() != 0 {
		t.Errorf("%d connections left", w.table.Len())
	}
}

// A packet on a stream whose time has passed, before the wheel has come to it, starts a new one.
func TestALateSlotDoesNotReviveTheDead(t *testing.T) {
	w := newWorker(t, Config{})
	p := packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 100}
	send(w, p, 100*sec)
	p.Seq = 5000
	send(w, p, 106*sec)
	if v := from(t, w, client); v.Packets != 1 || v.Bytes != 100 || v.Gaps != 0 {
		t.Errorf("%+v", v)
	}
	if w.tally.Expired != 1 || w.tally.Streams != 1 || w.tally.Opened != 2 {
		t.Errorf("%+v", w.tally)
	}
}

func TestExpiryKeepsToItsBudget(t *testing.T) {
	w := newWorker(t, Config{})
	for i := range 1000 {
		send(w, packet.TCP{Src: netip.AddrPortFrom(client.Addr(), uint16(i)), Dst: server, Flags: packet.ACK}, 100*sec)
	}
	w.Tick(200 * sec)
	left := int64(1000)
	for more := true; more; {
		more = w.Expire(100)
		if gone := left - w.tally.Streams; gone > 100 {
			t.Fatalf("%d expired in one turn of 100", gone)
		}
		left = w.tally.Streams
	}
	if left != 0 {
		t.Errorf("%d streams left", left)
	}
}

func TestAFullTableCountsWhatFindsNoRoom(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 3})
	for i := range 5 {
		send(w, packet.TCP{Src: netip.AddrPortFrom(client.Addr(), uint16(i)), Dst: server, Flags: packet.ACK}, sec)
	}
	if w.counters.NoRoom != 2 || w.tally.Streams != 3 {
		t.Errorf("no room for %d, %d streams", w.counters.NoRoom, w.tally.Streams)
	}
}

func TestSkippedFramesAreCountedByReason(t *testing.T) {
	w := newWorker(t, Config{})
	v6 := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::1]:1"), Dst: netip.MustParseAddrPort("[2001:db8::2]:2"), Flags: packet.ACK}
	send(w, v6, sec)
	w.Frame(parse.LinkEthernet, make([]byte, 60), 60, sec)
	w.Frame(parse.LinkEthernet, make([]byte, 6), 60, sec)
	for why, want := range map[parse.Reason]uint64{parse.IPv6: 1, parse.NotIP: 1, parse.Truncated: 1, parse.NotTCP: 0} {
		if got := w.counters.Skipped[why]; got != want {
			t.Errorf("%v: %d, want %d", why, got, want)
		}
	}
	if w.tally.Streams != 0 || w.counters.Packets != 3 {
		t.Errorf("%d streams, %d packets", w.tally.Streams, w.counters.Packets)
	}
	both := newWorker(t, Config{IPv6: true})
	send(both, v6, sec)
	if v := viewsOf(both); len(v) != 1 || v[0].Src.Netip().String() != "2001:db8::1" {
		t.Errorf("%+v", v)
	}
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
	w := newWorker(t, Config{})
	p := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.ACK, Payload: 10}.Ethernet()
	w.Block(block(t,
		fakekernel.Frame{Data: p, Hatype: 772, PktType: 4, Time: sec},
		fakekernel.Frame{Data: p, Hatype: 772, PktType: 0, Time: sec},
		fakekernel.Frame{Data: p, Hatype: 1, PktType: 4, Time: sec}, // sent over Ethernet: wanted
	), sec, sec)
	if v := from(t, w, client); v.Packets != 2 {
		t.Errorf("%d packets, want 2", v.Packets)
	}
	if w.counters.Copies != 1 || w.counters.Packets != 3 {
		t.Errorf("%+v", w.counters)
	}
}

// The wall clock may step by an hour either way between two packets, or between a packet's capture
// and its block's walk: nothing expires and no gap is seen.
func TestClockSteps(t *testing.T) {
	const hour = int64(time.Hour)
	for _, step := range []int64{hour, -hour} {
		w := newWorker(t, Config{})
		real := 1_700_000_000 * sec
		mono := 5000 * sec
		seq := uint32(1)
		next := func(at int64) fakekernel.Frame {
			p := packet.TCP{Src: client, Dst: server, Seq: seq, Ack: 1, Flags: packet.ACK, Payload: 100}
			seq += 100
			return fakekernel.Frame{Data: p.Ethernet(), Hatype: 1, Time: at}
		}
		walk := func(frames ...fakekernel.Frame) {
			w.Block(block(t, frames...), mono, real)
			w.Expire(1000)
		}
		for range 10 {
			mono, real = mono+100*ms, real+100*ms
			walk(next(real-20*ms), next(real-10*ms))
		}
		// Captured before the step, walked after it, together with one from after the step.
		mono, real = mono+100*ms, real+100*ms
		before := next(real - 50*ms)
		real += step
		walk(before, next(real-10*ms))
		for range 10 {
			mono, real = mono+100*ms, real+100*ms
			walk(next(real-20*ms), next(real-10*ms))
		}
		v := from(t, w, client)
		if v.Packets != 42 || w.tally.Expired != 0 || v.Gaps != 0 || v.Retransmits != 0 {
			t.Errorf("step of %v: %d packets, %d expired, %+v", time.Duration(step), v.Packets, w.tally.Expired, v)
		}
		if v.Uptime < 1.9 || v.Uptime > 2.2 || v.InterarrivalDeviation > 0.1 {
			t.Errorf("step of %v: uptime %v s, interarrival deviation %v s", time.Duration(step), v.Uptime, v.InterarrivalDeviation)
		}
	}
}

func TestSnapshotInPiecesHoldsEveryStreamOnce(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 5000})
	for i := range 5000 {
		src := netip.AddrPortFrom(client.Addr(), uint16(i))
		send(w, packet.TCP{Src: src, Dst: server, Flags: packet.ACK}, sec)
		if i%3 == 0 {
			send(w, packet.TCP{Src: server, Dst: src, Flags: packet.ACK}, sec)
		}
	}
	type ends struct{ src, dst uint16 }
	seen := map[ends]int{}
	for _, v := range viewsOf(w) {
		seen[ends{v.SrcPort, v.DstPort}]++
	}
	if len(seen) != int(w.tally.Streams) || len(seen) != 5000+1667 {
		t.Errorf("%d streams in the snapshot, %d in the tally", len(seen), w.tally.Streams)
	}
	for e, n := range seen {
		if n != 1 {
			t.Errorf("%v is there %d times", e, n)
		}
	}
	// No piece is larger than it may be.
	var s Snapshot
	if err := s.empty(w.table.Cap()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pos, done := 0, false; !done; {
		before := len(s.Views)
		pos, done = w.viewsFrom(pos, &s)
		if n := len(s.Views) - before; n > pieceStreams || n == 0 && !done {
			t.Fatalf("a piece of %d streams", n)
		}
	}
}

// The whole way of a packet, of new connections and of known ones, and their expiry, allocate
// nothing.
func TestPacketPathAllocatesNothing(t *testing.T) {
	l := newLoad(2000, 1<<14)
	w := newWorker(t, Config{MaxConnections: 2000, StreamAge: 50 * time.Millisecond, FinalizedAge: 20 * time.Millisecond})
	opened := uint64(0)
	n := testing.AllocsPerRun(10, func() {
		l.advance()
		l.run(w)
		if w.tally.Opened == opened {
			t.Fatal("a pass opened no connection")
		}
		opened = w.tally.Opened
		w.Tick(l.now + sec) // everything expires before the next pass
		for w.Expire(expireBudget) {
		}
		if w.tally.Streams != 0 {
			t.Fatalf("%d streams left", w.tally.Streams)
		}
		l.now += 2 * sec
	})
	if n != 0 {
		t.Errorf("%v allocations per pass of %d packets, want 0", n, l.packets)
	}
	if w.counters.NoRoom != 0 || w.counters.BadBlocks != 0 {
		t.Errorf("%+v", w.counters)
	}
	for _, c := range []struct {
		streams  int // of 20,000 batches overlap
		optional bool
	}{{2000, false}, {2000, true}, {20_000, false}, {20_000, true}} {
		known := newWorker(t, Config{MaxConnections: c.streams, StreamAge: time.Hour, FinalizedAge: time.Hour, Optional: c.optional})
		l = newLoad(c.streams, 1<<14)
		l.open(known)
		if known.table.Small() != (c.streams == 2000) {
			t.Fatalf("%d streams are few: %v", c.streams, known.table.Small())
		}
		before := known.tally.Opened
		if n := testing.AllocsPerRun(10, func() { l.advance(); l.run(known) }); n != 0 {
			t.Errorf("%v allocations per pass over known connections, want 0 (%+v)", n, c)
		}
		if known.tally.Opened != before {
			t.Errorf("%d streams opened while all were known", known.tally.Opened-before)
		}
		for _, v := range viewsOf(known) {
			if v.Retransmits+v.OutOfOrder+v.Gaps != 0 {
				t.Fatalf("the load is not clean: %+v", v)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{MaxConnections: 0, StreamAge: 1, FinalizedAge: 1},
		{MaxConnections: 1, StreamAge: 0, FinalizedAge: 1},
		{MaxConnections: 1, StreamAge: 1, FinalizedAge: -1},
		{MaxConnections: math.MaxInt, StreamAge: 1, FinalizedAge: 1},
	} {
		if w, err := NewWorker(cfg); err == nil {
			w.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// When the table is full, half-open connections give way first and finished ones next, the oldest
// before the others; live ones never do.
func TestAFullTableRecycles(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 6})
	at := sec
	port := func(n int) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), uint16(n)) }
	one := func(n int, flags uint8) {
		at += ms
		send(w, packet.TCP{Src: port(n), Dst: server, Seq: 1, Flags: flags}, at)
	}
	has := func(n int) bool {
		for _, v := range viewsOf(w) {
			if v.SrcPort == uint16(n) {
				return true
			}
		}
		return false
	}
	one(1, packet.ACK)
	one(2, packet.ACK)
	one(2, packet.FIN|packet.ACK) // 2 is over
	one(3, packet.SYN)
	one(4, packet.SYN)
	one(5, packet.ACK)
	one(6, packet.ACK)
	one(6, packet.RST) // 6 is over, later than 2
	one(4, packet.ACK) // 4 is no longer half-open
	for step, gone := range []int{3, 7, 2, 6} {
		n := 7 + step
		flags := uint8(packet.ACK)
		if n == 7 {
			flags = packet.SYN
		}
		one(n, flags)
		if has(gone) || !has(n) {
			t.Fatalf("for %d, %d should have made room: %d there, %d there %v", n, gone, n, gone, has(gone))
		}
	}
	one(11, packet.ACK)
	one(12, packet.SYN)
	for _, n := range []int{1, 4, 5, 8, 9, 10} {
		if !has(n) {
			t.Errorf("live connection %d is gone", n)
		}
	}
	c := w.counters
	if c.NoRoom != 2 || c.RecycledHalfOpen != 2 || c.RecycledFinalized != 2 || w.tally.Recycled != 4 || w.tally.Streams != 6 {
		t.Errorf("%+v %+v", c, w.tally)
	}
	w.Tick(at + 60*sec)
	for w.Expire(100) {
	}
	if w.tally.Streams != 0 || w.table.Len() != 0 {
		t.Errorf("%d streams left", w.tally.Streams)
	}
	for c, head := range w.lists.head {
		if head != none || w.lists.tail[c] != none {
			t.Errorf("class %d is not empty", c)
		}
	}
}

func TestSynAgeShortensTheLifeOfHalfOpenConnections(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 10, StreamAge: 60 * time.Second, FinalizedAge: 60 * time.Second, SynAge: 2 * time.Second})
	for n, flags := range []uint8{packet.SYN, packet.ACK} {
		send(w, packet.TCP{Src: netip.AddrPortFrom(client.Addr(), uint16(n)), Dst: server, Seq: 1, Flags: flags}, 100*sec)
	}
	w.Tick(103 * sec)
	for w.Expire(100) {
	}
	if v := viewsOf(w); len(v) != 1 || v[0].SrcPort != 1 {
		t.Errorf("%+v", v)
	}
}
