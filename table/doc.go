// Package table finds the record of a connection by its addresses and ports.
//
// Index and storage are apart. The index is an open-addressing hash table of groups in the manner
// of Abseil's swiss table: one cache line holds the control bytes and the slots of eight entries,
// and the eight control bytes are compared at once. The storage is a slab of fixed-size records in
// one anonymous mapping whose pages are touched only when used; a record keeps its index for as
// long as it lives. Everything is sized once: no rehash, no allocation, no pointer for the garbage
// collector to follow.
//
// Deleting leaves no tombstones: each group counts the entries that had to move past it, so a
// look-up ends at the first group that nothing has moved past, and a deletion takes its own
// counts back.
//
// The hash is keyed with random seeds, so that nobody who chooses addresses and ports can aim at
// one group. A Table belongs to one goroutine at a time.
package table
