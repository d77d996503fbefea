package worker

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/stream"
)

// reading takes a snapshot as a live reader gets it: between runs between its pieces.
func reading(t *testing.T, w *Worker, s *Snapshot, between func()) {
	t.Helper()
	if err := s.Empty(w.table.Cap()); err != nil {
		t.Fatal(err)
	}
	for pos, done := 0, false; !done; {
		if pos, done = w.ViewsFrom(pos, 0, s); !done {
			between()
		}
	}
}

// end is a stream by its addresses and ports.
type end struct {
	stream.Ends
	src, dst uint16
}

// streamsOf counts how often each stream is in s.
func streamsOf(s *Snapshot) map[end]int {
	all := map[end]int{}
	for i := range s.Views {
		v := &s.Views[i]
		all[end{v.Ends(s.Wide), v.SrcPort, v.DstPort}]++
	}
	return all
}

// A SYN flood whose addresses and ports recur, on a full table: a connection whose streams a reading has
// copied is recycled and comes back behind the place that the reading has come to.
func TestNoStreamTwiceInAReading(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		const room, tuples = 1000, 1200
		w := newWorker(t, Config{MaxConnections: room, IPv6: v6})
		random := rand.New(rand.NewPCG(1, 2))
		now := sec
		client, server := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("10.0.0.2:443")
		if v6 {
			client, server = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddrPort("[2001:db8::2]:443")
		}
		flood := func(n int) {
			for range n {
				now += 1000
				src := netip.AddrPortFrom(client, uint16(10_000+random.IntN(tuples)))
				send(w, packet.TCP{Src: src, Dst: server, Seq: random.Uint32(), Flags: packet.SYN, Window: 1000}, now)
			}
		}
		flood(20 * room)
		if w.Stats().RecycledHalfOpen == 0 {
			t.Fatal("the table was never full")
		}
		var s Snapshot
		defer s.Close()
		for range 12 {
			before := map[end]int{}
			for i := range w.table.Used() { // those that live through the reading must be in it
				src, dst, srcPort, dstPort := w.table.At(uint32(i)).Key.Endpoints(0)
				before[end{stream.Ends{Src: src, Dst: dst}, srcPort, dstPort}] = i
			}
			gone := map[int]bool{}
			reading(t, w, &s, func() {
				recycled := w.Counters.RecycledHalfOpen
				head := w.lists.head[halfOpen]
				for range 20 {
					flood(1)
					if w.Counters.RecycledHalfOpen != recycled {
						gone[int(head)] = true
					}
					recycled, head = w.Counters.RecycledHalfOpen, w.lists.head[halfOpen]
				}
			})
			twice, all := 0, streamsOf(&s)
			for _, n := range all {
				if n > 1 {
					twice++
				}
			}
			if twice > 0 {
				t.Errorf("IPv6 %v: %d of %d streams are in the reading twice", v6, twice, len(all))
			}
			missed := 0
			for k, i := range before {
				back := end{stream.Ends{Src: k.Dst, Dst: k.Src}, k.dst, k.src}
				if !gone[i] && all[k]+all[back] == 0 {
					missed++
				}
			}
			if missed > 0 {
				t.Errorf("IPv6 %v: %d streams that were there all the time are not in the reading", v6, missed)
			}
		}
	}
}

// What a reading skips because it began during it is in the next one, whether the reading was taken to its
// end or given up.
func TestWhatBeganDuringAReadingIsInTheNext(t *testing.T) {
	for _, givenUp := range []bool{false, true} {
		w := newWorker(t, Config{})
		open := func(port uint16) {
			send(w, packet.TCP{Src: netip.AddrPortFrom(client.Addr(), port), Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 10}, sec)
		}
		for i := range 100 {
			open(uint16(10_000 + i))
		}
		var s Snapshot
		defer s.Close()
		if givenUp {
			if err := s.Empty(w.table.Cap()); err != nil {
				t.Fatal(err)
			}
			if _, done := w.ViewsFrom(0, 0, &s); done {
				t.Fatal("one piece was all")
			}
			open(9000)
		} else {
			reading(t, w, &s, func() { open(9000) })
			if len(s.Views) != 100 {
				t.Errorf("%d streams, want the 100 from before the reading", len(s.Views))
			}
		}
		reading(t, w, &s, func() {})
		if len(s.Views) != 101 {
			t.Errorf("given up %v: the next reading has %d streams, want 101", givenUp, len(s.Views))
		}
	}
}

// A new connection on the addresses and ports of one from before the reading takes its place in the same
// record: the reading has it once. One in a record that came during the reading stays out of it.
func TestAConnectionRenewedDuringAReading(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 100})
	now := sec
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), p) }
	talk := func(p uint16, seq uint32) { // opens, sends 10 bytes, and is reset
		for _, x := range []packet.TCP{
			{Src: port(p), Dst: server, Seq: seq, Flags: packet.SYN, Window: 500},
			{Src: server, Dst: port(p), Seq: 9000, Ack: seq + 1, Flags: packet.SYN | packet.ACK, Window: 500},
			{Src: port(p), Dst: server, Seq: seq + 1, Ack: 9001, Flags: packet.ACK, Window: 500, Payload: 10},
			{Src: server, Dst: port(p), Seq: 9001, Ack: seq + 11, Flags: packet.RST | packet.ACK},
		} {
			now += ms
			send(w, x, now)
		}
	}
	for i := range 100 {
		talk(uint16(10_000+i), 1)
	}
	var s Snapshot
	defer s.Close()
	first := true
	reading(t, w, &s, func() {
		if !first {
			return
		}
		first = false
		talk(10_090, 1<<30) // of before, in its record
		for i := range 95 { // recycles those that ended first
			talk(uint16(20_000+i), 1)
		}
		talk(10_000, 1)     // copied, recycled, and back behind the reading
		talk(10_000, 1<<30) // and renewed there
	})
	all := streamsOf(&s)
	count := func(p uint16) (n int) {
		for k, times := range all {
			if k.src == p || k.dst == p {
				n += times
			}
		}
		return n
	}
	if n := count(10_000); n != 2 {
		t.Errorf("%d streams of the connection that came back, want its 2 of before", n)
	}
	if n := count(20_094); n != 0 {
		t.Errorf("%d streams of a connection that began during the reading, want none", n)
	}
	if n := count(10_090); n != 2 {
		t.Errorf("%d streams of the connection that was renewed in its record, want 2", n)
	}
}
