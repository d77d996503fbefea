package collector

import (
	"io"
	"strconv"
	"strings"

	"tcp-stream-exporter/worker"
)

// pieceSize is how many bytes the writer gathers before it hands them on: large enough that a
// write costs little, small enough that a client that hangs up is noticed soon.
const pieceSize = 64 << 10

// lineRoom is room for the longest line or header after a piece is full, so that the buffer is
// never moved: a name, two IPv6 addresses and a value are below 300 bytes, a header below 400.
const lineRoom = 1 << 10

// labelledStreams is up to how many streams the label texts are kept from the first family to the last
// instead of being written out again for each: 13 MB. Copying one takes half as long as writing it.
const labelledStreams = 1 << 17

// textWriter writes per-stream families. The zero value is ready. Its memory is kept from scrape to scrape: once it has seen as many streams as it will
// see again, it allocates nothing. One goroutine at a time.
type textWriter struct {
	buf    []byte   // the piece being filled
	labels []byte   // the label texts of all streams, one after the other
	ends   []uint32 // ends[i] is where the label text of stream i ends in labels; empty: they are not kept
}

// write writes head, then every family that has at least one line, to w in pieces of about
// pieceSize. It stops at the first error of w and returns it as it is.
func (t *textWriter) write(w io.Writer, head []byte, s *worker.Snapshot, as shape) error {
	if t.buf == nil {
		t.buf = make([]byte, 0, pieceSize+lineRoom)
	}
	if len(as.families) > 0 {
		t.renderLabels(s)
	}
	// head may be longer than the buffer's room; then append makes a larger one, which is kept.
	t.buf = append(t.buf[:0], head...)
	for i := range as.families {
		if err := t.writeFamily(w, &as.families[i], s, as.openMetrics); err != nil {
			return err
		}
	}
	if as.openMetrics {
		t.buf = append(t.buf, "# EOF\n"...)
	}
	if w, ok := w.(lastWriter); ok {
		return w.WriteLast(t.buf)
	}
	if len(t.buf) == 0 {
		return nil
	}
	return t.flush(w)
}

// renderLabels writes the label text of every stream, once for all families, unless there are too
// many.
func (t *textWriter) renderLabels(s *worker.Snapshot) {
	t.labels, t.ends = t.labels[:0], t.ends[:0]
	if len(s.Views) > labelledStreams {
		t.labels, t.ends = nil, nil
		return
	}
	for i := range s.Views {
		t.labels = appendLabels(t.labels, &s.Views[i], s.Wide)
		t.ends = append(t.ends, uint32(len(t.labels)))
	}
}

func (t *textWriter) writeFamily(w io.Writer, f *family, s *worker.Snapshot, openMetrics bool) error {
	b := t.buf
	started, kept := false, len(t.ends) == len(s.Views)
	begin := uint32(0)
	for i := range s.Views {
		v, end := &s.Views[i], uint32(0)
		if kept {
			end = t.ends[i]
		}
		x, known := 0.0, false
		if f.extra != nil {
			x, known = f.extra(&s.Extras[i])
		} else if known = v.Has&f.needs == f.needs; known {
			x = f.value(v)
		}
		if known {
			if !started {
				b, started = appendHeader(b, f, openMetrics), true
			}
			b = append(b, f.name...)
			if kept {
				b = append(b, t.labels[begin:end]...)
			} else {
				b = appendLabels(b, v, s.Wide)
			}
			b = appendValue(b, x, f.number)
			b = append(b, '\n')
			if len(b) >= pieceSize {
				t.buf = b
				if err := t.flush(w); err != nil {
					return err
				}
				b = t.buf
			}
		}
		begin = end
	}
	t.buf = b
	return nil
}

func (t *textWriter) flush(w io.Writer) error {
	_, err := w.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

// appendHeader appends the HELP and TYPE lines. Help texts hold neither a backslash, a quotation mark
// nor a line feed, the characters that would have to be escaped. OpenMetrics has the name of a counter
// without its suffix there.
func appendHeader(b []byte, f *family, openMetrics bool) []byte {
	name := f.name
	if openMetrics && f.kind == counter {
		name = strings.TrimSuffix(name, "_total")
	}
	b = append(b, "# HELP "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, f.help...)
	b = append(b, "\n# TYPE "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, f.kind...)
	return append(b, '\n')
}

// appendValue appends x; not-a-number and the infinities become NaN, +Inf and -Inf, as the text
// format spells them.
func appendValue(b []byte, x float64, n number) []byte {
	switch {
	case n == whole && x >= 0 && x < 1<<63: // beyond, the conversion to an integer could overflow
		return strconv.AppendUint(b, uint64(x), 10)
	case n == single:
		return strconv.AppendFloat(b, x, 'g', -1, 32)
	}
	return strconv.AppendFloat(b, x, 'g', -1, 64)
}
