package main

import (
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"tcp-stream-exporter/table"
)

// TestNumbersAtTheirExtremes: a number that cannot be is one line that names the flag as typed, the
// value and what to do; on every processor, whatever an int holds there.
func TestNumbersAtTheirExtremes(t *testing.T) {
	for _, row := range []struct{ flag, value, want string }{
		{"max-connections", "0", "want 1 to"},
		{"max-connections", "-1", "want 1 to"},
		{"max-connections", strconv.Itoa(table.MaxConnections + 1), "want 1 to " + strconv.Itoa(table.MaxConnections)},
		{"max-connections", strconv.Itoa(math.MaxInt), "want 1 to " + strconv.Itoa(table.MaxConnections)},
		{"max-connections", "9223372036854775808", "value out of range"},
		{"workers", "0", "want 1 to"},
		{"workers", strconv.Itoa(math.MaxInt), "want 1 to"},
		{"retire-timeout", "2562047h", "want 1ms to 150ms"},
		{"retire-timeout", "-2562047h", "want 1ms to 150ms"},
		{"retire-timeout", "2562048h", "invalid"},
		{"streams-top", strconv.Itoa(math.MinInt), "want 1 or more"},
		{"streams-min-bytes", strconv.Itoa(math.MinInt), "want 0 or more"},
		{"streams-min-age", "-2562047h", "is negative"},
		{"cpus", "0-2147483647", "is no CPU"},
		{"cpus", "18446744073709551616", "is no CPU"},
		{"streams-top", strconv.Itoa(math.MaxInt), ""},
		{"streams-min-bytes", "9223372036854775807", ""},
		{"streams-min-age", "2562047h", ""},
	} {
		_, err := parseFlags([]string{"-" + row.flag, row.value}, io.Discard)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("-%s %s: %v", row.flag, row.value, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "-"+row.flag) || strings.Contains(err.Error(), "\n")):
			t.Errorf("-%s %s: error %v, want one line with %q", row.flag, row.value, err, row.want)
		}
	}
	if strconv.IntSize == 32 {
		if want := 1 << 20; table.MaxConnections != want {
			t.Errorf("up to %d connections, want %d: more do not fit the address space", table.MaxConnections, want)
		}
	}
}

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
