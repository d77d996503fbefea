package exposition

import (
	"encoding/json"
	"io"
	"math"
	"strconv"

	"tcp-stream-exporter/stream"
)

// JSONSchema is the version of the fields of a line of JSON (docs/api.md). A field that is new keeps it; one that
// goes, or that means something else, makes a new version.
const JSONSchema = 1

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
		t.buf = append(t.buf, `{"schema":`...)
		t.buf = strconv.AppendUint(t.buf, JSONSchema, 10)
		t.buf = append(t.buf, ',')
		t.buf = s.appendObject(t.buf, i)
		for k := range families {
			t.buf = families[k].appendField(t.buf, s, i)
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

// AppendObject appends the fields of stream i of s as WriteJSON does, without the schema and without the braces. Unlike
// there, a figure that one direction alone cannot show is left out if no other was seen, see Family.bothWays. The families
// must not be such as need Extras.
func (fs Families) AppendObject(b []byte, s *Streams, i int) []byte {
	b = s.appendObject(b, i)
	oneWay := s.Views[i].Has&stream.HasReverse == 0
	for k := range fs {
		if f := &fs[k]; !f.bothWays || !oneWay {
			b = f.appendField(b, s, i)
		}
	}
	return b
}

// appendField appends stream i's figure in the family, if it has one that JSON can hold.
func (f *Family) appendField(b []byte, s *Streams, i int) []byte {
	x, known := f.figure(s, i)
	if !known || math.IsNaN(x) || math.IsInf(x, 0) {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, f.Name...)
	b = append(b, `":`...)
	return appendValue(b, x, f.number)
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

// appendObject appends the fields of stream i that are not figures. Only an interface's name can hold a character that JSON
// escapes.
func (s *Streams) appendObject(b []byte, i int) []byte {
	v := &s.Views[i]
	e := v.Ends(s.Wide)
	b = append(b, `"src_ip":"`...)
	b = appendAddr(b, e.Src)
	b = append(b, `","src_port":`...)
	b = strconv.AppendUint(b, uint64(v.SrcPort), 10)
	b = append(b, `,"dst_ip":"`...)
	b = appendAddr(b, e.Dst)
	b = append(b, `","dst_port":`...)
	b = strconv.AppendUint(b, uint64(v.DstPort), 10)
	if e.IfIndex != 0 || e.Shared {
		b = append(b, `,"interface":`...)
		name, _ := json.Marshal(s.Interface(&e.Origin)) // a string can always be written
		b = append(b, name...)
	}
	if e.VLANs != 0 {
		b = append(b, `,"vlan":"`...)
		b = append(e.VLANs.AppendTo(b), '"')
	}
	if v.Finalized {
		return append(b, `,"state":"finalized"`...)
	}
	return append(b, `,"state":"active"`...)
}
