// Package table finds the record of a connection by its addresses and ports, and its identity if it has one.
//
//	t, err := table.New(1 << 20)     // maps all memory; pages are taken as they are used
//	h := t.Hash(&key)
//	i, ok := t.Find(&key, h)         // an index, valid until Remove
//	if !ok {
//		i, ok = t.Insert(&key, h) // false: the table is full
//	}
//	t.At(i).Account(…)
//
// A caller with many packets at hand looks them up in batches, so that their cache misses overlap:
// [Table.FindAll], or [Table.PrefetchGroups], [Table.Locate], [Table.Prefetch] and [Table.Match] one by one.
//
// Index and storage are apart. The index is an open-addressing hash table of groups in the manner of
// Abseil's swiss table; the storage is a slab of records of one size. Both are sized once: no rehash, no
// allocation, no pointer for the garbage collector to follow. A record keeps its index for as long as it
// lives, so timers and lists refer to it by a uint32.
//
// # The index
//
// A group is one cache line. Its eight control bytes are compared at once, as one word: 0 stands for an
// empty slot, 0x80 plus seven bits of the hash for a full one, whose slot is the index of a record.
//
//	byte 0             8          12                      44           64
//	     ┌─────────────┬──────────┬───────────────────────┬────────────┐
//	     │ ctrl        │ overflow │ slots                 │ (unused)   │
//	     │ 8 × 8 bits  │ 32 bits  │ 8 × 32 bits           │            │
//	     └─────────────┴──────────┴───────────────────────┴────────────┘
//
// The hash says where a probe sequence begins. It goes on in steps of 1, 2, 3 … groups, which visits
// every group once, their number being a power of two. An entry stands in the first group of its sequence
// that had an empty slot.
//
// There are no tombstones. Each group counts in overflow the entries that passed it because it was full:
// a look-up ends at the first group with an overflow of 0, and a removal takes its own counts back.
//
// The hash is keyed with random seeds, so nobody who chooses addresses and ports can aim at one group.
//
// # The record
//
// A record takes nine cache lines, ordered by use. A segment in order touches the lines marked with *, of
// the direction that sent it and of the reverse one; the others are for events and for readers.
//
//	line  byte
//	 0 *     0  key, 40 bytes          │ what both directions share, 24 bytes
//	 1 *    64  direction 0: stream.Stream
//	 2 *   128               stream.InOrder
//	 3 (*) 192               stream.InFlight
//	 4     256               stream.Eventual
//	 5 *   320  direction 1: stream.Stream
//	 6 *   384               stream.InOrder
//	 7 (*) 448               stream.InFlight
//	 8     512               stream.Eventual
//
// Lines with (*) are touched by several segments in flight, and once a second.
//
// # Memory
//
// Index and slab are anonymous mappings outside Go's heap. The kernel gives a page when it is first
// written, and a freed record is the first to be used again, so resident memory follows the number of
// connections. Files named *_unsafe.go hold the casts and the look-ups without bounds checks; the tag
// invariants has the table check itself (invariants.go).
//
// A Table belongs to one goroutine at a time.
package table
