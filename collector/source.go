package collector

import (
	"context"

	"tcp-stream-exporter/stream"
)

// Source is the capture as a scrape sees it. Both methods may be called from several goroutines
// at once.
type Source interface {
	// Snapshot fills s with all live streams, reusing the memory of s.Views. It returns early with
	// ctx's error when ctx ends.
	Snapshot(ctx context.Context, s *Snapshot) error
	// Stats returns the totals since the start of the capture.
	Stats() Stats
}

// Snapshot is what one scrape exports: plain values that the scrape owns.
type Snapshot struct {
	Active int           // streams that are not finalized
	Views  []stream.View // all live streams, in any order
}

// Stats are totals over all rings since the start.
type Stats struct {
	Packets uint64 // taken out of the rings
	Dropped uint64 // dropped by the kernel for want of room (tp_drops)
	Freezes uint64 // TPACKET_V3 queue freezes (tp_freeze_q_cnt)
}
