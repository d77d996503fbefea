package table

import "unsafe"

// Prefetches go to the second-level cache (PREFETCHT1), but for those of records that are used at once. To the
// first-level one fewer can be under way at a time, and on live traffic a part of them was lost: PERF.md.
//
// A prefetch waits for its page's translation, and so does what follows it. Those of a short loop overlap, and one
// between two packets' work with nothing: where the table is larger than what the processor keeps of
// translations, that takes longer than all else. Hence the loops over a batch.

// PrefetchGroups has the processor fetch the groups where the ways of hashes begin, for Locate.
func (t *Table) PrefetchGroups(hashes []uint64) {
	prefetchGroups(unsafe.Pointer(t.group0), t.mask, unsafe.SliceData(hashes), len(hashes))
}

// PrefetchHeads has the processor fetch the first line of each record, indices that Locate gave, and with it
// where its page is, for Prefetch.
func (t *Table) PrefetchHeads(indices []uint32) {
	prefetchHeads(unsafe.Pointer(t.record0), unsafe.SliceData(indices), len(indices))
}

// Prefetch has the processor fetch record i, an index that Locate gave. All records of a batch at once are
// more than it keeps track of, and it would wait.
func (t *Table) Prefetch(i uint32) { prefetchRecord(unsafe.Pointer(t.record(i))) }

// PrefetchOptionals has the processor fetch what Optional gives of each record.
//
// Sound: Optional's bounds hold for every index of a record.
func (t *Table) PrefetchOptionals(indices []uint32) {
	for _, i := range indices {
		prefetchLine(unsafe.Pointer(&t.optionals[i]))
	}
}

// prefetchAll has the processor fetch the records to the first-level cache, for use at once, but for the lines
// that segments in order do not touch. Those of few
// connections are in one of its caches already, and a load would keep what follows waiting.
func (t *Table) prefetchAll(indices []uint32) {
	prefetchNear(unsafe.Pointer(t.record0), unsafe.SliceData(indices), len(indices))
}
