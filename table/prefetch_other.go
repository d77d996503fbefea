//go:build !amd64 && !arm64

package table

import "unsafe"

// Nothing is fetched: without these the same is done, only later.

func prefetchLine(unsafe.Pointer)   {}
func prefetchRecord(unsafe.Pointer) {}
