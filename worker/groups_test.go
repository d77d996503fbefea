package worker

import (
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// sent is a packet of a connection that the tests below follow: which side sends it, 10 ms after the one before.
type sent struct {
	side     int // 0: the client
	seq, ack uint32
	flags    uint8
	payload  int
}

const (
	fSYN    = packet.SYN
	fSYNACK = packet.SYN | packet.ACK
	fACK    = packet.ACK
	fRST    = packet.RST
	fFIN    = packet.FIN | packet.ACK
)

// opening is a handshake of the client's number 100 and the server's 500.
var opening = []sent{{0, 100, 0, fSYN, 0}, {1, 500, 101, fSYNACK, 0}, {0, 101, 501, fACK, 0}}

func then(first []sent, more ...sent) []sent { return append(append([]sent{}, first...), more...) }

// play sends packets between client and server, 10 ms apart, and returns when the latest one was sent.
func play(w *Worker, now int64, packets []sent) int64 {
	for _, s := range packets {
		p := packet.TCP{Src: client, Dst: server, Seq: s.seq, Ack: s.ack, Flags: s.flags, Window: 500, Payload: s.payload}
		if s.side == 1 {
			p.Src, p.Dst = p.Dst, p.Src
		}
		now += 10 * ms
		send(w, p, now)
	}
	return now
}

// row returns a combination of a reading, which must be in it.
func row(t *testing.T, w *Worker, k group.Key) *group.Row {
	t.Helper()
	var r group.Reading
	w.Groups(&r)
	for i := range r.Rows {
		if r.Rows[i].Key == k {
			return &r.Rows[i]
		}
	}
	t.Fatalf("%+v is not in %d rows", k, len(r.Rows))
	return nil
}

// lives is what is counted of a connection's life.
type lives struct {
	opened, established           uint64
	closed                        [group.ClosedReasons]uint64
	failed                        [group.FailedReasons]uint64
	halfOpen, establishedNow, one uint64
}

func livesOf(t *group.Totals) lives {
	return lives{t.Opened, t.Established, t.Closed, t.Failed, t.HalfOpen, t.EstablishedNow, t.OneWay}
}

// TestConnectionsEndUnderTheirReason follows connections to their end, and looks before and after they are expired.
func TestConnectionsEndUnderTheirReason(t *testing.T) {
	closed := func(reason int) (c [group.ClosedReasons]uint64) { c[reason] = 1; return c }
	failed := func(reason int) (f [group.FailedReasons]uint64) { f[reason] = 1; return f }
	over := func(reason int) lives { return lives{opened: 1, established: 1, closed: closed(reason)} }
	fails := func(reason int) lives { return lives{opened: 1, failed: failed(reason)} }
	data := then(opening, sent{0, 101, 501, fACK, 10}, sent{1, 501, 111, fACK, 10}, sent{0, 111, 511, fACK, 0})
	halfOpen, established := lives{opened: 1, halfOpen: 1}, lives{opened: 1, established: 1, establishedNow: 1}
	oneWay := lives{opened: 1, one: 1}
	for _, x := range []struct {
		name         string
		packets      []sent
		now, expired lives
	}{
		{"a SYN", opening[:1], halfOpen, fails(group.FailedUnanswered)},
		{"SYNs", []sent{opening[0], opening[0]}, halfOpen, fails(group.FailedUnanswered)},
		{"a new attempt", []sent{opening[0], {0, 9999, 0, fSYN, 0}},
			lives{opened: 2, failed: failed(group.FailedUnanswered), halfOpen: 1}, lives{opened: 2, failed: [group.FailedReasons]uint64{2}}},
		{"a SYN and its sender's RST", []sent{opening[0], {0, 101, 0, fRST, 0}}, fails(group.FailedUnanswered), fails(group.FailedUnanswered)},
		{"a RST for an answer", []sent{opening[0], {1, 0, 101, fRST | fACK, 0}}, fails(group.FailedRefused), fails(group.FailedRefused)},
		{"refused twice", []sent{opening[0], {1, 0, 101, fRST | fACK, 0}, {0, 200, 0, fSYN, 0}, {1, 0, 201, fRST | fACK, 0}},
			lives{opened: 2, failed: [group.FailedReasons]uint64{group.FailedRefused: 2}}, lives{opened: 2, failed: [group.FailedReasons]uint64{group.FailedRefused: 2}}},
		{"no last ACK", opening[:2], halfOpen, fails(group.FailedUnfinished)},
		{"no last ACK, the SYN+ACK again", then(opening[:2], opening[1], opening[1]), halfOpen, fails(group.FailedUnfinished)},
		{"the client's RST for a last ACK", then(opening[:2], sent{0, 101, 0, fRST, 0}), fails(group.FailedUnfinished), fails(group.FailedUnfinished)},
		{"the server's RST after its SYN+ACK", then(opening[:2], sent{1, 501, 0, fRST, 0}), fails(group.FailedUnfinished), fails(group.FailedUnfinished)},
		{"a SYN+ACK alone", opening[1:2], oneWay, lives{opened: 1}},
		{"a handshake", opening, established, over(group.ClosedTimeout)},
		{"a handshake and a RST of the server", then(opening, sent{1, 501, 101, fRST | fACK, 0}), over(group.ClosedByServer), over(group.ClosedByServer)},
		{"data", data, established, over(group.ClosedTimeout)},
		{"FINs", then(data, sent{0, 111, 511, fFIN, 0}, sent{1, 511, 112, fFIN, 0}, sent{0, 112, 512, fACK, 0}), over(group.ClosedFIN), over(group.ClosedFIN)},
		{"the server's FIN alone", then(data, sent{1, 511, 111, fFIN, 0}), established, over(group.ClosedTimeout)},
		{"a FIN and the other side's RST", then(data, sent{0, 111, 511, fFIN, 0}, sent{1, 511, 112, fRST | fACK, 0}), over(group.ClosedByServer), over(group.ClosedByServer)},
		{"the client's RST", then(data, sent{0, 111, 511, fRST, 0}), over(group.ClosedByClient), over(group.ClosedByClient)},
		{"RSTs of both", then(data, sent{0, 111, 511, fRST, 0}, sent{1, 511, 111, fRST, 0}), over(group.ClosedByClient), over(group.ClosedByClient)},
		{"a RST that is not acceptable", then(data, sent{0, 9999, 511, fRST, 0}), established, over(group.ClosedTimeout)},
		{"new data after the end", then(data, sent{0, 111, 511, fRST, 0}, sent{1, 511, 111, fACK, 100}), over(group.ClosedByClient), over(group.ClosedByClient)},
		{"ports used again after FINs", then(data, sent{0, 111, 511, fFIN, 0}, sent{1, 511, 112, fFIN, 0}, sent{0, 70_000, 0, fSYN, 0}),
			lives{opened: 2, established: 1, closed: closed(group.ClosedFIN), halfOpen: 1},
			lives{opened: 2, established: 1, closed: closed(group.ClosedFIN), failed: failed(group.FailedUnanswered)}},
		{"ports used again without an end", then(data, sent{0, 1 << 30, 0, fSYN, 0}, sent{1, 1 << 29, 1<<30 + 1, fSYNACK, 0}),
			lives{opened: 2, established: 1, closed: closed(group.ClosedTimeout), halfOpen: 1},
			lives{opened: 2, established: 1, closed: closed(group.ClosedTimeout), failed: failed(group.FailedUnfinished)}},
		{"in mid-stream, both sides", data[3:], established, over(group.ClosedTimeout)},
		{"in mid-stream, a RST for data", []sent{data[3], {1, 501, 111, fRST | fACK, 0}}, over(group.ClosedByServer), over(group.ClosedByServer)},
		{"in mid-stream, FINs", []sent{{0, 111, 511, fFIN, 0}, {1, 511, 112, fFIN, 0}}, over(group.ClosedFIN), over(group.ClosedFIN)},
		{"the server's side alone", []sent{opening[1], data[4]}, oneWay, lives{opened: 1}},
		{"the client's side alone", []sent{opening[0], opening[2], data[3]}, oneWay, lives{opened: 1}},
		{"one side alone, and its FIN", []sent{opening[0], opening[2], {0, 101, 501, fFIN, 0}}, lives{opened: 1}, lives{opened: 1}},
		{"a lone RST", []sent{{0, 101, 501, fRST, 0}}, lives{opened: 1}, lives{opened: 1}},
	} {
		w := newWorker(t, Config{GroupMax: 10})
		now := play(w, sec, x.packets)
		r := row(t, w, group.Key{})
		if got := livesOf(&r.Totals); got != x.now {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.now)
		}
		w.Tick(now + 60*sec)
		for w.Expire(10) {
		}
		r = row(t, w, group.Key{})
		if got := livesOf(&r.Totals); got != x.expired {
			t.Errorf("%s, expired: %+v, want %+v", x.name, got, x.expired)
		}
		ended := uint64(0)
		for _, n := range r.Closed {
			ended += n
		}
		if r.Duration.Count() != ended || r.Size[0].Count() != ended || r.Size[1].Count() != ended {
			t.Errorf("%s: %d durations, %d and %d sizes, want %d", x.name, r.Duration.Count(), r.Size[0].Count(), r.Size[1].Count(), ended)
		}
	}
}

// TestASYNThatWaitsEndsNothing has the server's FIN come, the client's stream go for its age, and then another segment of
// the server: a connection of which one side has sent a FIN ends for its age, whether a SYN waits in it or not.
func TestASYNThatWaitsEndsNothing(t *testing.T) {
	for _, x := range []struct {
		name string
		last sent // of the client
	}{
		{"no SYN waits", sent{0, 101, 501, fACK, 0}},
		{"a SYN waits", sent{0, 1 << 30, 0, fSYN, 0}},
	} {
		w := newWorker(t, Config{GroupMax: 10, StreamAge: 20 * time.Second, FinalizedAge: 4 * time.Second})
		now := play(w, 100*sec, then(opening, sent{1, 501, 101, fACK, 10}, x.last))
		play(w, now+18*sec, []sent{{1, 511, 101, fFIN, 0}})
		now += 21 * sec
		w.Tick(now)
		for w.Expire(10) {
		}
		if n := len(viewsOf(w)); n != 1 {
			t.Fatalf("%s: %d streams are left, want the server's alone", x.name, n)
		}
		now = play(w, now, []sent{{1, 512, 101, fACK, 0}})
		w.Tick(now + 60*sec)
		for w.Expire(10) {
		}
		want := lives{opened: 1, established: 1}
		want.closed[group.ClosedTimeout] = 1
		if got := livesOf(&row(t, w, group.Key{}).Totals); got != want {
			t.Errorf("%s: %+v, want %+v", x.name, got, want)
		}
	}
}

// TestPortsUsedAgainAfterTheSYNExpired has a SYN's stream go for its age while that of the SYN+ACK is young. A SYN that
// the SYN+ACK did not acknowledge begins another connection, which its own SYN+ACK confirms; one that it did acknowledge is
// of the same. The server's FIN comes when the client's stream has gone.
func TestPortsUsedAgainAfterTheSYNExpired(t *testing.T) {
	again := lives{opened: 2, established: 1, closed: [group.ClosedReasons]uint64{group.ClosedFIN: 1}, failed: [group.FailedReasons]uint64{group.FailedUnfinished: 1}}
	same := lives{opened: 1, established: 1, closed: again.closed}
	for _, x := range []struct {
		name           string
		SYNs           []sent
		server, client uint32 // their numbers after the handshake
		want           lives
		retransmits    uint32 // of the server
	}{
		{"another number", []sent{{0, 1 << 30, 0, fSYN, 0}}, 3<<30 + 1, 1<<30 + 1, again, 0},
		{"another number, twice", []sent{{0, 1 << 30, 0, fSYN, 0}, {0, 1 << 30, 0, fSYN, 0}}, 3<<30 + 1, 1<<30 + 1, again, 0},
		{"the same number", opening[:1], 501, 101, same, 1},
		{"the same number, and data", []sent{{0, 50, 0, fSYN, 50}}, 501, 101, same, 1},
	} {
		w := newWorker(t, Config{GroupMax: 10, StreamAge: 20 * time.Second, FinalizedAge: 4 * time.Second, SynAge: 7 * time.Second})
		play(w, 100*sec, opening[:1])
		play(w, 106*sec, opening[1:2])
		play(w, 112*sec, then(x.SYNs,
			sent{1, x.server - 1, x.client, fSYNACK, 0}, sent{0, x.client, x.server, fACK, 100}, sent{1, x.server, x.client + 100, fACK, 200},
			sent{0, x.client + 100, x.server + 200, fFIN, 0}, sent{1, x.server + 200, x.client + 101, fACK, 0}))
		play(w, 118*sec, []sent{{1, x.server + 200, x.client + 101, fFIN, 0}})
		if got := livesOf(&row(t, w, group.Key{}).Totals); got != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.want)
		}
		if v := from(t, w, server); v.Retransmits != x.retransmits || !v.Finalized {
			t.Errorf("%s: of the server %d retransmits, finalized %v; want %d, true", x.name, v.Retransmits, v.Finalized, x.retransmits)
		}
	}
}

// TestFiguresOfAConnection follows one in all its figures.
func TestFiguresOfAConnection(t *testing.T) {
	w := newWorker(t, Config{GroupMax: 10, StreamAge: time.Minute, FinalizedAge: time.Second})
	now := play(w, sec, []sent{
		{0, 100, 0, fSYN, 0},
		{1, 500, 101, fSYNACK, 0}, // 10 ms
		{0, 101, 501, fACK, 0},    // 10 ms
		{0, 101, 501, fACK, 200},
		{1, 501, 301, fACK, 1000}, // 10 ms
		{1, 501, 301, fACK, 1000}, // again
		{0, 301, 1501, fACK, 0},   // of which of them is not known
		{1, 3501, 301, fACK, 100}, // a gap
		{0, 301, 1501, fACK, 0},   // a duplicate
		{1, 3601, 301, fACK, 50},
		{0, 301, 1501, fFIN, 0},
		{1, 3651, 302, fFIN, 0}, // 10 ms
	})
	const handshake, rtt = 10e6, 10e6
	for range 2 {
		r := row(t, w, group.Key{})
		want := [2]group.Data{
			{Packets: 6, Bytes: 200, DuplicateAcks: 1},
			{Packets: 6, Bytes: 2150, Retransmits: 1, RetransmittedBytes: 1000, Gaps: 1},
		}
		if r.Data != want {
			t.Errorf("%+v,\nwant %+v", r.Data, want)
		}
		// Who sent the ACK is on the side of the time: the SYN+ACK and the ACKs of 200 bytes and of the FIN, and the
		// ACK of the SYN+ACK.
		if a, b := &r.RTT[group.ServerLeg], &r.RTT[group.ClientLeg]; a.Count() != 3 || a.Sum != 3*rtt || b.Count() != 1 || b.Sum != rtt {
			t.Errorf("RTT: server %d of %d ns, client %d of %d ns", a.Count(), a.Sum, b.Count(), b.Sum)
		}
		for leg := range r.Handshake {
			if h := &r.Handshake[leg]; h.Count() != 1 || h.Sum != handshake {
				t.Errorf("handshake, leg %d: %d of %d ns", leg, h.Count(), h.Sum)
			}
		}
		if r.Duration.Sum != 110e6 || r.Size[group.FromClient].Sum != 200 || r.Size[group.FromServer].Sum != 2150 {
			t.Errorf("%d ns, %d and %d bytes", r.Duration.Sum, r.Size[0].Sum, r.Size[1].Sum)
		}
		w.Tick(now + 2*sec)
		w.Expire(10)
	}
}

// TestRepeatsInTheHandshake wants SYNs and SYN+ACKs that were sent again to be told from data, and to give no time.
func TestRepeatsInTheHandshake(t *testing.T) {
	w := newWorker(t, Config{GroupMax: 10})
	play(w, sec, []sent{opening[0], opening[0], opening[0], opening[1], opening[1], opening[2], {0, 101, 501, fACK, 10}, {0, 101, 501, fACK, 10}})
	r := row(t, w, group.Key{})
	want := [2]group.Data{{Packets: 6, Bytes: 20, Retransmits: 1, RetransmittedBytes: 10, HandshakeRetransmits: 2}, {Packets: 2, HandshakeRetransmits: 1}}
	if r.Data != want {
		t.Errorf("%+v,\nwant %+v", r.Data, want)
	}
	if n := r.Handshake[0].Count() + r.Handshake[1].Count(); n != 0 {
		t.Errorf("%d handshake times", n)
	}
}

// TestWhoIsTheClient looks at which combination a connection counts for, from its first packet on.
func TestWhoIsTheClient(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.1.0.1")
	var names group.Names
	set := groupSet(t, &names, "a=10.0.0.0/16", "b=10.1.0.0/16")
	groupOf := func(addr netip.Addr) group.Member { return set.Find(parse.AddrFrom(addr)) }
	aToB := group.Key{Client: groupOf(a), Server: groupOf(b)}
	bToA := group.Key{Client: groupOf(b), Server: groupOf(a)}
	service := func(k group.Key) group.Key { k.Service = 443; return k }
	for _, x := range []struct {
		name         string
		aPort, bPort uint16
		side         []int // 0: a sends
		flags        []uint8
		want         group.Key
	}{
		{"a SYN to a low port", 50_000, 80, []int{0}, []uint8{fSYN}, aToB},
		{"a SYN to a high port", 80, 50_000, []int{0}, []uint8{fSYN}, aToB},
		{"a SYN from a service's port", 443, 50_000, []int{0}, []uint8{fSYN}, aToB},
		{"a SYN+ACK", 50_000, 80, []int{0}, []uint8{fSYNACK}, bToA},
		{"a SYN+ACK of a service", 443, 80, []int{0}, []uint8{fSYNACK}, service(bToA)},
		{"mid-stream to a low port", 50_000, 80, []int{1}, []uint8{fACK}, aToB},
		{"mid-stream to a service", 80, 443, []int{1}, []uint8{fACK}, service(aToB)},
		{"mid-stream from a service", 443, 80, []int{1}, []uint8{fACK}, service(bToA)},
		{"mid-stream, both are services", 443, 443, []int{0}, []uint8{fACK}, service(aToB)},
		{"mid-stream, and the SYN+ACK says otherwise", 50_000, 80, []int{0, 0}, []uint8{fACK, fSYNACK}, bToA},
		{"a SYN, and the other's SYN", 50_000, 80, []int{1, 0}, []uint8{fSYN, fSYN}, bToA},
	} {
		w := newWorker(t, Config{GroupMax: 10, Groups: set})
		ends := [2]netip.AddrPort{netip.AddrPortFrom(a, x.aPort), netip.AddrPortFrom(b, x.bPort)}
		for i, side := range x.side {
			send(w, packet.TCP{Src: ends[side], Dst: ends[1-side], Seq: 100, Ack: 200, Flags: x.flags[i], Window: 9}, sec+int64(i)*ms)
		}
		// What came before the client was known is counted where it was.
		r := row(t, w, x.want)
		last := r.Data[group.FromClient].Packets + r.Data[group.FromServer].Packets
		if last != 1 && len(x.side) == 1 || r.HalfOpen+r.OneWay+r.EstablishedNow != 1 {
			t.Errorf("%s: %d packets, %d half-open, %d one-way", x.name, last, r.HalfOpen, r.OneWay)
		}
	}
}

// TestALateSYNACKMoves wants a connection's packets from before it under the guess, and those from then on where they
// belong.
func TestALateSYNACKMoves(t *testing.T) {
	var names group.Names
	set := groupSet(t, &names, "c=192.0.2.0/24", "s=198.51.100.0/24")
	c, s := set.Find(parse.AddrFrom(client.Addr())), set.Find(parse.AddrFrom(server.Addr()))
	w := newWorker(t, Config{GroupMax: 10, Groups: set})
	// The server answers before the capture has its SYN+ACK, and the port is no service.
	far := netip.AddrPortFrom(server.Addr(), 50_001)
	send(w, packet.TCP{Src: far, Dst: client, Seq: 501, Ack: 101, Flags: fACK, Payload: 100, Window: 9}, sec)
	send(w, packet.TCP{Src: far, Dst: client, Seq: 500, Ack: 101, Flags: fSYNACK, Window: 9}, sec+ms)
	send(w, packet.TCP{Src: client, Dst: far, Seq: 101, Ack: 601, Flags: fACK, Payload: 30, Window: 9}, sec+2*ms)
	before := row(t, w, group.Key{Client: s, Server: c})
	after := row(t, w, group.Key{Client: c, Server: s})
	if before.Data[group.FromClient].Packets != 2 || before.Data[group.FromClient].Bytes != 100 || before.EstablishedNow != 0 || before.Opened != 1 {
		t.Errorf("as it was guessed: %+v", before.Data)
	}
	if after.Data != [2]group.Data{{Packets: 1, Bytes: 30}} || after.EstablishedNow != 1 || after.Established != 1 || after.Opened != 0 {
		t.Errorf("as it is: %+v, %+v", after.Data, livesOf(&after.Totals))
	}
}

// TestCombinationsWithoutRoom wants what finds none under other, with its service if that has a combination.
func TestCombinationsWithoutRoom(t *testing.T) {
	var names group.Names
	set := groupSet(t, &names, "c=192.0.2.0/24", "sub/32=203.0.113.0/24")
	w := newWorker(t, Config{GroupMax: 3, GroupMaxSubnets: 2, Groups: set})
	open := func(src string, port uint16) {
		dst := netip.AddrPortFrom(server.Addr(), port)
		send(w, packet.TCP{Src: netip.MustParseAddrPort(src), Dst: dst, Seq: 1, Flags: fSYN, Window: 9}, sec)
	}
	open("198.51.100.1:1000", 443) // other → other, 443
	open("192.0.2.1:1000", 443)    // c → other, 443: no room for another
	open("192.0.2.1:1001", 80)     // c → other, other
	open("203.0.113.1:1000", 443)  // two subnets
	open("203.0.113.2:1000", 443)
	open("203.0.113.3:1000", 443)
	open("203.0.113.4:1000", 80)
	var r group.Reading
	w.Groups(&r)
	if r.Overflow != 3 || r.Used != [2]int{3, 2} || r.Capacity != [2]int{3, 2} || len(r.Rows) != 5 {
		t.Fatalf("overflow %d, used %d of %d, %d rows", r.Overflow, r.Used, r.Capacity, len(r.Rows))
	}
	for k, want := range map[group.Key]uint64{{}: 2, {Service: 443}: 2} {
		if got := row(t, w, k).Opened; got != want {
			t.Errorf("%+v: %d, want %d", k, got, want)
		}
	}
}

// TestInterfacesAreCombinations wants a connection's interface in its key where the worker tells connections apart by it.
func TestInterfacesAreCombinations(t *testing.T) {
	w := newWorker(t, Config{GroupMax: 10, ByInterface: true})
	b := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: fSYN, Window: 9}.Ethernet()
	x := &w.batches[0]
	for i := range 2 {
		w.setNow(sec)
		w.DecodeSeen(parse.LinkEthernet, b, uint32(len(b)), Sight{IfIndex: int32(7 + i)}, x, 0)
		x.Times[0], w.gathered = sec, 1
		w.flush()
	}
	for _, index := range []uint32{7, 8} {
		if got := row(t, w, group.Key{Interface: index}).Opened; got != 1 {
			t.Errorf("interface %d: %d connections", index, got)
		}
	}
}

// TestGroupsAllocateNothing on the packet path, while connections begin and end, in readings, and in moves.
func TestGroupsAllocateNothing(t *testing.T) {
	sets := setsOfTest(t)
	w := newWorker(t, Config{MaxConnections: 3000, GroupMax: 20, GroupMaxSubnets: 20, Groups: sets[1]})
	var frames [][]byte
	for i := range 2000 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1000)
		for _, p := range []packet.TCP{
			{Src: src, Dst: server, Seq: 100, Flags: fSYN, Window: 9},
			{Src: server, Dst: src, Seq: 500, Ack: 101, Flags: fSYNACK, Window: 9},
			{Src: src, Dst: server, Seq: 101, Ack: 501, Flags: fACK, Window: 9},
			{Src: server, Dst: src, Seq: 501, Ack: 101, Flags: fRST, Window: 9},
		} {
			frames = append(frames, p.Ethernet())
		}
	}
	var r group.Reading
	r.Grow(100)
	now, n := sec, 0
	if a := testing.AllocsPerRun(20, func() {
		pos, done := 0, false
		w.SetGroups(sets[1+n%4])
		n++
		for i, f := range frames {
			now += 1000
			w.Frame(parse.LinkEthernet, f, uint32(len(f)), now)
			if i%50 == 0 && !done {
				pos, done, _ = w.GroupsFrom(pos, &r)
			}
			if i%5 == 0 {
				w.Regroup()
			}
		}
		if !done {
			t.Error("the reading did not come to its end")
		}
		now += 2 * sec
		w.Tick(now)
		for w.Expire(512) {
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
	if len(r.Rows) < 10 {
		t.Errorf("%d rows", len(r.Rows))
	}
	if s := w.Stats(); s.Expired == 0 || s.Gone != nil {
		t.Errorf("%d expired, %v", s.Expired, s.Gone)
	}
}

// TestAReadingThatFindsNoRoom goes on once there is room.
func TestAReadingThatFindsNoRoom(t *testing.T) {
	w := newWorker(t, Config{GroupMax: 50, Groups: setsOfTest(t)[1]})
	for i := range 20 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % 4), byte(i * 60)}), uint16(1000+i))
		send(w, packet.TCP{Src: src, Dst: server, Seq: 1, Flags: fSYN, Window: 9}, sec)
	}
	r := group.Reading{Rows: make([]group.Row, 0, 1)}
	pos, done, full, times := 0, false, true, 0
	for full {
		for done = false; !done; {
			pos, done, full = w.GroupsFrom(pos, &r)
		}
		if full {
			times++
			r.Grow(1)
		}
	}
	opened := uint64(0)
	for i := range r.Rows {
		opened += r.Rows[i].Opened
	}
	if times == 0 || len(r.Rows) != r.Used[0] || opened != 20 {
		t.Errorf("full %d times, %d rows of %d, %d connections", times, len(r.Rows), r.Used[0], opened)
	}
}

// TestWithoutGroups nothing is summed up, and nothing asked for.
func TestWithoutGroups(t *testing.T) {
	w := newWorker(t, Config{})
	play(w, sec, opening)
	w.SetGroups(nil)
	var r group.Reading
	w.Groups(&r)
	if len(r.Rows) != 0 || w.Regroup() || w.GroupRows() != 0 {
		t.Errorf("%+v", r)
	}
	for _, cfg := range []Config{{GroupMax: -1}, {GroupMax: MaxCombinations + 1}, {GroupMax: 1, GroupMaxSubnets: -1}} {
		cfg.MaxConnections, cfg.StreamAge, cfg.FinalizedAge = 10, time.Second, time.Second
		if w, err := New(cfg); err == nil {
			w.Close()
			t.Errorf("%d, %d: no error", cfg.GroupMax, cfg.GroupMaxSubnets)
		}
	}
}
