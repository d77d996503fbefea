package worker

import (
	"sync/atomic"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// groups sums up connections by combination (group.Key). No counter of it is touched for an ordinary packet but the
// histogram of an RTT sample:
//
//	packets, bytes, …    sums of what is gone, plus what the records have: added when they are read
//	retransmitted bytes  when they come: a record has no counter for them
//	opened, closed, …    when it happens
//	gauges               added from the records when they are read
//
// What is gone of a connection is added to the sums of its combination (settle). One that moves to another combination
// leaves what it has counted so far: it is added to the sums of the old one, and subtracted from those of the new one, so
// that sums and record together are what is counted from then on. Sums may be below 0 for that, in the arithmetic of
// uint64, but never together with the records.
//
// A reading takes records in order of their index while packets come (groupreading.go).
type groups struct {
	*combinations
	records *table.Table                  // of which each connection's Tag is its grouping
	hists   table.Mapped[group.Histogram] // by combination: kinds of them

	lives []life // by combination
	sums  []sums // by combination
	set   atomic.Pointer[group.Set]

	overflow uint64
	gone     stream.Gone // of the connection at hand, see settle

	reading groupReading
	moves   regrouping
}

// Histograms of a combination: RTT and handshake, and of each the two legs. The first bit is the leg, so that the one of
// an RTT sample is a record's grouping XOR the direction of the ACK.
const (
	rttHist       = 0
	handshakeHist = 1 << 1
	kindBits      = 2
	kinds         = 1 << kindBits
)

// grouping holds the combination of a record's connection, and what is known and was counted of the connection:
//
//	31 … 24   23 … 2                    1   0
//	flags     the combination's number  0   clientDir
type grouping uint32

const (
	flagShift = 24
	flags     = ^grouping(1<<flagShift - 1)

	clientDir grouping = 1 // the client is the sender of direction 1
)

const (
	clientSure grouping = 1 << (flagShift + iota) // a SYN or SYN+ACK has shown who the client is
	spoke0                                        // direction 0 has shown that it takes part, see stream.Spoke
	spoke1
	ended    // its end was counted, if that counts
	answered // the server's first packet was a SYN+ACK
	sized0   // direction 0 is in Totals.Size
	sized1

	established = spoke0 | spoke1
)

// clip takes out of n what one direction alone cannot show: whether an ACK that is repeated is a duplicate one, which
// takes data outstanding the other way (RFC 5681 section 2, a). Once both directions were seen it stays in, also what
// was counted before, so that no counter falls.
func (v grouping) clip(n *stream.Counts) {
	if v&established != established {
		n.DuplicateAcks = 0
	}
}

// groupingOf returns the grouping of a connection of combination n whose client is the sender of direction client.
func groupingOf(n, client uint32) grouping { return grouping(n<<kindBits | client) }

func (v grouping) number() uint32 { return uint32(v&^flags) >> kindBits }

// role returns whose packets those of direction dir are: group.FromClient or group.FromServer.
func (v grouping) role(dir uint32) uint32 { return (uint32(v) ^ dir) & 1 }

// life is what was counted of the connections of a combination when it happened.
type life struct {
	opened, established uint64
	closed              [group.ClosedReasons]uint64
	failed              [group.FailedReasons]uint64
	duration            group.Durations
	size                [group.Directions]group.Sizes
}

// sums are what was counted of the packets of a combination, and its gauges.
type sums struct {
	folded                           [group.Directions]group.Data // of what is gone
	deferred                         [group.Directions]group.Data // the same, for the next reading
	live                             [group.Directions]group.Data // of the records that the reading has come to
	halfOpen, establishedNow, oneWay uint64                       // likewise
}

func newGroups(cfg *Config, records *table.Table) (*groups, error) {
	n := cfg.GroupMax + cfg.GroupMaxSubnets
	hists, err := table.NewMapped[group.Histogram](kinds * n)
	if err != nil {
		return nil, err
	}
	g := &groups{
		combinations: newCombinations(cfg.GroupMax, cfg.GroupMaxSubnets), records: records,
		hists: hists, lives: make([]life, n), sums: make([]sums, n),
	}
	g.gone.Clear()
	g.set.Store(cfg.Groups)
	g.moves.to = cfg.Groups
	return g, nil
}

// fold adds counters to d, unfold takes them out.
func fold(d *group.Data, n *stream.Counts) {
	d.Packets += n.Packets
	d.Bytes += n.Bytes
	d.Retransmits += n.Retransmits
	d.OutOfOrder += n.OutOfOrder
	d.Gaps += n.Gaps
	d.DuplicateAcks += n.DuplicateAcks
	d.ZeroWindows += n.ZeroWindows
	d.Resets += n.Resets
}

func unfold(d *group.Data, n *stream.Counts) {
	d.Packets -= n.Packets
	d.Bytes -= n.Bytes
	d.Retransmits -= n.Retransmits
	d.OutOfOrder -= n.OutOfOrder
	d.Gaps -= n.Gaps
	d.DuplicateAcks -= n.DuplicateAcks
	d.ZeroWindows -= n.ZeroWindows
	d.Resets -= n.Resets
}

// sink returns where what is gone of record i is added: a reading that has come past the record has it already.
func (g *groups) sink(i uint32) *[group.Directions]group.Data {
	s := &g.sums[g.of(i).number()]
	if i < g.reading.passed {
		return &s.deferred
	}
	return &s.folded
}

// of returns the grouping of the connection in record i.
func (g *groups) of(i uint32) *grouping { return (*grouping)(&g.records.At(i).Tag) }

// histogramOf returns the index of the histogram for RTT samples that ACKs of direction dir give.
func (v grouping) histogramOf(dir uint32) uint32 { return (uint32(v) ^ dir) & (1<<flagShift - 1) }

// noteRTT counts an RTT sample of ns that an ACK of direction dir of record i has given.
func (g *groups) noteRTT(i, dir uint32, ns int64) { g.hists.Values[g.of(i).histogramOf(dir)].Note(ns) }

// handshake returns the histogram of v's handshake times on one leg.
func (g *groups) handshake(v grouping, leg int) *group.Histogram {
	return &g.hists.Values[v.number()<<kindBits|uint32(handshakeHist|leg)]
}

// groupEvent counts what a segment of record i, seen at now, has changed. begins: the connection is new in its record.
func (w *Worker) groupEvent(i uint32, r *table.Record, seg *parse.Segment, now int64, ev stream.Event, begins bool) {
	g := w.groups
	dir := seg.Dir()
	if ev&stream.Renewed != 0 && !begins {
		g.settle(i, true, group.ClosedTimeout)
		begins = true
	}
	if begins {
		w.groupBegin(i, r)
	}
	if ev&(stream.Retransmitted|stream.SYNRepeated) != 0 {
		g.noteRepeat(i, seg, ev) // before a move, which takes what the record has as counted here
	}
	if !begins && ev&stream.Handshaking != 0 && *g.of(i)&clientSure == 0 {
		if client, sure := r.Client(); sure {
			*g.of(i) |= clientSure
			w.regroup(i, r, client, g.set.Load())
		}
	}
	v := *g.of(i)
	role := v.role(dir)
	if ev&stream.Opened != 0 && role == group.FromServer && seg.Flags&(parse.SYN|parse.ACK) == parse.SYN|parse.ACK {
		v |= answered
	}
	if ev&stream.HandshakeMeasured != 0 && v&answered != 0 && role == group.FromClient {
		if server, client, ok := r.HandshakeLegs(dir, now); ok {
			g.handshake(v, group.ServerLeg).Note(server)
			g.handshake(v, group.ClientLeg).Note(client)
		}
	}
	switch {
	case ev&stream.Spoke == 0:
	case v&(spoke0<<dir) != 0:
		ev &^= stream.Spoke // told again, as while a SYN waits: it ends nothing
	default:
		if v |= spoke0 << dir; v&(established|ended) == established {
			g.lives[v.number()].established++
		}
	}
	*g.of(i) = v
	if v&ended != 0 || ev&(stream.Sooner|stream.Spoke) == 0 {
		return
	}
	reset := seg.Flags&parse.RST != 0
	if streams, active := r.Live(); streams == 0 || active != 0 || v&established != established && !reset {
		return
	}
	reason := group.ClosedFIN
	if reset {
		reason = group.ClosedByClient + int(role)
	}
	var bytes [2]uint64
	for d := range bytes {
		bytes[d] = r.Bytes(d)
	}
	first, last := r.Span()
	g.end(i, r.Progress(), reason, last-first, &bytes)
}

// noteRepeat counts a segment of record i that was sent again.
func (g *groups) noteRepeat(i uint32, seg *parse.Segment, ev stream.Event) {
	d := &g.sink(i)[g.of(i).role(seg.Dir())]
	switch {
	case ev&stream.SYNRepeated != 0:
		d.HandshakeRetransmits++
	case seg.Flags&parse.SYN != 0:
		d.HandshakeRetransmits++
		d.Retransmits-- // the record has it among the others
	default:
		d.RetransmittedBytes += uint64(seg.Len)
	}
}

// groupBegin counts the connection that has begun in record i.
func (w *Worker) groupBegin(i uint32, r *table.Record) {
	g := w.groups
	set := g.set.Load()
	client, sure := r.Client()
	v := clientSure
	if !sure {
		client, v = guessClient(r, set), 0
	}
	n, ok := g.number(w.groupKey(r, client, set))
	if !ok {
		g.overflow++
	}
	*g.of(i) = v | groupingOf(n, client)
	g.lives[n].opened++
}

// guessClient returns which side is the client of a connection in mid-stream: the one whose peer has a service's port,
// or the lower port if that is so of both or of none.
func guessClient(r *table.Record, set *group.Set) (dir uint32) {
	_, _, a, b := r.Key.Endpoints(0)
	aServes, bServes := set.Service(a) != 0, set.Service(b) != 0
	if aServes != bServes && aServes || aServes == bServes && a < b {
		return 1
	}
	return 0
}

// groupKey returns the combination of a connection whose client is the sender of direction client.
func (w *Worker) groupKey(r *table.Record, client uint32, set *group.Set) (k group.Key) {
	src, dst, _, port := r.Key.Endpoints(int(client))
	k = group.Key{Client: set.Find(src), Server: set.Find(dst), Service: set.Service(port)}
	if id := r.Key.Identity(); id != 0 {
		k.Interface = w.originOf(id).IfIndex
	}
	return k
}

// settle adds to the sums what streams of record i had counted that are gone since the last call. over: the connection is
// gone with them, for the reason why unless its end was counted before.
func (g *groups) settle(i uint32, over bool, why int) {
	gone := &g.gone
	if gone.Streams == 0 && !over {
		return
	}
	v := *g.of(i)
	to := g.sink(i)
	for dir := range uint32(2) {
		n := &gone.Counts[dir]
		v.clip(n)
		fold(&to[v.role(dir)], n)
		if n.Packets != 0 && v&(established|ended|sized0<<dir) == established {
			g.lives[v.number()].size[v.role(dir)].Note(n.Bytes)
			v |= sized0 << dir
		}
	}
	*g.of(i) = v
	if over && v&ended == 0 {
		g.end(i, gone.Progress, why, max(gone.Last-gone.First, 0), &[2]uint64{})
	}
	gone.Clear()
}

// end counts the end of record i's connection, which had come as far as p. bytes are those of the directions that are
// streams. A connection of which one direction was seen was not seen to be established, and is not counted.
func (g *groups) end(i uint32, p stream.Progress, why int, duration int64, bytes *[2]uint64) {
	v := *g.of(i)
	*g.of(i) = v | ended
	t := &g.lives[v.number()]
	switch {
	case v&established == established:
		t.closed[why]++
		t.duration.Note(duration)
		for dir := range uint32(2) {
			if v&(sized0<<dir) == 0 {
				t.size[v.role(dir)].Note(bytes[dir])
			}
		}
	case p&stream.ProgressMore != 0:
	case v&established != 0 && p&stream.ProgressSYN != 0: // by a SYN+ACK
		t.failed[group.FailedUnfinished]++
	case v&established != 0: // the client's direction was not seen: it may have acknowledged
	case p&stream.ProgressSYN != 0 && why == group.ClosedByServer:
		t.failed[group.FailedRefused]++
	case p&stream.ProgressSYN != 0:
		t.failed[group.FailedUnanswered]++
	}
}
