package table

import "unsafe"

// Prefetches go to the second-level cache (PREFETCHT1), except for records that are used at once. Fewer can
// be under way to the first-level cache, and on live traffic some of them were lost: docs/perf-log.md.
//
// A prefetch waits for the translation of its page, and holds up the instructions behind it. In a short loop
// those waits overlap; a prefetch between two packets' work overlaps with nothing. Where the table is larger
// than the TLB covers, the waits take longer than all else: hence loops over a batch.

// PrefetchGroups has the processor fetch the first group of each hash's probe sequence, for Locate.
func (t *Table) PrefetchGroups(hashes []uint64) {
	prefetchGroups(unsafe.Pointer(t.group0), t.mask, unsafe.SliceData(hashes), len(hashes))
}

// PrefetchHeads has the processor fetch the first line of each record that Locate has given, and with it the
// translation of the record's page, for Prefetch.
func (t *Table) PrefetchHeads(indices []uint32) {
	prefetchHeads(unsafe.Pointer(t.record0), unsafe.SliceData(indices), len(indices))
}

// Prefetch has the processor fetch record i, which Locate has given. Call it for one record at a time: a whole
// batch is more prefetches than the processor keeps track of, and it would wait.
func (t *Table) Prefetch(i uint32) { prefetchRecord(unsafe.Pointer(t.record(i))) }

// PrefetchOptionals has the processor fetch what Optional returns for each record.
func (t *Table) PrefetchOptionals(indices []uint32) {
	for _, i := range indices {
		prefetchLine(unsafe.Pointer(&t.optionals[i]))
	}
}

// prefetchAll has the processor fetch the records to the first-level cache, for use at once, without the lines
// that segments in order do not touch. Also in a small table, whose records are in some cache already: a load
// from the second or third level would hold up what follows it.
func (t *Table) prefetchAll(indices []uint32) {
	prefetchNear(unsafe.Pointer(t.record0), unsafe.SliceData(indices), len(indices))
}
