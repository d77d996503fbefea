//go:build amd64 || arm64

package ring

import "unsafe"

// prefetchLines has the processor fetch the cache lines of the n bytes at p to the second-level cache. A prefetch never
// faults, wherever p points.
//
//go:noescape
func prefetchLines(p unsafe.Pointer, n uint64)
