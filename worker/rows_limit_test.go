//go:build !386

// qemu-i386, under which tests of 32 bits run where the kernel runs none, puts no limit on the address space.

package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRowsThatCannotBeMapped leaves the process address space for the views and the ends (304 MiB) but not for the
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
