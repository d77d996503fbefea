//go:build !amd64 && !arm64

package ring

import "unsafe"

// prefetchLines does nothing on processors without assembly here: a load would wait for what it loads.
func prefetchLines(unsafe.Pointer, uint64) {}
