//go:build !amd64 && !arm64

package table

import (
	"sync/atomic"
	"unsafe"
)

// Processors without assembly here load instead, which overlaps less. The loads are atomic because the
// compiler leaves out others whose values nobody needs.
//
// Sound: p is the start of a group, a record or an Optional, each larger than what is read of it, and
// hashes and indices have n elements, the indices those of records.

func prefetchLine(p unsafe.Pointer) { atomic.LoadUint32((*uint32)(p)) }

func prefetchGroups(first unsafe.Pointer, mask uint64, hashes *uint64, n int) {
	for _, h := range unsafe.Slice(hashes, n) {
		prefetchLine(unsafe.Add(first, (h&mask)*groupSize))
	}
}

func prefetchHeads(first unsafe.Pointer, indices *uint32, n int) {
	for _, i := range unsafe.Slice(indices, n) {
		prefetchLine(unsafe.Add(first, uintptr(i)*RecordSize))
	}
}

func prefetchRecord(p unsafe.Pointer) {
	for line := range uintptr(RecordSize / groupSize) {
		prefetchLine(unsafe.Add(p, line*groupSize))
	}
}

func prefetchNear(first unsafe.Pointer, indices *uint32, n int) {
	for _, i := range unsafe.Slice(indices, n) {
		prefetchRecord(unsafe.Add(first, uintptr(i)*RecordSize))
	}
}
