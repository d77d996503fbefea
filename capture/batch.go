package capture

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
)

// batch is some frames that go a packet's way together: decoded, their keys' hashes, their records, and
// when they came, ns.
type batch struct {
	segs    [batchSize]parse.Segment
	hashes  [batchSize]uint64
	records [batchSize]uint32
	times   [batchSize]int64
}

// walk is where in a block the next frame is, and how many are left.
type walk struct {
	block *ring.Block
	off   uint64
	left  uint32
}

// inBatches accounts what is left of w's block one batch after the other.
func (w *Worker) inBatches(at *walk, bound *bounds) {
	x := &w.batches[0]
	for n := w.gather(at, x); n != 0; n = w.gather(at, x) {
		w.account(x, n, w.find(x, n), bound)
	}
}

// find looks up the first n segments of a batch for which nothing was prefetched.
func (w *Worker) find(x *batch, n uint) table.Found {
	found := w.table.FindAll(x.segs[:n], x.hashes[:n], x.records[:n])
	if w.optional {
		w.touchOptional(x, found.Data|found.Bare)
	}
	return found
}

// ahead is what is still to be prefetched for the batches behind the one at hand, a little with each of
// its packets: all at once is more than a processor keeps track of, and it would wait.
type ahead struct {
	records []uint32 // of the next batch, for Match and account
	hashes  []uint64 // of the one after it, for Locate
}

// overlapped is inBatches for a table that is too large for the caches. Three batches are under way:
// while the first is accounted, the records of the second are on their way from memory, and the groups of
// the third. What the first changes in the table the second finds out when it is its turn (table.Match).
func (w *Worker) overlapped(at *walk, bound *bounds) {
	t := w.table
	x, y, z := &w.batches[0], &w.batches[1], &w.batches[2]
	n, next, last := w.gather(at, x), w.gather(at, y), w.gather(at, z)
	w.ahead = ahead{hashes: x.hashes[:n]}
	w.fetch()
	w.ahead.hashes = y.hashes[:next]
	w.fetch()
	t.Locate(x.hashes[:n], x.records[:n])
	t.Locate(y.hashes[:next], y.records[:next])
	w.ahead.records = x.records[:n]
	w.fetch()
	for n != 0 {
		w.ahead = ahead{y.records[:next], z.hashes[:last]}
		w.account(x, n, t.Match(x.segs[:n], x.records[:n]), bound)
		w.fetch()
		x, y, z = y, z, x
		n, next, last = next, last, w.gather(at, z)
		t.Locate(y.hashes[:next], y.records[:next])
	}
}

// fetch prefetches all that is left of w.ahead.
func (w *Worker) fetch() {
	for _, i := range w.ahead.records {
		w.table.Prefetch(i)
		if w.optional {
			w.table.PrefetchOptional(i)
		}
	}
	for _, h := range w.ahead.hashes {
		w.table.PrefetchGroup(h)
	}
	w.ahead = ahead{}
}
