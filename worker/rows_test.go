package worker

import (
	"testing"

	"tcp-stream-exporter/stream"
)

func TestRowsGiveTheirPagesBack(t *testing.T) {
	const n = 5
	r, err := newRows(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.views.Values) != 2*n || len(r.ends.Values) != 2*n || len(r.extras.Values) != 2*n {
		t.Fatalf("%d views, %d ends, %d extras, want %d each", len(r.views.Values), len(r.ends.Values), len(r.extras.Values), 2*n)
	}
	last := 2*n - 1
	fill := func() {
		r.views.Values[last].Packets, r.ends.Values[last].Dst.Lo, r.extras.Values[last].Wire = 1, 2, 3
	}
	fill()
	r.shrink(3, 3)
	if r.views.Values[last].Packets != 1 || r.ends.Values[last].Dst.Lo != 2 || r.extras.Values[last].Wire != 3 {
		t.Error("no more were used than are kept, and yet they are gone")
	}
	r.shrink(4, 3)
	if r.views.Values[last] != (stream.View{}) || r.ends.Values[last] != (stream.Ends{}) || r.extras.Values[last] != (stream.Extra{}) {
		t.Errorf("after more than are kept were used: %+v, %+v, %+v, want zeros", r.views.Values[last], r.ends.Values[last], r.extras.Values[last])
	}
	fill() // the memory stays usable
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if r.views.Values != nil || r.ends.Values != nil || r.extras.Values != nil {
		t.Error("values are left after close")
	}
}
