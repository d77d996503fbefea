package app

import (
	"io"
	"testing"
)

func TestATableLargerThanMemoryIsRefused(t *testing.T) {
	o, err := parseFlags([]string{"-max-connections", "1000000"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.fitsMemory(1 << 30); err != nil {
		t.Errorf("a million connections in 1 GiB: %v", err)
	}
	err = o.fitsMemory(512 << 20)
	want := "-max-connections 1000000: needs up to 634000000 bytes, the machine has 536870912 bytes of memory: use at most 846799"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	if total, ok := totalMemory(); !ok || total < 64<<20 {
		t.Errorf("the machine's memory: %d %v", total, ok)
	}
}
