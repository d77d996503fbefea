package worker

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
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
	w, err := New(cfg)
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

// frame is a packet and when it was captured, in ns.
type frame struct {
	p  packet.TCP
	at int64
}

// source hands out frames in batches.
type source struct {
	w    *Worker
	rest []frame
}

func (s *source) Gather(to *Batch) (n uint) {
	for ; n < BatchSize && len(s.rest) > 0; s.rest = s.rest[1:] {
		s.w.Counters.Packets++
		b := s.rest[0].p.Ethernet()
		to.Times[n] = s.rest[0].at
		if s.w.Decode(parse.LinkEthernet, b, uint32(len(b)), to, n) {
			n++
		}
	}
	return n
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
	if w.Counters.NoRoom != 2 || w.tally.Streams != 3 {
		t.Errorf("no room for %d, %d streams", w.Counters.NoRoom, w.tally.Streams)
	}
}

func TestSkippedFramesAreCountedByReason(t *testing.T) {
	w := newWorker(t, Config{})
	v6 := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::1]:1"), Dst: netip.MustParseAddrPort("[2001:db8::2]:2"), Flags: packet.ACK}
	send(w, v6, sec)
	w.Frame(parse.LinkEthernet, make([]byte, 60), 60, sec)
	w.Frame(parse.LinkEthernet, make([]byte, 6), 60, sec)
	for why, want := range map[parse.Reason]uint64{parse.IPv6: 1, parse.NotIP: 1, parse.Truncated: 1, parse.UDP: 0} {
		if got := w.Counters.Skipped[why]; got != want {
			t.Errorf("%v: %d, want %d", why, got, want)
		}
	}
	if w.tally.Streams != 0 || w.Counters.Packets != 3 {
		t.Errorf("%d streams, %d packets", w.tally.Streams, w.Counters.Packets)
	}
	both := newWorker(t, Config{IPv6: true})
	send(both, v6, sec)
	if v := viewsOf(both); len(v) != 1 || v[0].Src.Netip().String() != "2001:db8::1" {
		t.Errorf("%+v", v)
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
		next := func(at int64) frame {
			p := packet.TCP{Src: client, Dst: server, Seq: seq, Ack: 1, Flags: packet.ACK, Payload: 100}
			seq += 100
			return frame{p, at}
		}
		walk := func(frames ...frame) {
			w.Account(&source{w, frames}, mono, real)
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

// A worker that has lost the processor for longer than an age comes back to many blocks of frames. What the first of
// them has begun goes on in the next ones: none of it expires in between, although it is old by the clock.
func TestNothingExpiresAheadOfItsPackets(t *testing.T) {
	w := newWorker(t, Config{StreamAge: 2 * time.Second, FinalizedAge: 300 * time.Millisecond, SynAge: time.Second})
	const begin = 100 * sec
	now := begin + 10*sec // when the blocks are walked
	seq := uint32(1)
	block := func(at int64, flags uint8) {
		p := packet.TCP{Src: client, Dst: server, Seq: seq, Flags: flags}
		if seq++; flags == packet.ACK {
			p.Payload = 1
		}
		w.Account(&source{w, []frame{{p, at}}}, now, now)
		for w.Expire(1000) {
		}
		now += 50 * ms
	}
	block(begin, packet.SYN)
	for i := range int64(10) {
		block(begin+i*100*ms, packet.ACK)
	}
	block(begin+sec, packet.ACK|packet.FIN)
	block(begin+sec+200*ms, packet.ACK)
	if v := from(t, w, client); v.Packets != 13 || w.tally.Opened != 1 || w.tally.Expired != 0 {
		t.Errorf("%d packets in one stream, %d opened, %d expired, want 13 of one that is there", v.Packets, w.tally.Opened, w.tally.Expired)
	}
	w.Tick(now) // nothing is left to walk
	for w.Expire(1000) {
	}
	if n := len(viewsOf(w)); n != 0 {
		t.Errorf("%d streams are left", n)
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
	if err := s.Empty(w.table.Cap()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pos, done := 0, false; !done; {
		before := len(s.Views)
		pos, done = w.ViewsFrom(pos, 0, &s)
		if n := len(s.Views) - before; n > pieceStreams || n == 0 && !done {
			t.Fatalf("a piece of %d streams", n)
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
		if w, err := New(cfg); err == nil {
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
	c := w.Counters
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
