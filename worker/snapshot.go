package worker

import (
	"tcp-stream-exporter/stream"
)

// Snapshot holds a reader's copy of every stream, taken piece by piece while packets go on coming, and of the
// totals right after the last piece. It is reused from call to call. Close gives its memory
// back.
type Snapshot struct {
	// What the reader asks for, set before the call.
	TotalsOnly bool // no streams: it costs nothing then
	WithExtras bool // Extras, too
	WithHidden bool // IPv6 streams too where Config.IPv6 is not set, if they are accounted

	Views  []stream.View
	Wide   []stream.Ends  // the argument of View.Ends
	Extras []stream.Extra // of the streams in Views, if asked for; times are real time
	Stats  Stats

	rows *rows // where they are
	most int   // streams that there were before Keep
}

// Keep drops all streams but the first n.
func (s *Snapshot) Keep(n int) {
	s.most = max(s.most, len(s.Views))
	s.Views = s.Views[:n]
	if s.WithExtras {
		s.Extras = s.Extras[:n]
	}
}

// keptViews is the number of streams whose memory a snapshot at rest keeps: 26 MB.
const keptViews = 1 << 18

// HasRoom reports whether another piece of work fits in, in a Snapshot that was emptied for fewer streams than there are.
func (s *Snapshot) HasRoom() bool { return cap(s.Views)-len(s.Views) >= pieceStreams }

// Release ends the reader's use of the streams. Memory beyond keptViews goes back to the kernel.
func (s *Snapshot) Release() {
	if s.rows != nil {
		s.rows.shrink(max(s.most, len(s.Views)), keptViews)
	}
	s.Views, s.Wide, s.Extras, s.most = nil, nil, nil, 0
}

// Close frees the snapshot's memory, which must not be looked at after it.
func (s *Snapshot) Close() error {
	rows := s.rows
	*s = Snapshot{}
	if rows == nil {
		return nil
	}
	return rows.close()
}

// Empty makes the snapshot empty, with room for all streams of tables of n connections.
func (s *Snapshot) Empty(n int) error {
	s.Views, s.Wide, s.Extras, s.most = nil, nil, nil, 0
	if s.TotalsOnly {
		return nil
	}
	if s.rows == nil {
		rows, err := newRows(n)
		if err != nil {
			return err
		}
		s.rows = rows
	}
	s.Views, s.Wide, s.Extras = s.rows.views.Values[:0], s.rows.ends.Values[:0], s.rows.extras.Values[:0]
	return nil
}

// Work of one piece of a snapshot: at most so many streams copied and so many records looked at,
// so that a reader never holds the worker for long (2 µs on average).
const (
	pieceStreams = 32
	pieceRecords = 64
)

// ViewsFrom appends the streams of the records from index pos on to s, within one piece of work. It
// returns the index to go on with and whether that was all. A reading begins with pos 0. shift is the worker's
// clock less the real-time one, in ns.
//
// Connections that were inserted after the reading began are left to the next one: their addresses and
// ports may be those of a connection that has been copied, and was removed since.
func (w *Worker) ViewsFrom(pos int, shift int64, s *Snapshot) (int, bool) {
	if s.TotalsOnly {
		return pos, true
	}
	if pos == 0 {
		w.reading++
	}
	used := w.table.Used()
	end := min(pos+pieceRecords, used)
	views, full := s.Views, len(s.Views)+pieceStreams-2 // a record may add two
	for ; pos < end && len(views) <= full; pos++ {
		if w.since[pos] == w.reading {
			continue
		}
		r := w.table.At(uint32(pos))
		if !s.WithHidden && w.isHidden(&r.Key) {
			continue
		}
		for dir := range 2 {
			if r.Packets(dir) == 0 {
				continue
			}
			views = views[:len(views)+1]
			v := &views[len(views)-1]
			r.View(dir, w.now, v)
			var e stream.Ends
			e.Src, e.Dst, v.SrcPort, v.DstPort = r.Key.Endpoints(dir)
			if id := r.Key.Identity(); id != 0 {
				e.Origin = w.originOf(id)
			}
			s.Wide = v.SetEnds(e, s.Wide)
			if s.WithExtras {
				s.Extras = s.Extras[:len(views)]
				r.Extra(dir, shift, &s.Extras[len(views)-1])
				if w.optional {
					w.table.Optional(uint32(pos)).Extra(dir, &s.Extras[len(views)-1])
				}
			}
		}
	}
	s.Views = views
	return pos, pos >= used
}

// Snapshot copies every stream into s, on the worker's own goroutine. Times are those of the worker's
// clock.
func (w *Worker) Snapshot(s *Snapshot) error {
	w.flush()
	if err := s.Empty(w.table.Cap()); err != nil {
		return err
	}
	for pos, done := 0, false; !done; {
		pos, done = w.ViewsFrom(pos, 0, s)
	}
	s.Stats = w.Stats()
	return nil
}
