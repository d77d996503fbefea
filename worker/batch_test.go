package worker

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// crowd draws n packets of many connections, from SYN to FIN or RST and anew, with repeats, holes and
// whole trains of one connection, in IPv4 and IPv6.
func crowd(seed uint64, connections, n int, step time.Duration) (all []frame) {
	r := rand.New(rand.NewPCG(seed, 7))
	type conn struct{ sent, acked, of uint32 }
	conns := make([]conn, connections)
	at, i := sec, 0
	for len(all) < n {
		if r.IntN(3) != 0 { // else the train goes on
			i = r.IntN(connections)
		}
		c := &conns[i]
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1000)
		dst := server
		if i%16 == 0 {
			src, dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)}), 1000), netip.MustParseAddrPort("[fd00::1]:443")
		}
		at += r.Int64N(2 * int64(step))
		p := packet.TCP{Src: src, Dst: dst, Seq: c.of + c.sent, Ack: 1, Flags: packet.ACK, Window: 500}
		switch kind := r.IntN(20); {
		case c.sent == 0:
			p.Flags, p.Ack = packet.SYN, 0
			c.sent = 1
		case kind == 0: // the end, and another connection next time
			p.Flags |= []uint8{packet.FIN, packet.RST}[r.IntN(2)]
			*c = conn{of: c.of + 1_000_000}
		case kind < 8:
			p.Src, p.Dst, p.Seq, p.Ack = dst, src, 1, c.of+c.sent
			c.acked = c.sent
		default:
			p.Payload = 1 + r.IntN(100)
			switch r.IntN(20) {
			case 0:
				p.Seq = c.of + c.acked // again
			case 1:
				p.Seq += 100 // a hole
			}
			if end := p.Seq - c.of + uint32(p.Payload); end > c.sent {
				c.sent = end
			}
		}
		all = append(all, frame{p, at})
	}
	return all
}

// inBatchesOf accounts packets in blocks of many sizes, expiring after each of them.
func inBatchesOf(t *testing.T, w *Worker, packets []frame, after func(now int64)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for len(packets) > 0 {
		n := min(len(packets), 1+r.IntN(200))
		now := packets[n-1].at
		w.Account(&source{w, packets[:n]}, now, now)
		after(now)
		packets = packets[n:]
	}
}

// Whatever connections come, go and begin anew between the looking up of a batch and its accounting:
// it is as if one packet was accounted after the other.
func TestBatchesThatOverlapAreAsOneByOne(t *testing.T) {
	const connections = 6000
	for _, optional := range []bool{false, true} {
		cfg := Config{MaxConnections: 2 * connections, StreamAge: time.Second, FinalizedAge: 300 * time.Millisecond, IPv6: true, Optional: optional}
		packets := crowd(3, connections, 60_000, 50*time.Microsecond)
		batches, single := newWorker(t, cfg), newWorker(t, cfg)
		rest, overlapped, renewed := packets, 0, false
		inBatchesOf(t, batches, packets, func(now int64) {
			if !batches.table.Small() {
				overlapped++
			}
			for len(rest) > 0 && rest[0].at <= now {
				send(single, rest[0].p, rest[0].at)
				rest = rest[1:]
			}
			for batches.Expire(512) {
			}
			for single.Expire(512) {
			}
			if batches.tally != single.tally {
				t.Fatalf("%+v, one by one %+v", batches.tally, single.tally)
			}
			renewed = renewed || uint64(batches.tally.Streams) < batches.tally.Opened
		})
		if overlapped < 100 || !renewed {
			t.Fatalf("%d blocks in batches that overlap, streams went: %v", overlapped, renewed)
		}
		if batches.Counters.Packets != single.Counters.Packets || batches.Counters.Skipped != single.Counters.Skipped {
			t.Errorf("%+v, one by one %+v", batches.Counters, single.Counters)
		}
		got, want := figuresOf(t, batches), figuresOf(t, single)
		if len(got) != len(want) || len(got) < connections {
			t.Fatalf("%d streams, one by one %d", len(got), len(want))
		}
		for ends, v := range want {
			if got[ends] != v {
				t.Fatalf("%v has\n%+v, one by one\n%+v", ends, got[ends], v)
			}
		}
	}
}

// figures are all that is known of a stream.
type figures struct {
	stream.View
	stream.Extra
}

func figuresOf(t *testing.T, w *Worker) map[stream.Ends]figures {
	t.Helper()
	s := Snapshot{WithExtras: w.optional}
	defer s.Close()
	if err := w.Snapshot(&s); err != nil {
		t.Fatal(err)
	}
	all := map[stream.Ends]figures{}
	for i, v := range s.Views {
		f := figures{View: v}
		if w.optional {
			f.Extra = s.Extras[i]
		}
		ends := v.Ends(s.Wide)
		f.View.SetEnds(stream.Ends{}, nil) // where they stand is the snapshot's own affair
		all[ends] = f
	}
	return all
}

// While SYNs of strangers push one another out of a full table, in the middle of batches, the
// established connections' figures are the same as without them. Each stranger knocks twice, the
// second time about when it is pushed out: the record may be another's by then.
func TestRecyclingBetweenLookUpAndAccounting(t *testing.T) {
	const connections = 4500
	cfg := Config{MaxConnections: connections + 100, StreamAge: time.Hour, FinalizedAge: time.Hour}
	quiet, flooded := newWorker(t, cfg), newWorker(t, cfg)
	r := rand.New(rand.NewPCG(5, 5))
	var alone, flood []frame
	add := func(p packet.TCP, at int64, stranger bool) {
		flood = append(flood, frame{p, at})
		if !stranger {
			alone = append(alone, frame{p, at})
		}
	}
	sent := make([]uint32, connections)
	var strangers []netip.AddrPort
	for n := range 60_000 {
		at := sec + int64(n)*10_000
		if n >= connections && r.IntN(2) == 0 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, byte(len(strangers) >> 8), byte(len(strangers))}), 2000)
			if ago := 80 + r.IntN(40); len(strangers) > ago && r.IntN(2) == 0 {
				from = strangers[len(strangers)-ago]
			} else {
				strangers = append(strangers, from)
			}
			add(packet.TCP{Src: from, Dst: server, Seq: r.Uint32(), Flags: packet.SYN, Window: 500}, at, true)
			continue
		}
		i := n
		if n >= connections {
			i = r.IntN(connections)
		}
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1000)
		add(packet.TCP{Src: src, Dst: server, Seq: 1 + sent[i], Ack: 1, Flags: packet.ACK, Window: 500, Payload: 10}, at, false)
		sent[i] += 10
	}
	inBatchesOf(t, quiet, alone, func(int64) {})
	knocks, rest := map[parse.Addr]uint64{}, flood
	inBatchesOf(t, flooded, flood, func(now int64) {
		for len(rest) > 0 && rest[0].at <= now {
			knocks[parse.AddrFrom(rest[0].p.Src.Addr())]++
			rest = rest[1:]
		}
		for _, v := range viewsOf(flooded) {
			if v.Packets > knocks[v.Src] {
				t.Fatalf("%v has sent %d packets, and %d are said to be its", v.Src, knocks[v.Src], v.Packets)
			}
		}
	})
	if flooded.Counters.RecycledHalfOpen < 10_000 || flooded.Counters.NoRoom != 0 || flooded.Counters.RecycledFinalized != 0 {
		t.Fatalf("%+v", flooded.Counters)
	}
	got := figuresOf(t, flooded)
	for ends, v := range figuresOf(t, quiet) {
		if got[ends] != v {
			t.Fatalf("%v has\n%+v, without strangers\n%+v", ends, got[ends], v)
		}
	}
}
