package collector

import (
	"context"

	"tcp-stream-exporter/worker"
)

// Source is the capture as a scrape sees it.
type Source interface {
	// Snapshot fills s with all live streams, reusing the memory of s.Views, and the totals of the
	// moment after that. It returns early with ctx's error when ctx ends. It may be called from several
	// goroutines at once.
	Snapshot(ctx context.Context, s *worker.Snapshot) error
}
