package ring

import "sort"

// Waiting returns how many blocks the kernel has handed over that were not released, from 0 to Blocks. The kernel fills
// blocks in ring order and they are released in ring order, so those that wait are the ones from the next on: finding
// the last of them takes as many looks as Blocks has binary digits. It is for the goroutine that calls Next.
func (r *Ring) Waiting() int {
	if r.mem == nil {
		return 0
	}
	return sort.Search(r.Blocks(), func(i int) bool {
		at := (r.cur + i*r.blockSize) % len(r.mem)
		return blockAt(r.mem[at:]).status()&tpStatusUser == 0
	})
}
