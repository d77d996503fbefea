package capture

import (
	"fmt"
	"math"
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/wheel"
)

// Config is what a worker needs to know.
type Config struct {
	// MaxConnections bounds the table, 1 to table.MaxConnections.
	MaxConnections int
	// StreamAge is how long a stream without packets is kept, FinalizedAge the same once a FIN or
	// RST was seen. Above zero.
	StreamAge, FinalizedAge time.Duration
	// SynAge is how long a connection is kept that has shown nothing but SYNs. 0: as StreamAge.
	SynAge time.Duration
	// IPv6 accounts IPv6 too; without it such frames are counted as skipped.
	IPv6 bool
}

const (
	// batchSize is how many frames are decoded before the first is looked up, so that their cache
	// misses overlap.
	batchSize = 32
	// tickTime is the wheel's resolution.
	tickTime = int64(100 * time.Millisecond)
	// maxDisorder is how far apart the timestamps of frames that were captured on different CPUs
	// may stand in the wrong order.
	maxDisorder = int64(time.Millisecond)
)

// Counters are a worker's totals besides the table's.
type Counters struct {
	Packets   uint64 // frames taken out of the ring
	Copies    uint64 // of those, outgoing copies of loopback frames, which come a second time
	NoRoom    uint64 // segments of new connections that found the table full of live ones
	Blocks    uint64 // ring blocks walked
	TimedOut  uint64 // of those, the ones that the kernel retired before they were full
	BadBlocks uint64 // of those, the ones that ended at an offset or count outside the block
	Skipped   [parse.NumReasons]uint64

	RecycledHalfOpen  uint64 // connections with nothing but SYNs that made room for a new one
	RecycledFinalized uint64 // connections that were over and made room for a new one
}

// Worker accounts frames. Not safe for concurrent use.
type Worker struct {
	table    *table.Table
	wheel    *wheel.Wheel
	lists    lists
	ages     stream.Ages
	ipv6     bool
	tally    stream.Tally
	counters Counters

	now      int64 // ns, the latest time seen on the worker's clock
	lastTime int64 // ns, the latest frame's time

	batch [batchSize]arrival
	due   [64]uint32
	touch uint64 // keeps the compiler from dropping the loads of a batch
}

// arrival is a decoded frame on its way through a batch.
type arrival struct {
	seg  parse.Segment
	key  table.Key
	hash uint64
	time int64
	dir  int
	// likely is the index of the record that the look-up will most likely compare first.
	likely uint32
}

// NewWorker allocates everything that the worker will ever need.
func NewWorker(cfg Config) (*Worker, error) {
	if cfg.StreamAge <= 0 || cfg.FinalizedAge <= 0 {
		return nil, fmt.Errorf("capture: stream age %v and finalized age %v: both must be above zero", cfg.StreamAge, cfg.FinalizedAge)
	}
	if cfg.SynAge < 0 {
		return nil, fmt.Errorf("capture: SYN age %v: must not be negative", cfg.SynAge)
	}
	if cfg.SynAge == 0 {
		cfg.SynAge = cfg.StreamAge
	}
	t, err := table.New(cfg.MaxConnections)
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &Worker{
		table: t, wheel: wheel.New(cfg.MaxConnections), lists: newLists(cfg.MaxConnections), ipv6: cfg.IPv6,
		ages: stream.Ages{Stream: int64(cfg.StreamAge), Finalized: int64(cfg.FinalizedAge), Syn: int64(cfg.SynAge)},
		now:  math.MinInt64, lastTime: math.MinInt64,
	}, nil
}

// Close frees the table's memory. The worker is unusable after it.
func (w *Worker) Close() error { return w.table.Close() }

// Block accounts every frame of b. mono and real are the monotonic and the real-time clock, read
// together, in ns: frames carry real time, which may step, and everything here counts in
// monotonic time.
func (w *Worker) Block(b *ring.Block, mono, real int64) {
	w.setNow(mono)
	shift := mono - real
	// A clock step between a frame's capture and now would show as a frame from the future or
	// from before the previous block. Such a frame's time is bounded by what must be true.
	from := w.lastTime
	if from != math.MinInt64 {
		from -= maxDisorder
	}
	var f ring.Frame
	n := 0
	for b.Next(&f) {
		w.counters.Packets++
		if f.PktType == packetOutgoing && f.Hatype == arphrdLoopback {
			w.counters.Copies++
			continue
		}
		p := &w.batch[n]
		if !w.decode(p, parse.LinkFromARPHRD(f.Hatype), f.Data, f.WireLen) {
			continue
		}
		p.time = min(max(f.Time+shift, from), mono)
		if n++; n == batchSize {
			w.account(n)
			n = 0
		}
	}
	w.account(n)
	w.counters.Blocks++
	if b.TimedOut() {
		w.counters.TimedOut++
	}
	if b.Bad() {
		w.counters.BadBlocks++
	}
}

const (
	packetOutgoing = 4   // PACKET_OUTGOING, linux/if_packet.h
	arphrdLoopback = 772 // ARPHRD_LOOPBACK, linux/if_arp.h
)

// Frame accounts one frame that starts with a header of kind link. now is its time in ns, which
// is the worker's clock at the same time.
func (w *Worker) Frame(link parse.Link, data []byte, wireLen uint32, now int64) {
	w.setNow(now)
	w.counters.Packets++
	p := &w.batch[0]
	if w.decode(p, link, data, wireLen) {
		p.time = now
		w.account(1)
	}
}

// decode fills p from a frame and reports whether it is a segment to account.
func (w *Worker) decode(p *arrival, link parse.Link, data []byte, wireLen uint32) bool {
	if why := parse.Frame(link, data, wireLen, &p.seg); why != parse.OK {
		w.counters.Skipped[why%parse.NumReasons]++
		return false
	}
	if p.seg.IPVersion == 6 && !w.ipv6 {
		w.counters.Skipped[parse.IPv6]++
		return false
	}
	p.dir = table.KeyOf(&p.seg, &p.key)
	p.hash = w.table.Hash(&p.key)
	return true
}

// account brings the first n packets of the batch to their connections, in order.
func (w *Worker) account(n int) {
	batch := w.batch[:n]
	for i := range batch {
		p := &batch[i]
		p.likely = w.table.Touch(p.hash)
	}
	for i := range batch {
		p := &batch[i]
		w.touch += w.table.At(p.likely).Bytes(p.dir)
	}
	for i := range batch {
		w.segment(&batch[i])
	}
	if n > 0 {
		w.lastTime = batch[n-1].time
	}
}

// segment accounts one decoded packet.
func (w *Worker) segment(p *arrival) {
	i, known := w.table.Find(&p.key, p.hash)
	if !known {
		var ok bool
		if i, ok = w.insert(p); !ok {
			w.counters.NoRoom++
			return
		}
	}
	r := w.table.At(i)
	renewed := false
	if r.MayExpire(p.time, &w.ages) && r.Expire(p.time, &w.ages, &w.tally) {
		// The wheel had not come to it yet: what follows is a new connection.
		r.Reset()
		renewed = true
	}
	ev := r.Account(p.dir, &p.seg, p.time, &w.tally)
	if ev != 0 {
		w.lists.file(i, classOf(&r.Conn), renewed || ev&stream.Renewed != 0)
		if !known || ev&stream.Sooner != 0 {
			w.arm(i, r)
		}
	}
}

// insert adds p's connection, if need be in the place of one that matters less.
func (w *Worker) insert(p *arrival) (uint32, bool) {
	if i, ok := w.table.Insert(&p.key, p.hash); ok {
		return i, true
	}
	if !w.recycle() {
		return 0, false
	}
	return w.table.Insert(&p.key, p.hash)
}
