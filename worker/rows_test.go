package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

// TestRowsThatCannotBeMapped leaves the process address space for the views and the ends (272 MiB) but not for the
// extras (128 MiB): what was mapped is unmapped.
func TestRowsThatCannotBeMapped(t *testing.T) {
	const n = 1 << 20
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil {
		t.Fatal(err)
	}
	before := addressSpace(t)
	few := unix.Rlimit{Cur: before + 370<<20, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_AS, &few); err != nil {
		t.Fatal(err)
	}
	r, err := newRows(n)
	if e := unix.Setrlimit(unix.RLIMIT_AS, &limit); e != nil {
		t.Fatal(e)
	}
	if err == nil {
		_ = r.close()
		t.Fatal("mapped more than the limit")
	}
	if want := fmt.Sprintf("cannot map %d bytes for a reader of %d connections: cannot allocate memory", n*432, n); err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if after := addressSpace(t); after > before+90<<20 { // which the test program may take itself meanwhile
		t.Errorf("%d bytes of address space are in use, %d were before", after, before)
	}
}

// addressSpace returns the size of the process's address space in bytes (statm in proc(5)).
func addressSpace(t *testing.T) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages uint64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &pages); err != nil {
		t.Fatal(err)
	}
	return pages * uint64(unix.Getpagesize())
}
