package stream

import (
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/internal/tcpmodel/tcpsim"
	"tcp-stream-exporter/parse"
)

// openByThree opens a connection by direction 0 and returns the events of its three segments.
func openByThree(c *Conn, t *Tally) (events [3]Event) {
	for i, s := range []struct {
		dir uint32
		seg parse.Segment
		at  int64
	}{
		{0, parse.Segment{Seq: 100, Flags: parse.SYN, Window: 500}, 1e9},
		{1, parse.Segment{Seq: 200, Ack: 101, Flags: parse.SYN | parse.ACK, Window: 500}, 1e9 + 30e6},
		{0, parse.Segment{Seq: 101, Ack: 201, Flags: parse.ACK, Window: 500}, 1e9 + 40e6},
	} {
		events[i], _ = c.Account(s.dir, &s.seg, s.at, t)
	}
	return events
}

func TestEventsOfAHandshake(t *testing.T) {
	c, tally := fresh(), &Tally{}
	want := [3]Event{Opened | Handshaking, Opened | Handshaking | Spoke, Answered | Spoke | HandshakeMeasured}
	if got := openByThree(c, tally); got != want {
		t.Errorf("%b, want %b", got, want)
	}
	if server, client, ok := c.HandshakeLegs(0, 1e9+40e6); server != 30e6 || client != 10e6 || !ok {
		t.Errorf("legs %d and %d ns, %v", server, client, ok)
	}
	if dir, known := c.Client(); dir != 0 || !known {
		t.Errorf("client %d, %v", dir, known)
	}
	far := parse.Segment{Seq: parse.Seq(101).Add(1<<32 - 1<<20), Ack: 201, Len: 10, Flags: parse.ACK, Window: 500}
	if ev, _ := c.Account(0, &far, 1e9+50e6, tally); ev != Retransmitted {
		t.Errorf("far behind: %b", ev)
	}
}

// TestEventsOfOneSegment follows an opened connection, or what stands in before, by one segment.
func TestEventsOfOneSegment(t *testing.T) {
	syn := func(seq parse.Seq) parse.Segment { return parse.Segment{Seq: seq, Flags: parse.SYN, Window: 500} }
	for _, x := range []struct {
		name   string
		before []step2
		dir    uint32
		seg    parse.Segment
		want   Event
	}{
		{"a SYN sent again", []step2{{0, syn(100)}}, 0, syn(100), Handshaking | Retransmitted},
		{"a SYN+ACK sent again", []step2{{0, syn(100)}, {1, parse.Segment{Seq: 200, Ack: 101, Flags: parse.SYN | parse.ACK}}},
			1, parse.Segment{Seq: 200, Ack: 101, Flags: parse.SYN | parse.ACK}, Handshaking | Retransmitted | Spoke},
		{"a RST that refuses", []step2{{0, syn(100)}}, 1, parse.Segment{Ack: 101, Flags: parse.RST | parse.ACK}, Opened | Sooner},
		{"a RST amid", []step2{{0, parse.Segment{Seq: 7, Ack: 9, Len: 1, Flags: parse.ACK, Window: 5}}},
			1, parse.Segment{Seq: 9, Ack: 8, Flags: parse.RST | parse.ACK}, Opened | Spoke | Sooner},
		{"a RST instead of the last ACK", []step2{{0, syn(100)}, {1, parse.Segment{Seq: 200, Ack: 101, Flags: parse.SYN | parse.ACK}}},
			0, parse.Segment{Seq: 101, Flags: parse.RST}, Sooner},
		{"data sent again", []step2{{0, parse.Segment{Seq: 7, Ack: 9, Len: 9, Flags: parse.ACK, Window: 5}}},
			0, parse.Segment{Seq: 7, Ack: 9, Len: 9, Flags: parse.ACK, Window: 5}, Retransmitted},
		{"a SYN amid that came before", []step2{{0, parse.Segment{Seq: 7, Ack: 9, Len: 9, Flags: parse.ACK, Window: 5}}, {0, syn(5000)}}, 0, syn(5000), SYNRepeated},
	} {
		c, tally := fresh(), &Tally{}
		now := int64(1e9)
		for _, b := range x.before {
			c.Account(b.dir, &b.seg, now, tally)
			now += 1e9
		}
		if ev, _ := c.Account(x.dir, &x.seg, now, tally); ev != x.want {
			t.Errorf("%s: %b, want %b", x.name, ev, x.want)
		}
	}
}

type step2 struct {
	dir uint32
	seg parse.Segment
}

func TestWhoTheClientIs(t *testing.T) {
	seg := func(dir uint32, flags parse.Flags) step2 {
		return step2{dir, parse.Segment{Seq: 10 + parse.Seq(dir), Ack: 11, Flags: flags, Window: 9}}
	}
	for _, x := range []struct {
		name  string
		steps []step2
		dir   uint32
		known bool
	}{
		{"mid-stream", []step2{seg(0, parse.ACK), seg(1, parse.ACK)}, 0, false},
		{"mid-stream, and a SYN that waits", []step2{seg(0, parse.ACK), {1, parse.Segment{Seq: 999, Flags: parse.SYN}}}, 0, false},
		{"a SYN", []step2{seg(1, parse.SYN)}, 1, true},
		{"a SYN+ACK", []step2{seg(1, parse.SYN|parse.ACK)}, 0, true},
		{"a SYN+ACK of the lower end", []step2{seg(0, parse.SYN|parse.ACK)}, 1, true},
		{"both", []step2{seg(0, parse.SYN), seg(1, parse.SYN|parse.ACK)}, 0, true},
		{"a simultaneous open", []step2{seg(0, parse.SYN), seg(1, parse.SYN)}, 1, true},
	} {
		c, tally := fresh(), &Tally{}
		for i, s := range x.steps {
			c.Account(s.dir, &s.seg, int64(i+1)*1e9, tally)
		}
		if dir, known := c.Client(); known != x.known || known && dir != x.dir {
			t.Errorf("%s: %d, %v", x.name, dir, known)
		}
	}
}

// TestNothingCountedIsLost sends odd traffic through connections that begin anew, expire and are dropped: what Gone
// took down and what stands in the connection are all that was ever counted, and events come as often as what they
// tell of.
func TestNothingCountedIsLost(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 77))
		o := tcpsim.NewOdd(seed)
		var gone Gone
		gone.Clear()
		c, tally := fresh(), &Tally{Gone: &gone}
		plain := Tally{}
		other := fresh()   // without Gone
		var want [2]Counts // of all segments
		var taken [2]Counts
		take := func() {
			if gone.Streams == 0 && gone.Counts != [2]Counts{} {
				t.Fatalf("seed %d: %+v", seed, gone)
			}
			for dir := range gone.Counts {
				taken[dir] = plus(taken[dir], gone.Counts[dir])
			}
			gone.Clear()
		}
		ages := Ages{Stream: 20 * second, Finalized: 3 * second, Syn: 5 * second}
		spoke := [2]bool{}
		for range 400 {
			f := o.Next()
			if r.IntN(40) == 0 {
				f.Seg.Flags, f.Seg.Len = parse.SYN, 0
			}
			if r.IntN(30) == 0 {
				f.Now += r.Int64N(30 * second)
			}
			if c.Expire(f.Now, &ages, tally) {
				c.Reset()
				spoke = [2]bool{}
			}
			if other.Expire(f.Now, &ages, &plain) {
				other.Reset()
			}
			take()
			before := [2]Counts{}
			for dir := range before {
				c.AddCounts(dir, &before[dir])
			}
			pending := c.state & anyPending
			ev, _ := c.Account(f.Dir, &f.Seg, f.Now, tally)
			evOther, _ := other.Account(f.Dir, &f.Seg, f.Now, &plain)
			if ev != evOther || *c != *other {
				t.Fatalf("seed %d: Gone changes what is counted", seed)
			}
			after := [2]Counts{}
			for dir := range after {
				c.AddCounts(dir, &after[dir])
			}
			if ev&Renewed != 0 {
				spoke = [2]bool{}
				if gone.Counts != before && pending == 0 {
					t.Fatalf("seed %d: %+v gone, want %+v", seed, gone.Counts, before)
				}
				for dir := range after { // a SYN that waited is counted with both connections
					want[dir].Packets += after[dir].Packets
				}
				want[f.Dir].Packets--
			}
			take()
			want[f.Dir].Packets++
			if ev&Retransmitted != 0 {
				want[f.Dir].Retransmits++
			}
			if ev&Spoke != 0 {
				spoke[f.Dir] = true
			}
			if f.Seg.Flags&(parse.SYN|parse.RST|parse.LenUnknown) == 0 && !spoke[f.Dir] {
				t.Fatalf("seed %d: %+v of a direction that has not spoken", seed, f.Seg)
			}
			want[f.Dir].Bytes += after[f.Dir].Bytes
			if ev&Renewed == 0 {
				want[f.Dir].Bytes -= before[f.Dir].Bytes
			}
		}
		tally.Drop(c)
		take()
		for dir := range taken {
			if got, w := taken[dir], want[dir]; got.Packets != w.Packets || got.Bytes != w.Bytes || got.Retransmits != w.Retransmits {
				t.Fatalf("seed %d, direction %d: %+v, want packets, bytes and retransmissions of %+v", seed, dir, got, w)
			}
		}
	}
}

func plus(a, b Counts) Counts {
	return Counts{
		Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes, Retransmits: a.Retransmits + b.Retransmits, OutOfOrder: a.OutOfOrder + b.OutOfOrder,
		Gaps: a.Gaps + b.Gaps, DuplicateAcks: a.DuplicateAcks + b.DuplicateAcks, ZeroWindows: a.ZeroWindows + b.ZeroWindows, Resets: a.Resets + b.Resets,
	}
}
