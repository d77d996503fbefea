//go:build amd64 || arm64

package table

import "unsafe"

// prefetchLine has the processor fetch the cache line at p. A prefetch never faults, wherever p points.
//
//go:noescape
func prefetchLine(p unsafe.Pointer)

// prefetchRecord is prefetchLine for the eight lines of the record at p.
//
//go:noescape
func prefetchRecord(p unsafe.Pointer)
