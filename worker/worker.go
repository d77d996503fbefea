package worker

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/wheel"
)

// Config holds the settings of a worker.
type Config struct {
	// MaxConnections bounds the table, 1 to table.MaxConnections.
	MaxConnections int
	// StreamAge is how long a stream without packets is kept, FinalizedAge the same once a FIN or
	// RST was seen. Above zero; above MaxAge: for ever.
	StreamAge, FinalizedAge time.Duration
	// SynAge is how long a connection of which only SYNs were seen is kept. 0: as StreamAge;
	// above MaxAge: for ever.
	SynAge time.Duration
	// IPv6 has IPv6 among the streams. Without it IPv6 counts as skipped, and its connections are accounted for groups
	// and for readers that ask for hidden streams (Snapshot.WithHidden). With GroupMax 0 they are not accounted at all.
	IPv6 bool
	// Optional counts what stream.Optional holds, too: 64 bytes a connection.
	Optional bool
	// ByInterface and ByVLAN tell connections of the same addresses and ports apart by the interface that their
	// packets were seen on, and by the identifiers of their two outermost VLAN tags. Both directions of a
	// connection must have the same, or each is a connection of its own. With both of them up to MaxOrigins
	// combinations are told apart at a time. The tags are those of the outermost frame.
	ByInterface, ByVLAN bool
	// Tunnels are the encapsulations whose inner packets are accounted, in place of the outer ones, which are skipped.
	Tunnels parse.Tunnels

	// GroupMax is how many combinations of groups are told apart (group.Key), 0 to MaxCombinations, and
	// GroupMaxSubnets how many more of which a group is a subnet. GroupMax 0: connections are not summed up.
	GroupMax, GroupMaxSubnets int
	// Groups are the groups until SetGroups. May be nil: all is one.
	Groups *group.Set
}

const (
	// BatchSize is the number of frames that are decoded before the first is looked up, so that their cache
	// misses overlap.
	BatchSize = table.BatchSize
	// tickTime is the wheel's resolution.
	tickTime = int64(100 * time.Millisecond)
	// MaxAge is the longest age whose end the wheel can distinguish from the past: 59652 hours.
	MaxAge = time.Duration((1<<31 - 1) * tickTime)
	// SnapLen is the most bytes of a frame that are needed: the longest header stack, Ethernet, two
	// VLAN tags, PPPoE, IP and TCP with all their options, but never the payload.
	SnapLen = 192
	// TunnelSnapLen is the same of a packet in as many encapsulations as are looked into (Config.Tunnels).
	TunnelSnapLen = SnapLen + parse.TunnelHeaders
	// Never as an age keeps streams for ever.
	Never = time.Duration(stream.Never)
	// MaxCombinations is the most combinations of groups of either kind (Config.GroupMax), 8 kB of memory each.
	MaxCombinations = 1 << 16
	// maxDisorder is how far apart the timestamps of frames that were captured on different CPUs
	// may stand in the wrong order.
	maxDisorder = int64(time.Millisecond)
)

// Worker accounts frames. Not safe for concurrent use.
type Worker struct {
	table    *table.Table
	wheel    *wheel.Wheel
	lists    lists
	ages     stream.Ages
	shortest int64 // of the ages
	ipv6     bool
	optional bool
	tally    stream.Tally
	hides    bool         // IPv6 connections are hidden: accounted, and no streams to whoever does not ask for them
	hidden   stream.Tally // of those
	swapped  bool         // tally and hidden have changed places, see accountFoundHidden
	// Counters are the totals so far. Whoever walks the frames of a ring counts here, too.
	Counters Counters

	now      int64 // ns, the latest time seen on the worker's clock
	caughtUp int64 // ns, the time up to which all frames are accounted, as far as is known: streams expire by it
	lastTime int64 // ns, the latest frame's time

	supers     uint32 // segments of the batch at hand that are super-packets, a bit for each
	superAbove uint32 // bytes of payload above which a frame is a super-packet

	batches [3]Batch
	// gathered counts the frames in the first batch that wait for it to fill, in Frame.
	gathered uint

	// reading is the number of the latest reading (ViewsFrom), since what it was when each record was taken
	// by its connection. It stands apart from the record: a connection that begins anew keeps it.
	reading uint32
	since   []uint32

	due   [64]uint32
	touch uint64 // keeps the compiler from dropping Expire's loads

	byInterface, byVLAN bool
	origins             *origins // numbers of combinations of the two; nil: not both

	decoder parse.Decoder

	groups *groups // nil: off
}

// New allocates everything that the worker will ever need.
func New(cfg Config) (*Worker, error) {
	if cfg.StreamAge <= 0 || cfg.FinalizedAge <= 0 {
		return nil, fmt.Errorf("stream age %v and finalized age %v: both must be above zero", cfg.StreamAge, cfg.FinalizedAge)
	}
	if cfg.SynAge < 0 {
		return nil, fmt.Errorf("SYN age %v: must not be negative", cfg.SynAge)
	}
	if cfg.SynAge == 0 {
		cfg.SynAge = cfg.StreamAge
	}
	if min(cfg.GroupMax, cfg.GroupMaxSubnets) < 0 || max(cfg.GroupMax, cfg.GroupMaxSubnets) > MaxCombinations {
		return nil, fmt.Errorf("%d and %d combinations of groups: want 0 to %d", cfg.GroupMax, cfg.GroupMaxSubnets, MaxCombinations)
	}
	t, err := table.New(cfg.MaxConnections)
	if err != nil {
		return nil, err
	}
	if cfg.Optional {
		if err := t.KeepOptional(); err != nil {
			t.Close()
			return nil, err
		}
	}
	w := &Worker{
		table: t, wheel: wheel.New(cfg.MaxConnections), lists: newLists(cfg.MaxConnections), since: make([]uint32, cfg.MaxConnections), ipv6: cfg.IPv6, optional: cfg.Optional,
		ages:        stream.Ages{Stream: ageOf(cfg.StreamAge), Finalized: ageOf(cfg.FinalizedAge), Syn: ageOf(cfg.SynAge)},
		byInterface: cfg.ByInterface, byVLAN: cfg.ByVLAN, decoder: parse.Decoder{Tunnels: cfg.Tunnels},
		now: math.MinInt64, caughtUp: math.MinInt64, lastTime: math.MinInt64, superAbove: math.MaxUint32,
	}
	w.shortest = w.ages.Shortest()
	if cfg.GroupMax != 0 {
		if w.groups, err = newGroups(&cfg, w.table); err != nil {
			t.Close()
			return nil, err
		}
		w.tally.Gone, w.hidden.Gone = &w.groups.gone, &w.groups.gone
		w.hides = !cfg.IPv6
	}
	if cfg.ByInterface && cfg.ByVLAN {
		if w.origins, err = newOrigins(MaxOrigins); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// ageOf returns d in ns, or stream.Never.
func ageOf(d time.Duration) int64 {
	if d > MaxAge {
		return stream.Never
	}
	return int64(d)
}

// SetSuperAbove has frames with a payload of more than so many bytes counted as super-packets.
func (w *Worker) SetSuperAbove(bytes uint32) { w.superAbove = bytes }

// Capacity returns how many connections there is memory for.
func (w *Worker) Capacity() int { return w.table.Cap() }

// Used returns how many records have been in use so far: they are those with the lowest indices.
func (w *Worker) Used() int { return w.table.Used() }

// PageRecords is the number of records in a huge page of memory.
const PageRecords = table.PageRecords

// Populate has the kernel give memory for records from to upTo-1 before their use, on any goroutine. It fails
// before Linux 5.14.
func (w *Worker) Populate(from, upTo int) error { return w.table.Populate(from, upTo) }

// Close frees the table's memory. The worker is unusable after it.
func (w *Worker) Close() error {
	if w.groups != nil {
		return errors.Join(w.table.Close(), w.groups.hists.Close())
	}
	return w.table.Close()
}

// Source hands out frames in the order in which they came, decoded.
type Source interface {
	// Gather fills a batch from its beginning on and returns how many segments it holds now; 0: there are
	// no more. It is called for a batch at a time, so that an interface costs nothing by the packet.
	Gather(to *Batch) (n uint)
}

// Overlaps reports whether Account gathers batches before it is done with those ahead of them, because the table is too
// large for the caches. Memory then takes longer than all else, and to have frames fetched ahead is worth its instructions.
func (w *Worker) Overlaps() bool { return !w.table.Small() }

// Account accounts all segments of src. mono and real are the monotonic and the real-time clock, read
// together, in ns: frames carry real time, which may step, and everything here counts in
// monotonic time. More frames that came before mono may follow, so that streams expire by the last of these.
func (w *Worker) Account(src Source, mono, real int64) {
	w.flush()
	w.origins.turnBegins(mono)
	w.setNow(mono)
	shift := mono - real
	// A clock step between a frame's capture and now would show as a frame from the future or
	// from before the previous block. Such a frame's time is bounded by what must be true.
	from := int64(0)
	if w.lastTime != math.MinInt64 {
		from = w.lastTime - maxDisorder
	}
	bound := bounds{since: shift - from, span: uint64(mono - from), from: from}
	if w.Overlaps() {
		w.overlapped(src, &bound)
	} else {
		w.inBatches(src, &bound)
	}
	w.caughtUp = max(w.caughtUp, w.lastTime)
}

// Lost notes that the capture lost packets between the frames accounted so far and those that come next. Sequence gaps
// that open across that place are counted as gaps of the capture.
//
// The worker's clock is the one time that is surely after all frames so far. The latest frame's is not: frames wait for
// their way into the ring with the time at which they came, on a busy machine for some ms.
func (w *Worker) Lost() { w.LostUntil(w.now + 1) }

// LostUntil notes that the capture has lost packets, the last of them before now on the worker's clock, in ns. Frames
// that came before the loss may not be accounted yet.
func (w *Worker) LostUntil(now int64) {
	w.tally.Lost(now)
	w.hidden.Lost(now)
}

// HashNarrow returns the hash of a plain flow, not wide and without an identity, for Batch.Hashes.
func (w *Worker) HashNarrow(f *parse.Flow) uint64 { return w.table.HashNarrow(f) }

// Frame accounts one frame that starts with a header of kind link and was seen on no interface. now is its time in ns,
// which is the worker's clock at the same time. All its VLAN tags are those that stand in it. Frames are gathered into batches: Expire and Snapshot
// account what has been gathered.
func (w *Worker) Frame(link parse.Link, data []byte, wireLen uint32, now int64) {
	w.Tick(now)
	w.Counters.Packets++
	to := &w.batches[0]
	if w.Identifies() {
		if !w.DecodeSeen(link, data, wireLen, Sight{}, to, w.gathered) {
			return
		}
	} else if !w.Decode(link, data, wireLen, to, w.gathered) {
		return
	}
	to.Times[w.gathered%BatchSize] = now
	if w.gathered++; w.gathered == BatchSize {
		w.flush()
	}
}

// Decode makes a frame segment n of a batch. It reports false if it is none, and counts why. The segment's flow has no
// identity: a worker that Identifies needs DecodeSeen.
//
//go:noinline
func (w *Worker) Decode(link parse.Link, data []byte, wireLen uint32, to *Batch, n uint) bool {
	seg := &to.Segs[n%BatchSize]
	if why := w.decoder.Frame(link, data, wireLen, seg); why != parse.OK {
		w.Counters.Skipped[why%parse.NumReasons]++
		return false
	}
	to.Hashes[n%BatchSize] = w.table.Hash(&seg.Flow)
	if w.isHidden(&seg.Flow) {
		w.hide(to, n)
	}
	return true
}

// flush accounts the frames that Frame has gathered.
func (w *Worker) flush() {
	n := w.gathered
	if n == 0 {
		return
	}
	w.gathered = 0
	x := &w.batches[0]
	w.account(x, n, w.find(x, n), nil, &bounds{span: math.MaxUint64, from: math.MinInt64, since: math.MinInt64})
	w.origins.turnBegins(w.now)
}

// account brings the first n segments of a batch, at least one, to their connections: found are those
// whose connection's record the batch names. next are records of the batch after it, which it prefetches on the
// way, one with each packet.
//
// Segments of a connection keep their order, those of different ones need not: up to one with payload
// that comes after one without of the same connection, those with payload go first, then those
// without. What Account does with the two differs, and a processor that has to guess which comes
// next is wrong every other time where they mix at random.
//
//go:noinline
func (w *Worker) account(x *Batch, n uint, found table.Found, next []uint32, bound *bounds) {
	known := found.Data | found.Bare
	rest := known
	if x.hidden != 0 {
		rest = w.accountFoundHidden(x, found, &next, bound)
	}
	for rest != 0 {
		run := rest
		if after := found.After & rest &^ (run & -run); after != 0 {
			run = rest & (after&-after - 1)
		}
		rest &^= run
		w.accountFound(x, run&found.Data, &next, bound)
		w.accountFound(x, run&found.Bare, &next, bound)
	}
	for set := ^known & uint32(1<<n-1); set != 0; set &= set - 1 {
		i := bits.TrailingZeros32(set) % BatchSize
		w.accountUnknown(&x.Segs[i], x.Hashes[i], bound.time(x.Times[i]))
	}
	w.lastTime = bound.time(x.Times[(n-1)%BatchSize])
	for _, i := range next {
		w.table.Prefetch(i)
	}
}

// bounds make a frame's time one of the worker's clock.
type bounds struct {
	from  int64  // ns, the earliest that is right, on the worker's clock
	span  uint64 // ns, from there to the latest
	since int64  // ns, what makes a frame's time one since from
}

func (b *bounds) time(t int64) int64 {
	t += b.since
	if uint64(t) > b.span {
		t = min(max(t, 0), int64(b.span))
	}
	return t + b.from
}

// accountFound accounts those segments of a batch whose bit is set and whose connections were found.
//
//go:noinline
func (w *Worker) accountFound(x *Batch, set uint32, next *[]uint32, bound *bounds) {
	if w.optional {
		w.accountFoundOptional(x, set, next, bound)
		return
	}
	if w.groups != nil {
		w.accountFoundGroups(x, set, next, bound)
		return
	}
	t, shortest := w.table, w.shortest
	for ; set != 0; set &= set - 1 {
		i := bits.TrailingZeros32(set) % BatchSize
		seg, now := &x.Segs[i], bound.time(x.Times[i])
		if seg.Len > w.superAbove {
			w.supers |= 1 << i
		}
		if r := *next; len(r) != 0 {
			t.Prefetch(r[0])
			*next = r[1:]
		}
		index := x.records[i]
		r := t.AtUnchecked(index)
		if r.QuietSince(now - shortest) {
			w.late(index, seg, now)
			continue
		}
		if ev, _ := r.Account(seg.Dir(), seg, now, &w.tally); ev&stream.Lifecycle != 0 {
			w.event(index, ev, seg, now, false, false)
		}
	}
	if w.supers != 0 {
		w.superPackets(x)
	}
}

// accountUnknown accounts a segment whose connection was not found with the batch, or may have made room for
// another one since.
//
// A fragment opens no connection: the kernel chooses its worker by the addresses alone, so that the
// connection may be another worker's.
//
//go:noinline
func (w *Worker) accountUnknown(seg *parse.Segment, hash uint64, now int64) {
	i, known := w.table.Find(&seg.Flow, hash)
	if known {
		w.late(i, seg, now)
		return
	}
	if seg.Flags&parse.OverIPv6 != 0 && !w.ipv6 && !w.isHidden(&seg.Flow) {
		w.Counters.Skipped[parse.IPv6]++
		return
	}
	if seg.Flags&parse.Fragmented != 0 {
		w.skipFragment(seg)
		return
	}
	i, ok := w.insert(&seg.Flow, hash)
	if !ok {
		w.Counters.NoRoom++
		return
	}
	ev, rtt := w.accountOne(i, w.table.At(i), seg, now, w.tallyOf(&seg.Flow))
	w.event(i, ev, seg, now, true, true)
	w.sample(i, seg, rtt)
}

// late accounts a segment of a connection that may have streams past their deadline: the wheel has not
// come to them yet, and what follows is a new stream.
//
//go:noinline
func (w *Worker) late(i uint32, seg *parse.Segment, now int64) {
	r := w.table.At(i)
	tally := w.tallyOf(&r.Key)
	renewed := r.Expire(now, &w.ages, tally)
	if w.groups != nil {
		w.groups.settle(i, renewed, group.ClosedTimeout)
	}
	if renewed && seg.Flags&parse.Fragmented != 0 { // the wheel removes the empty record
		w.skipFragment(seg)
		return
	}
	if renewed {
		r.Reset()
	}
	ev, rtt := w.accountOne(i, r, seg, now, tally)
	if ev != 0 {
		w.event(i, ev, seg, now, false, renewed)
	}
	w.sample(i, seg, rtt)
}

// event follows up what a segment, seen at now, has changed in connection i. inserted: it is new to the table.
// renewed: it has begun anew.
//
//go:noinline
func (w *Worker) event(i uint32, ev stream.Event, seg *parse.Segment, now int64, inserted, renewed bool) {
	r := w.table.At(i)
	w.lists.file(i, classOf(&r.Conn), renewed || ev&stream.Renewed != 0)
	if inserted || ev&(stream.Sooner|stream.Renewed) != 0 {
		w.arm(i, r)
	}
	if w.groups != nil {
		w.groupEvent(i, r, seg, now, ev, inserted || renewed)
	}
}

// insert adds connection k with hash h, if need be in the place of one that matters less.
func (w *Worker) insert(k *table.Key, h uint64) (uint32, bool) {
	i, ok := w.table.Insert(k, h)
	if !ok {
		if !w.recycle() {
			return 0, false
		}
		if i, ok = w.table.Insert(k, h); !ok {
			return 0, false
		}
	}
	w.since[i] = w.reading
	w.origins.hold(k.Identity())
	return i, true
}

// remove takes connection i out of its list and out of the table.
func (w *Worker) remove(i uint32) {
	w.lists.unfile(i)
	w.origins.release(w.table.At(i).Key.Identity())
	w.table.Remove(i)
}
