package app

import (
	"io"
	"strings"
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

func TestGroupsLargerThanMemoryAreRefused(t *testing.T) {
	o, err := parseFlags([]string{"-group-max", "1000", "-group-max-subnets", "9000", "-workers", "2", "-max-connections", "2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.fitsMemory(20000 * groupSize); err != nil {
		t.Errorf("what just fits: %v", err)
	}
	err = o.fitsMemory(20000*groupSize - 1)
	if want := "-group-max 1000 and -group-max-subnets 9000: the figures need up to "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": use at most 9999 together") {
		t.Errorf("error %v, want %s…", err, want)
	}
}
