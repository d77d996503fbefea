package api

import (
	"context"
	"hash/maphash"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/stream"
)

// window holds one figure of each selected stream as it was when the window began, by a hash of addresses, ports and
// origin: some 40 bytes for each. Two streams share a hash less often than once in a billion among 100,000 streams, and one
// of the two would then be ranked wrongly.
//
// A client that asks again and again could be served from what the call before left behind. That would have to be kept for
// each client, 40 MB for a million streams, and for how long nobody knows; and two clients without a name would take it
// from one another. Two readings in one call need no memory between calls, and the interval is the one that was asked for.
type window struct {
	seed  maphash.Seed
	by    exposition.Order
	first map[uint64]uint64
	began time.Time
}

// newWindow returns a window that ranks by the figure of by, which must be one that Counts.
func newWindow(by exposition.Order) *window {
	return &window{seed: maphash.MakeSeed(), by: by, first: map[uint64]uint64{}}
}

// key identifies a stream.
type key struct {
	stream.Ends
	src, dst uint16
}

func (w *window) hash(v *stream.View, wide []stream.Ends) uint64 {
	return maphash.Comparable(w.seed, key{v.Ends(wide), v.SrcPort, v.DstPort})
}

// note remembers a stream's figure at the beginning.
func (w *window) note(v *stream.View, wide []stream.Ends) { w.first[w.hash(v, wide)] = w.by.Score(v) }

// increase returns by how much a stream's figure has grown since then. A connection that has come in the place of another
// one on the same ends counts from its own start if it has less than the other one had.
func (w *window) increase(v *stream.View, wide []stream.Ends) uint64 {
	now := w.by.Score(v)
	if was := w.first[w.hash(v, wide)]; was <= now {
		return now - was
	}
	return now
}

// wait waits until the window has lasted d.
func (w *window) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(time.Until(w.began.Add(d)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
