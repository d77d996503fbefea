package worker

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/table"
)

// Batch holds some segments that go a packet's way together.
type Batch struct {
	Segs    [BatchSize]parse.Segment
	Hashes  [BatchSize]uint64 // of the segments' flows, as HashNarrow and Decode give them
	Times   [BatchSize]int64  // ns, real time when the frames came
	records [BatchSize]uint32
	hidden  uint32 // segments of hidden connections, a bit for each
}

// inBatches accounts what is left of src one batch after the other.
func (w *Worker) inBatches(src Source, bound *bounds) {
	x := &w.batches[0]
	for n := src.Gather(x); n != 0; n = src.Gather(x) {
		w.account(x, n, w.find(x, n), nil, bound)
	}
}

// find looks up the first n segments of a batch for which nothing was prefetched.
func (w *Worker) find(x *Batch, n uint) table.Found {
	found := w.table.FindAll(x.Segs[:n], x.Hashes[:n], x.records[:n])
	if w.optional {
		w.table.PrefetchOptionals(x.records[:n])
	}
	return found
}

// overlapped is inBatches for a table that is too large for the caches. Three batches are under way:
// while the first is accounted, the records of the second are on their way from memory, and the groups of
// the third. What the first changes in the table the second finds out when it is its turn (table.Match).
//
//	groups of   x y | z |   | a
//	records of  x   | y | z |   | a
//	account         | x | y | z |   | a
func (w *Worker) overlapped(src Source, bound *bounds) {
	t := w.table
	x, y, z := &w.batches[0], &w.batches[1], &w.batches[2]
	n, next := src.Gather(x), src.Gather(y)
	t.PrefetchGroups(x.Hashes[:n])
	t.PrefetchGroups(y.Hashes[:next])
	last := src.Gather(z)
	for _, i := range w.locate(x, n) {
		t.Prefetch(i)
	}
	for n != 0 {
		t.PrefetchGroups(z.Hashes[:last])
		records := w.locate(y, next)
		w.account(x, n, t.Match(x.Segs[:n], x.records[:n]), records, bound)
		x, y, z = y, z, x
		n, next, last = next, last, src.Gather(z)
	}
}

// locate finds where the records of the first n segments of a batch are, if they are known, and begins to
// prefetch them. It returns the records that are left to prefetch: account does so, one with each of its packets.
func (w *Worker) locate(x *Batch, n uint) []uint32 {
	t, records := w.table, x.records[:n]
	t.Locate(x.Hashes[:n], records)
	t.PrefetchHeads(records)
	if w.optional {
		t.PrefetchOptionals(records)
	}
	return records
}
