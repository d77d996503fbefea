package exposition

import (
	"io"
	"strconv"
	"strings"
)

const (
	// PieceSize is the number of bytes at which a Writer hands a piece on: large enough
	// that a write costs little, small enough that a client that hangs up is noticed soon.
	PieceSize = 64 << 10
	// lineSpace holds the longest line or header after a piece is full, so that the buffer is never moved:
	// a name, two IPv6 addresses, an interface, VLANs and a value are below 500 bytes, a header below 400.
	lineSpace = 1 << 10
	// labelledStreams is up to how many streams the label texts are kept from the first family to the last
	// instead of being written out again for each: 13 MB. Copying one takes half as long as writing it.
	labelledStreams = 1 << 17
)

// Format is one of the two formats of a text. They differ in the headers of counters, in the numbers of
// totals and in the end.
type Format uint8

const (
	Text        Format = iota // the text format, version 0.0.4
	OpenMetrics               // OpenMetrics 1.0
)

// Content holds the data of one text.
type Content struct {
	Format    Format
	Selection Selection
	Totals    Totals
	Others    []Encoded     // by name, in Format; all of them are written, whatever Selection says
	Groups    *Combinations // nil: there are none
	Streams   Streams
}

// LastWriter is an io.Writer that treats the last piece of a text in its own way. A Writer calls WriteLast
// once, at the end, also if nothing is left to write.
type LastWriter interface {
	io.Writer
	WriteLast(p []byte) error
}

// Writer writes texts. The zero value is ready. Its memory is kept from text to text: once it has seen as
// many streams as it will see again, it allocates nothing. One goroutine at a time.
type Writer struct {
	buf    []byte   // the piece being filled
	labels []byte   // the label texts of all streams, one after the other
	ends   []uint32 // ends[i] is where the label text of stream i ends in labels; empty: they are not kept
}

// Write writes the text of c to w, in pieces of about PieceSize that end with a line. It stops at the
// first error of w and returns that as it is.
func (t *Writer) Write(w io.Writer, c *Content) error {
	if t.buf == nil {
		t.buf = make([]byte, 0, PieceSize+lineSpace)
	}
	families := c.Selection.families
	if len(families) > 0 {
		t.renderLabels(&c.Streams)
	}
	// The head may not fit in the buffer; then append makes a larger one, which is kept.
	t.buf = appendHead(t.buf[:0], c)
	if c.Groups != nil {
		for i := range c.Selection.groups {
			if err := t.writeGroups(w, &c.Selection.groups[i], c.Groups, c.Format); err != nil {
				return err
			}
		}
	}
	for i := range families {
		if err := t.writeFamily(w, &families[i], &c.Streams, c.Format); err != nil {
			return err
		}
	}
	if c.Format == OpenMetrics {
		t.buf = append(t.buf, "# EOF\n"...)
	}
	if w, ok := w.(LastWriter); ok {
		return w.WriteLast(t.buf)
	}
	if len(t.buf) == 0 {
		return nil
	}
	return t.flush(w)
}

// renderLabels writes the label text of every stream, once for all families, unless there are too
// many.
func (t *Writer) renderLabels(s *Streams) {
	t.labels, t.ends = t.labels[:0], t.ends[:0]
	if len(s.Views) > labelledStreams {
		t.labels, t.ends = nil, nil
		return
	}
	for i := range s.Views {
		t.labels = s.appendLabels(t.labels, &s.Views[i])
		t.ends = append(t.ends, uint32(len(t.labels)))
	}
}

func (t *Writer) writeFamily(w io.Writer, f *Family, s *Streams, format Format) error {
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
				b, started = appendHeader(b, &f.Header, format), true
			}
			b = append(b, f.Name...)
			if kept {
				b = append(b, t.labels[begin:end]...)
			} else {
				b = s.appendLabels(b, v)
			}
			b = appendValue(b, x, f.number)
			b = append(b, '\n')
			if len(b) >= PieceSize {
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

func (t *Writer) flush(w io.Writer) error {
	_, err := w.Write(t.buf)
	t.buf = t.buf[:0]
	return err
}

// appendHeader appends the HELP and TYPE lines. OpenMetrics has the name of a counter without its suffix
// there.
func appendHeader(b []byte, h *Header, format Format) []byte {
	name := h.Name
	if format == OpenMetrics && h.Type == Counter {
		name = strings.TrimSuffix(name, "_total")
	}
	b = append(b, "# HELP "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, h.Help...)
	b = append(b, "\n# TYPE "...)
	b = append(b, name...)
	b = append(b, ' ')
	b = append(b, h.Type...)
	return append(b, '\n')
}

// appendValue appends x; not-a-number and the infinities become NaN, +Inf and -Inf, as the formats spell
// them.
func appendValue(b []byte, x float64, n number) []byte {
	switch {
	case n == whole && x >= 0 && x < 1<<63: // beyond, the conversion to an integer could overflow
		return strconv.AppendUint(b, uint64(x), 10)
	case n == single:
		return strconv.AppendFloat(b, x, 'g', -1, 32)
	}
	return strconv.AppendFloat(b, x, 'g', -1, 64)
}
