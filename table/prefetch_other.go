//go:build !amd64 && !arm64

package table

import (
	"sync/atomic"
	"unsafe"
)

// Loads, which overlap less; atomic ones, because the compiler leaves out others whose values nobody
// needs.
//
// Sound: p is the start of a group, a record or an Optional, each larger than what is read of it.

func prefetchLine(p unsafe.Pointer) { atomic.LoadUint32((*uint32)(p)) }

func prefetchRecord(p unsafe.Pointer) {
	for line := range uintptr(RecordSize / groupSize) {
		prefetchLine(unsafe.Add(p, line*groupSize))
	}
}
