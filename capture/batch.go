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
		w.table.PrefetchOptionals(x.records[:n])
	}
	return found
}

// overlapped is inBatches for a table that is too large for the caches. Three batches are under way:
// while the first is accounted, the records of the second are on their way from memory, and the groups of
// the third. What the first changes in the table the second finds out when it is its turn (table.Match).
func (w *Worker) overlapped(at *walk, bound *bounds) {
	t := w.table
	x, y, z := &w.batches[0], &w.batches[1], &w.batches[2]
	n, next := w.gather(at, x), w.gather(at, y)
	t.PrefetchGroups(x.hashes[:n])
	t.PrefetchGroups(y.hashes[:next])
	last := w.gather(at, z)
	w.locate(x, n)
	w.fetch()
	for n != 0 {
		t.PrefetchGroups(z.hashes[:last])
		w.locate(y, next)
		w.account(x, n, t.Match(x.segs[:n], x.records[:n]), bound)
		w.fetch()
		x, y, z = y, z, x
		n, next, last = next, last, w.gather(at, z)
	}
}

// locate finds where the records of the first n segments of a batch are, if they are known, and begins to
// prefetch them.
func (w *Worker) locate(x *batch, n uint) {
	t, records := w.table, x.records[:n]
	t.Locate(x.hashes[:n], records)
	t.PrefetchHeads(records)
	if w.optional {
		t.PrefetchOptionals(records)
	}
	w.ahead = records
}

// fetch prefetches all that is left of w.ahead.
func (w *Worker) fetch() {
	for _, i := range w.ahead {
		w.table.Prefetch(i)
	}
	w.ahead = nil
}
