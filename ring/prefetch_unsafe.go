package ring

import "unsafe"

// Prefetch has the processor fetch what lies at the offsets from and on, up to to, and returns where that ended: there
// a later call goes on. Offsets behind the block are left out.
//
// Frames lie one behind the other, and processors fetch ahead by themselves, but not everything: docs/perf-log.md has
// what this gains.
func (b *Block) Prefetch(from, to uint64) (end uint64) {
	if to = min(to, uint64(len(b.mem))); from >= to {
		return from
	}
	// Sound: from is below len(b.mem), and no byte is read or written.
	prefetchLines(unsafe.Pointer(&b.mem[from]), to-from)
	return to
}
