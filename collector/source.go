package collector

import (
	"context"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/worker"
)

// Source is the capture as a scrape sees it.
type Source interface {
	// Snapshot fills s with all live streams, reusing the memory of s.Views, and the totals of the
	// moment after that. It returns early with ctx's error when ctx ends. It may be called from several
	// goroutines at once.
	Snapshot(ctx context.Context, s *Snapshot) error
}

// Snapshot holds all streams and the totals of one moment. No other file of this package says where it, or
// Stats, is defined.
type Snapshot = worker.Snapshot

// Stats holds the totals of one moment.
type Stats = worker.Stats

// streamsOf returns the streams of s, in the same memory.
func streamsOf(s *Snapshot) exposition.Streams {
	return exposition.Streams{Views: s.Views, Wide: s.Wide, Extras: s.Extras}
}

// totalsOf returns what is exported of s beside the exporter's own families.
func totalsOf(s *Stats) exposition.Totals {
	return exposition.Totals{ActiveStreams: s.Active, Packets: s.Packets, Dropped: s.Dropped, Freezes: s.Freezes}
}

// holdsOf returns s.Holds as client_golang takes a histogram: how many there are, their sum in seconds,
// and how many are at most as long as each bound.
func holdsOf(s *Stats) (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(worker.HoldBounds))
	for i, bound := range worker.HoldBounds {
		count += s.Holds.Counts[i]
		buckets[float64(bound)/1e9] = count
	}
	return count + s.Holds.Counts[len(worker.HoldBounds)], float64(s.Holds.Sum) / 1e9, buckets
}
