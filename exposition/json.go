package exposition

import (
	"io"
	"math"
	"strconv"

	"tcp-stream-exporter/stream"
)

// jsonSchema is the version of the fields of a line of JSON (docs/api.md). A field that is new keeps it; one that
// goes, or that means something else, makes a new version.
const jsonSchema = 1

// WriteJSON writes the streams of c as JSON Lines: one object a line for each stream, with its addresses, ports and
// state and the families of c.Selection in which it has a figure, under their names. The digits are those of the text
// format; what JSON cannot hold, infinities and NaN, is left out. Totals and Others are not written. Errors are as of
// Write.
//
// It appends instead of calling encoding/json, which would want a map or a type made by reflection for each choice of
// families, and has other digits for a float32. A test holds it against encoding/json.
func (t *Writer) WriteJSON(w io.Writer, c *Content) error {
	families, s := c.Selection.families, &c.Streams
	t.buf = t.buf[:0]
	for i := range s.Views {
		t.buf = appendObjectHead(t.buf, &s.Views[i], s.Wide)
		for k := range families {
			f := &families[k]
			x, known := f.figure(s, i)
			if !known || math.IsNaN(x) || math.IsInf(x, 0) {
				continue
			}
			t.buf = append(t.buf, `,"`...)
			t.buf = append(t.buf, f.Name...)
			t.buf = append(t.buf, `":`...)
			t.buf = appendValue(t.buf, x, f.number)
		}
		t.buf = append(t.buf, "}\n"...)
		if len(t.buf) >= PieceSize {
			if err := t.flush(w); err != nil {
				return err
			}
		}
	}
	if len(t.buf) == 0 {
		return nil
	}
	return t.flush(w)
}

// figure returns the value that stream i has in the family, and whether it has one.
func (f *Family) figure(s *Streams, i int) (x float64, known bool) {
	if f.extra != nil {
		return f.extra(&s.Extras[i])
	}
	if v := &s.Views[i]; v.Has&f.needs == f.needs {
		return f.value(v), true
	}
	return 0, false
}

// appendObjectHead appends the beginning of a stream's object. No value can hold a character that JSON escapes.
func appendObjectHead(b []byte, v *stream.View, wide []stream.Ends) []byte {
	e := v.Ends(wide)
	b = append(b, `{"schema":`...)
	b = strconv.AppendUint(b, jsonSchema, 10)
	b = append(b, `,"src_ip":"`...)
	b = appendAddr(b, e.Src)
	b = append(b, `","src_port":`...)
	b = strconv.AppendUint(b, uint64(v.SrcPort), 10)
	b = append(b, `,"dst_ip":"`...)
	b = appendAddr(b, e.Dst)
	b = append(b, `","dst_port":`...)
	b = strconv.AppendUint(b, uint64(v.DstPort), 10)
	if v.Finalized {
		return append(b, `,"state":"finalized"`...)
	}
	return append(b, `,"state":"active"`...)
}
