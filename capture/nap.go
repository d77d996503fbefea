package capture

import "time"

// Where blocks keep coming, waking up for each of them costs more than walking it: the switch to the
// thread, and caches that others have used meanwhile. So the worker then sleeps over a few blocks. It
// must not over so many that a burst finds no room: of a ring's blocks one in napShare may fill at the
// rate of the last ones, and at napRate all of them must last.
const (
	maxNap    = 24 * time.Millisecond
	napBlocks = 8
	napShare  = 16
	napRate   = 1 // bytes a ns: 6 million packets/s of 160 bytes each
)

// naps decides when the worker sleeps over blocks.
type naps struct {
	nap    time.Duration // how long, if may has just returned true
	blocks uint64        // that had been walked at the last rest
	rested int64         // when that was, ns
}

// may is asked at each rest, with how many blocks the worker has walked in all, and how many the ring
// has, of how many bytes together. Blocks must have come since the last rest, and so fast that a nap is
// worth more than one of them.
func (n *naps) may(now int64, walked uint64, ring, size int) bool {
	came, since := walked-n.blocks, now-n.rested
	n.blocks, n.rested = walked, now
	over := min(napBlocks, ring/napShare)
	most := min(maxNap, time.Duration(size/napRate))
	if came == 0 || over < 2 {
		return false
	}
	each := time.Duration(since) / time.Duration(came)
	n.nap = min(most, each*time.Duration(over))
	return each > 0 && each < most*2/3
}
