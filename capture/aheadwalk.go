package capture

import "tcp-stream-exporter/worker"

// batchBytes is what a batch of ordinary segments takes in a ring: 160 bytes each, with the headers alone.
const batchBytes = 160 * worker.BatchSize

// aheadWalk hands out what from does, and has the processor fetch the frames of the batch after each. It is for a worker
// whose batches overlap: its records push the block out of the caches, and memory takes longer than all else. Where the
// table is small the instructions gain nothing (docs/perf-log.md).
type aheadWalk struct {
	walk *walk
	from worker.Source // what hands out the frames of walk
	end  uint64        // offset in the block up to which it was fetched
}

// Gather is from's.
func (a *aheadWalk) Gather(to *worker.Batch) (n uint) {
	a.end = a.walk.blk.Prefetch(a.end, a.walk.off+2*batchBytes)
	return a.from.Gather(to)
}
