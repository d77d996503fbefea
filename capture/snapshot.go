package capture

import (
	"tcp-stream-exporter/stream"
)

// Snapshot is what a reader gets: every stream, and the totals of the same moment.
type Snapshot struct {
	Views []stream.View // reused from call to call
	Stats Stats
}

// Stats are the totals of a capture.
type Stats struct {
	Counters
	stream.Tally
	Dropped     uint64 // frames that the kernel dropped for want of room in the ring
	Freezes     uint64 // times that the kernel found the whole ring taken
	Connections int    // in the table
	Capacity    int    // of the table
	Reopened    uint64 // times that the ring was opened again
	InterfaceUp bool
}

// Work of one piece of a snapshot: at most so many streams copied and so many records looked at,
// so that a reader never holds the worker for long (about 20 µs).
const (
	pieceStreams = 128
	pieceRecords = 1024
)

// viewsFrom appends the streams of the records from index pos on to views, within its capacity
// and within one piece of work. It returns the index to go on with and whether that was all.
func (w *Worker) viewsFrom(pos int, views []stream.View) (int, []stream.View, bool) {
	end := min(pos+pieceRecords, w.table.Used())
	full := min(len(views)+pieceStreams, cap(views)) - 2 // a record may add two
	for ; pos < end && len(views) <= full; pos++ {
		r := w.table.At(uint32(pos))
		for dir := range 2 {
			if r.Packets(dir) == 0 {
				continue
			}
			views = views[:len(views)+1]
			v := &views[len(views)-1]
			r.View(dir, w.now, v)
			v.Src, v.Dst, v.SrcPort, v.DstPort = r.Key.Endpoints(dir)
		}
	}
	return pos, views, pos >= w.table.Used()
}

// Stats returns the worker's own totals.
func (w *Worker) Stats() Stats {
	w.flush()
	return Stats{Counters: w.counters, Tally: w.tally, Connections: w.table.Len(), Capacity: w.table.Cap()}
}

// grow makes room for at least one more piece, and at once for as many streams as there are.
func grow(views []stream.View, streams int64) []stream.View {
	if cap(views)-len(views) >= pieceStreams {
		return views
	}
	want := max(len(views)+pieceStreams, int(streams)+2*pieceStreams)
	bigger := make([]stream.View, len(views), want+want/8)
	copy(bigger, views)
	return bigger
}

// Snapshot copies every stream into s, on the worker's own goroutine.
func (w *Worker) Snapshot(s *Snapshot) {
	w.flush()
	s.Views = s.Views[:0]
	for pos, done := 0, false; !done; {
		s.Views = grow(s.Views, w.tally.Streams)
		pos, s.Views, done = w.viewsFrom(pos, s.Views)
	}
	s.Stats = w.Stats()
}
