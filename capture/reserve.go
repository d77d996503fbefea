package capture

import "tcp-stream-exporter/worker"

// How many of the table's records have memory before they are used. The kernel clears a huge page for
// 0.2 ms when it is first written, and for 5 ms on a virtual machine whose host has to find the memory
// first; that must not happen while packets wait. It happens on other threads, which may have to share
// their processors and be a tenth of a second late: in that time 25,000 connections come if 250,000
// come in a second. A table that is nearly full shall hold hardly more memory than it uses, so it is
// fewer towards its end: of what was never used a share that is a sixth of this one's of the whole.
const (
	reserveMost  = 8 * worker.PageRecords // 16 MB
	reserveLeast = 2 * worker.PageRecords
	reserveShare = 6

	// populators are the threads: two pages are there sooner than one after the other.
	populators = 2
)

// reserve asks for memory for the records that will be used next.
func (c *Capture) reserve() {
	used := c.worker.Used()
	rest := c.capacity - used
	ahead := rest / (reserveShare*c.capacity/(rest+1) + 1)
	ahead = min(max(ahead, reserveLeast), reserveMost, rest)
	for c.reserved < used+ahead {
		select {
		case c.wantRecords <- c.reserved:
			c.reserved += worker.PageRecords
		default: // they are still at the ones before
			return
		}
	}
}

// populate serves reserve until wantRecords is closed.
func (c *Capture) populate() {
	defer c.populating.Done()
	for from := range c.wantRecords {
		// Before Linux 5.14 it fails: the pages come when they are written.
		_ = c.worker.Populate(from, min(from+worker.PageRecords, c.capacity))
	}
}
