package capture

import "math"

// reserveRecords is how many of the table's records have memory before they are used: 4 MB. The
// kernel clears a huge page for half a millisecond and more when it is first written; that must not
// happen while packets wait.
const reserveRecords = 1 << 13

// reserve asks for memory for the records that will be used next.
func (c *Capture) reserve() {
	used := c.worker.table.Used()
	if used+reserveRecords+used/8 <= c.reserved || c.reserved >= c.room {
		return
	}
	upTo := min(used+2*(reserveRecords+used/8), c.room)
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
