package capture

import "math"

// How many of the table's records have memory before they are used. The kernel clears a huge page for
// 0.2 ms when it is first written, and for 5 ms on a virtual machine whose host has to find the memory
// first; that must not happen while packets wait. It happens on another thread, which may have to
// share its processor and be a tenth of a second late: in that time 25,000 connections come if 250,000
// come in a second. Towards the end of the table it is fewer, so that a table that is nearly full
// holds hardly more memory than it uses.
const (
	reserveMost  = 24 << 10 // records: 12 MB
	reserveLeast = 4 << 10  // a huge page
	reserveShare = 16       // between the two, one for so many records that were never used
)

// reserve asks for memory for the records that will be used next, once a third of what was ahead of
// them is used up.
func (c *Capture) reserve() {
	used := c.worker.table.Used()
	ahead := min(max((c.room-used)/reserveShare, reserveLeast), reserveMost)
	if used+ahead-ahead/3 <= c.reserved || c.reserved >= c.room {
		return
	}
	upTo := min(used+ahead, c.room)
	select {
	case c.wantRecords <- upTo:
		c.reserved = upTo
	default: // it is still at the last ones
	}
}

// populate serves reserve on a goroutine of its own until wantRecords is closed.
func (c *Capture) populate() {
	defer close(c.populated)
	from := 0
	for upTo := range c.wantRecords {
		if from < upTo && c.worker.table.Populate(from, upTo) != nil {
			// Before Linux 5.14: the pages come when they are written.
			upTo = math.MaxInt
		}
		from = max(from, upTo)
	}
}
