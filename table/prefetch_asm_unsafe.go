//go:build amd64 || arm64

package table

import "unsafe"

// prefetchLine has the processor fetch the cache line at p. A prefetch never faults, wherever p points.
//
//go:noescape
func prefetchLine(p unsafe.Pointer)

// prefetchGroups is prefetchLine for n groups: first + (hash & mask) * groupSize of each hash.
//
//go:noescape
func prefetchGroups(first unsafe.Pointer, mask uint64, hashes *uint64, n int)

// prefetchHeads is prefetchLine for the first lines of n records: first + index * RecordSize of each index.
//
//go:noescape
func prefetchHeads(first unsafe.Pointer, indices *uint32, n int)

// prefetchRecord is prefetchLine for the lines of the record at p.
//
//go:noescape
func prefetchRecord(p unsafe.Pointer)

// prefetchNear is prefetchLine to the first-level cache for n records, first + index * RecordSize of each
// index, only the lines that every segment in order touches, the first three and those of direction 1 alike: see the
// package comment.
//
//go:noescape
func prefetchNear(first unsafe.Pointer, indices *uint32, n int)
