package table

import "unsafe"

// Prefetches go to the second-level cache (PREFETCHT1). To the first-level one fewer can be under way at a
// time, and on live traffic a part of them was lost: PERF.md.

// PrefetchGroup has the processor fetch the group where the way of hash h begins, for Locate.
func (t *Table) PrefetchGroup(h uint64) { prefetchLine(unsafe.Pointer(t.group(h))) }

// Prefetch has the processor fetch record i, an index that Locate gave. Unlike stream.Conn.Touch it waits
// for nothing, as a load does once the processor cannot look further ahead.
func (t *Table) Prefetch(i uint32) { prefetchRecord(unsafe.Pointer(t.record(i))) }

// PrefetchOptional is Prefetch for what Optional gives of record i.
//
// Sound: Optional's bounds hold for every index of a record.
func (t *Table) PrefetchOptional(i uint32) { prefetchLine(unsafe.Pointer(&t.optionals[i])) }
