package worker

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// groupSet returns a Set of texts as the flag -group has them, with the service 443.
func groupSet(t testing.TB, names *group.Names, texts ...string) *group.Set {
	t.Helper()
	b := group.NewBuilder(names, group.MaxGroups)
	for _, text := range texts {
		if err := b.AddText("test", text); err != nil {
			t.Fatal(err)
		}
	}
	services, err := group.ParseServices("443")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Build(services, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readGroups takes a reading by its pieces: between runs between them. It gives up after most pieces, if that is
// above 0, and reports whether it came to the end.
func readGroups(w *Worker, into *group.Reading, most int, between func()) bool {
	w.flush()
	into.Reset()
	into.Grow(w.GroupRows())
	pos := 0
	for n := 1; ; n++ {
		next, done, full := w.GroupsFrom(pos, into)
		switch pos = next; {
		case full:
			into.Grow(w.GroupRows())
		case done:
			return true
		case n == most:
			return false
		}
		between()
	}
}

// tuple is a client's side of the traffic between two endpoints, and the server's.
type tuple struct {
	client, server netip.AddrPort
	isn, nxt       [2]uint32
	step           int
	begun          int
}

// counted is what is known of a stream: of the same addresses and ports, they begin at different times.
type counted struct {
	stream.Counts
	rtts, rttSum, repeated uint64
}

type streamID struct {
	tuple, dir, begun int // begun: times that the tuple's connection was replaced
	first             int64
}

// groupTest drives a worker with random traffic, and keeps the figures of all streams that there ever were, each as
// they were after its latest packet.
type groupTest struct {
	*testing.T
	w      *Worker
	r      *rand.Rand
	now    int64
	tuples []tuple
	all    map[streamID]counted
	opened uint64

	sums    [group.Directions]counted   // over all, by who sent
	samples [group.Legs][]int64         // RTTs, ns, by who sent the ACK
	keys    map[group.Key]*group.Totals // Data by combination, as the test has it; nil: not kept
}

func newGroupTest(t *testing.T, seed uint64, tuples int, cfg Config) *groupTest {
	g := &groupTest{T: t, w: newWorker(t, cfg), r: rand.New(rand.NewPCG(seed, 20)), now: sec, all: map[streamID]counted{}}
	for i := range tuples {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), uint16(20_000+i))
		port := uint16(443)
		if i%3 == 0 {
			port = 9000
		}
		g.tuples = append(g.tuples, tuple{client: client, server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 7)}), port)})
	}
	return g
}

// record returns the record of a tuple's connection.
func (g *groupTest) record(t *tuple) (i uint32, swapped int, known bool) {
	f := parse.FlowOf(parse.AddrFrom(t.client.Addr()), parse.AddrFrom(t.server.Addr()), t.client.Port(), t.server.Port())
	i, known = g.w.table.Find(&f, g.w.table.Hash(&f))
	return i, int(f.Dir()), known
}

// streams returns the figures of a tuple's streams: direction 0 is the client's.
func (g *groupTest) streams(n int) map[streamID]counted {
	i, swapped, known := g.record(&g.tuples[n])
	if !known {
		return nil
	}
	all := map[streamID]counted{}
	r := g.w.table.At(i)
	for dir := range 2 {
		var v stream.View
		if !r.View(dir, g.now, &v) {
			continue
		}
		var e stream.Extra
		r.Extra(dir, 0, &e)
		g.w.table.Optional(i).Extra(dir, &e)
		f := counted{rtts: uint64(e.RTTs), rttSum: e.RTTSum, repeated: e.Repeated}
		f.Packets, f.Bytes, f.Retransmits, f.OutOfOrder = v.Packets, v.Bytes, uint64(v.Retransmits), uint64(v.OutOfOrder)
		f.Gaps, f.DuplicateAcks, f.ZeroWindows, f.Resets = uint64(v.Gaps), uint64(v.DuplicateAcks), uint64(v.ZeroWindows), uint64(v.Resets)
		all[streamID{n, dir ^ swapped, g.tuples[n].begun, e.First}] = f
	}
	return all
}

// packet sends one packet of tuple n, and brings the figures up to date.
func (g *groupTest) packet(n int) {
	g.now += 1 + g.r.Int64N(2e5)
	before := g.streams(n)
	replaced := g.w.tally.Replaced + g.w.hidden.Replaced
	send(g.w, g.draw(&g.tuples[n]), g.now)
	if g.w.tally.Replaced+g.w.hidden.Replaced != replaced {
		g.tuples[n].begun++
	}
	after := g.streams(n)
	fresh := len(after) > 0
	for id, f := range after {
		if _, lived := before[id]; lived {
			fresh = false
		}
		old := g.all[id]
		if i, _, _ := g.record(&g.tuples[n]); *g.w.groups.of(i)&established != established {
			f.DuplicateAcks = old.DuplicateAcks // until both directions were seen
		}
		add(&g.sums[id.dir], &f, &old)
		switch f.rtts - old.rtts {
		case 0:
		case 1: // of data of this direction, which the other side has acknowledged
			leg := [group.Directions]int{group.FromClient: group.ServerLeg, group.FromServer: group.ClientLeg}[id.dir]
			g.samples[leg] = append(g.samples[leg], int64(f.rttSum-old.rttSum))
		default:
			g.Fatalf("one packet has given %d RTT samples", f.rtts-old.rtts)
		}
		if g.keys != nil {
			g.attribute(id, &f, &old)
		}
		g.all[id] = f
	}
	if fresh {
		g.opened++
	}
}

// attribute adds what a stream has counted since the packet before to its combination of now.
func (g *groupTest) attribute(id streamID, f, old *counted) {
	t, set := &g.tuples[id.tuple], g.w.groups.set.Load()
	k := group.Key{Client: set.Find(parse.AddrFrom(t.client.Addr())), Server: set.Find(parse.AddrFrom(t.server.Addr())), Service: set.Service(t.server.Port())}
	if g.keys[k] == nil {
		g.keys[k] = &group.Totals{}
	}
	var was group.Data
	fold(&was, &old.Counts)
	d := &g.keys[k].Data[id.dir]
	fold(d, &f.Counts)
	unfold(d, &old.Counts)
	d.RetransmittedBytes += f.repeated - old.repeated
}

// add adds to sum what f has more than old.
func add(sum, f, old *counted) {
	v, a, b := reflect.ValueOf(sum).Elem(), reflect.ValueOf(f).Elem(), reflect.ValueOf(old).Elem()
	for i := range v.Field(0).NumField() {
		v.Field(0).Field(i).SetUint(v.Field(0).Field(i).Uint() + a.Field(0).Field(i).Uint() - b.Field(0).Field(i).Uint())
	}
	sum.rtts += f.rtts - old.rtts
	sum.rttSum += f.rttSum - old.rttSum
	sum.repeated += f.repeated - old.repeated
}

// draw returns the next packet of a tuple: mostly the next step of a connection, at times something odd.
func (g *groupTest) draw(t *tuple) packet.TCP {
	from := g.r.IntN(2)
	step := t.step
	t.step++
	if step == 0 && g.r.IntN(3) > 0 || g.r.IntN(60) == 0 { // a new connection
		t.isn = [2]uint32{g.r.Uint32(), g.r.Uint32()}
		t.nxt = [2]uint32{t.isn[0] + 1, t.isn[1] + 1}
		t.step = 1
		return t.segment(0, t.isn[0], 0, packet.SYN, 0)
	}
	switch {
	case step == 1 && g.r.IntN(5) > 0:
		return t.segment(1, t.isn[1], t.nxt[0], packet.SYN|packet.ACK, 0)
	case step == 2 && g.r.IntN(5) > 0:
		return t.segment(0, t.nxt[0], t.nxt[1], packet.ACK, 0)
	case step > 12 && g.r.IntN(4) == 0:
		t.step = 0
	}
	seq, ack, flags, size := t.nxt[from], t.nxt[1-from], uint8(packet.ACK), 0
	switch g.r.IntN(24) {
	case 0:
		flags |= packet.FIN
		t.nxt[from]++
	case 1:
		flags |= packet.RST
	case 2: // again
		seq -= uint32(g.r.IntN(300))
		size = 100
	case 3: // a hole
		seq += 500
		size = 100
		t.nxt[from] = seq + 100
	case 4:
		return t.segment(0, t.isn[0], 0, packet.SYN, 0)
	case 5:
		return t.segment(1, t.isn[1], t.isn[0]+1, packet.SYN|packet.ACK, 0)
	case 6, 7: // a duplicate ACK, or a keep-alive's answer
	default:
		size = g.r.IntN(3) * 100
		t.nxt[from] += uint32(size)
	}
	p := t.segment(from, seq, ack, flags, size)
	if g.r.IntN(50) == 0 {
		p.Window = 0
	}
	return p
}

func (t *tuple) segment(from int, seq, ack uint32, flags uint8, size int) packet.TCP {
	p := packet.TCP{Src: t.client, Dst: t.server, Seq: seq, Ack: ack, Flags: flags, Window: 500, Payload: size}
	if from == 1 {
		p.Src, p.Dst = p.Dst, p.Src
	}
	return p
}

// step does one thing that may happen between two pieces of a reading.
func (g *groupTest) step(sets []*group.Set) {
	switch n := g.r.IntN(400); {
	case n == 0:
		g.now += g.r.Int64N(3 * sec)
		g.w.Tick(g.now)
	case n == 1 && sets != nil:
		g.w.SetGroups(sets[g.r.IntN(len(sets))])
		if g.keys != nil {
			for g.w.Regroup() {
			}
		}
	case n < 40:
		g.w.Expire(1 + g.r.IntN(30))
	case n < 80:
		g.w.Regroup()
	default:
		g.packet(g.r.IntN(len(g.tuples)))
	}
}

// total sums up a reading's rows.
func total(r *group.Reading) (t group.Totals) {
	for i := range r.Rows {
		t.Add(&r.Rows[i].Totals)
	}
	return t
}

// check wants a reading to have what the test has.
func (g *groupTest) check(r *group.Reading) {
	g.Helper()
	t := total(r)
	for d, got := range t.Data {
		var want group.Data
		fold(&want, &g.sums[d].Counts)
		want.RetransmittedBytes = g.sums[d].repeated
		// SYNs that were sent again are counted by streams with all others. Those that waited for a new connection are not.
		if all := got.Retransmits + got.HandshakeRetransmits; got.Retransmits > want.Retransmits || all < want.Retransmits {
			g.Fatalf("direction %d: %d retransmissions and %d of handshakes, streams have %d", d, got.Retransmits, got.HandshakeRetransmits, want.Retransmits)
		}
		want.Retransmits, want.HandshakeRetransmits = got.Retransmits, got.HandshakeRetransmits
		if got != want {
			g.Fatalf("direction %d: groups have %+v,\nstreams %+v", d, got, want)
		}
		leg := 1 - d
		if n, sum := t.RTT[leg].Count(), t.RTT[leg].Sum; n != g.sums[d].rtts || sum != g.sums[d].rttSum {
			g.Fatalf("direction %d: %d RTT samples of %d ns, streams have %d of %d ns", d, n, sum, g.sums[d].rtts, g.sums[d].rttSum)
		}
	}
	closed, failed := uint64(0), uint64(0)
	for _, n := range t.Closed {
		closed += n
	}
	for _, n := range t.Failed {
		failed += n
	}
	if t.Opened != g.opened || t.Established != closed+t.EstablishedNow || t.Opened < t.Established+failed+t.HalfOpen+t.OneWay {
		g.Fatalf("%d opened (want %d), %d established, %d closed, %d are; %d failed, %d half-open, %d one-way", t.Opened, g.opened, t.Established, closed, t.EstablishedNow, failed, t.HalfOpen, t.OneWay)
	}
	if t.Duration.Count() != closed || min(t.Size[0].Count(), t.Size[1].Count()) < closed {
		g.Fatalf("%d closed, %d durations, %d and %d sizes", closed, t.Duration.Count(), t.Size[0].Count(), t.Size[1].Count())
	}
	for k, want := range g.keys {
		var got group.Totals
		for i := range r.Rows {
			if r.Rows[i].Key == k {
				got = r.Rows[i].Totals
			}
		}
		for d := range got.Data {
			a, b := got.Data[d], want.Data[d]
			a.Retransmits += a.HandshakeRetransmits
			if a.Retransmits < b.Retransmits {
				g.Fatalf("%+v: %+v, want %+v", k, got.Data, want.Data)
			}
			a.Retransmits, a.HandshakeRetransmits = b.Retransmits, 0
			if a != b {
				g.Fatalf("%+v: %+v, want %+v", k, got.Data, want.Data)
			}
		}
	}
}

// checkSamples wants each RTT histogram to be, bucket by bucket, one of the samples themselves.
func (g *groupTest) checkSamples(t *group.Totals) {
	g.Helper()
	for leg, samples := range g.samples {
		slices.Sort(samples)
		upTo := func(seconds float64) uint64 {
			n, _ := slices.BinarySearchFunc(samples, seconds, func(ns int64, bound float64) int {
				if float64(ns)/1e9 <= bound {
					return -1
				}
				return 1
			})
			return uint64(n)
		}
		h := &t.RTT[leg]
		classic := h.Classic()
		for i, bound := range group.ClassicBounds {
			if got, want := classic[i], upTo(bound); got != want {
				g.Errorf("leg %d: %d samples up to %v s, want %d", leg, got, bound, want)
			}
		}
		var n group.Native
		h.Native(&n)
		if want := upTo(n.ZeroThreshold); n.ZeroCount != want {
			g.Errorf("leg %d: %d samples are zero, want %d", leg, n.ZeroCount, want)
		}
		bucket, count, at, all := int32(0), int64(0), 0, n.ZeroCount
		for _, span := range n.Spans {
			bucket += span.Offset
			for range span.Length {
				count += n.Deltas[at]
				at++
				all += uint64(count)
				if want := upTo(math.Exp2(float64(bucket)/8)) - upTo(math.Exp2(float64(bucket-1)/8)); uint64(count) != want {
					g.Errorf("leg %d: %d samples in native bucket %d, want %d", leg, count, bucket, want)
				}
				bucket++
			}
		}
		if all != uint64(len(samples)) || all == 0 {
			g.Errorf("leg %d: %d samples in native buckets, want %d", leg, all, len(samples))
		}
	}
}

// counters returns all counters of a combination, and names them if asked to.
func counters(t *group.Totals, names *[]string) (all []uint64) {
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				walk(name, v.Index(i))
			}
		default:
			all = append(all, v.Uint())
			if names != nil {
				*names = append(*names, name)
			}
		}
	}
	copied := *t
	copied.HalfOpen, copied.EstablishedNow, copied.OneWay = 0, 0, 0
	walk("", reflect.ValueOf(&copied).Elem())
	return all
}

// noneFell wants no counter of a combination to be lower than it was, and returns those of r.
func (g *groupTest) noneFell(before map[group.Key][]uint64, r *group.Reading) map[group.Key][]uint64 {
	g.Helper()
	now := map[group.Key][]uint64{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if now[row.Key] != nil {
			g.Fatalf("%+v is in the reading twice", row.Key)
		}
		c := counters(&row.Totals, nil)
		now[row.Key] = c
		for i, was := range before[row.Key] {
			if c[i] < was {
				var names []string
				counters(&row.Totals, &names)
				g.Fatalf("%+v: %s fell from %d to %d", row.Key, names[i], was, c[i])
			}
		}
	}
	for k := range before {
		if now[k] == nil {
			g.Fatalf("%+v is gone", k)
		}
	}
	return now
}

// setsOfTest are groups that split the test's clients in several ways.
func setsOfTest(t testing.TB) []*group.Set {
	var names group.Names
	return []*group.Set{
		nil,
		groupSet(t, &names, "a=10.0.0.0/25", "b=10.0.0.128/25", "c=10.0.2.0/23", "web=192.0.2.0/30"),
		groupSet(t, &names, "b=10.0.0.0/16", "web=192.0.2.0/24"),
		groupSet(t, &names, "sub/26=10.0.0.0/16", "web=192.0.2.0/29"),
		groupSet(t, &names, "c=10.0.1.0/24"),
	}
}

// TestGroupsHaveWhatStreamsHave reads groups while packets come, connections expire and are recycled, begin anew and are
// moved to other groups, some readings to their end and some not. Counters never fall; once all is still, groups have
// what all streams ever had, and that in the right combinations where there is room for all.
func TestGroupsHaveWhatStreamsHave(t *testing.T) {
	for _, x := range []struct {
		name         string
		tuples, room int
		max, subnets int
		readings     int
		exact        bool // moves come at once, and combinations are checked one by one
		hidden       bool // half of the traffic is in IPv6, which streams do not have
	}{
		{"one group", 300, 1000, 1, 0, 100, false, false},
		{"room for all", 600, 2000, 64, 64, 300, true, false},
		{"moves by and by", 600, 2000, 64, 64, 300, false, false},
		{"a table too small", 900, 400, 64, 64, 200, false, false},
		{"too few combinations", 600, 2000, 6, 5, 300, false, false},
		{"IPv6 that is hidden", 600, 2000, 64, 64, 200, true, true},
		{"IPv6 in a table too small", 900, 400, 64, 64, 100, false, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			sets := setsOfTest(t)
			g := newGroupTest(t, uint64(len(x.name)), x.tuples, Config{
				MaxConnections: x.room, StreamAge: 5 * time.Second, FinalizedAge: 700 * time.Millisecond, SynAge: 2 * time.Second, Optional: true,
				GroupMax: x.max, GroupMaxSubnets: x.subnets, Groups: sets[1],
			})
			for i := 0; x.hidden && i < len(g.tuples); i += 2 {
				g.tuples[i].client, g.tuples[i].server = toIPv6(g.tuples[i].client), toIPv6(g.tuples[i].server)
			}
			if x.exact {
				g.keys = map[group.Key]*group.Totals{}
			}
			var into group.Reading
			var before map[group.Key][]uint64
			for n := range x.readings {
				for range g.r.IntN(300) {
					g.step(sets)
				}
				most := 0
				if g.r.IntN(5) == 0 {
					most = 1 + g.r.IntN(20)
				}
				least := g.sums
				if !readGroups(g.w, &into, most, func() {
					for range g.r.IntN(40) {
						g.step(sets)
					}
				}) {
					continue
				}
				before = g.noneFell(before, &into)
				got := total(&into)
				for d := range got.Data {
					if p := got.Data[d].Packets; p < least[d].Packets || p > g.sums[d].Packets {
						t.Fatalf("reading %d, direction %d: %d packets, there were %d before it and %d after it", n, d, p, least[d].Packets, g.sums[d].Packets)
					}
				}
				if n%3 == 0 {
					readGroups(g.w, &into, 0, func() {})
					before = g.noneFell(before, &into)
					g.check(&into)
				}
				if into.Used[0] > x.max || into.Used[1] > x.subnets || into.Capacity != [2]int{x.max, x.subnets} || len(into.Rows) > x.max+x.subnets {
					t.Fatalf("%d of %d combinations are in use, %d rows", into.Used, into.Capacity, len(into.Rows))
				}
			}
			s := g.w.Stats()
			if x.room < x.tuples && s.RecycledFinalized+s.RecycledHalfOpen == 0 || s.Expired == 0 || s.Replaced == 0 || x.hidden && s.HiddenTally.Replaced == 0 {
				t.Errorf("too little happened: %+v", s)
			}
			if full := x.max < 60 && x.max > 1; full != (into.Overflow > 0) && x.max > 1 {
				t.Errorf("%d connections found no room", into.Overflow)
			}
			// The end of all.
			g.now += int64(time.Minute)
			g.w.Tick(g.now)
			for g.w.Expire(100) {
			}
			g.w.Groups(&into)
			g.noneFell(before, &into)
			g.check(&into)
			end := total(&into)
			g.checkSamples(&end)
			for reason, n := range end.Closed {
				if n == 0 && (reason != group.ClosedRecycled || x.name == "a table too small") && x.tuples > 300 {
					t.Errorf("no connection was closed for reason %d", reason)
				}
			}
			for reason, n := range end.Failed {
				if n == 0 {
					t.Errorf("no connection failed for reason %d", reason)
				}
			}
			for d := range end.Size {
				if sizes := end.Size[d].Count(); sizes != end.Established {
					t.Errorf("%d sizes, %d were established", sizes, end.Established)
				}
			}
			if end.EstablishedNow+end.HalfOpen+end.OneWay != 0 {
				t.Errorf("%d are established, %d half-open, %d one-way, and all have gone", end.EstablishedNow, end.HalfOpen, end.OneWay)
			}
		})
	}
}
