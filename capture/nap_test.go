package capture

import (
	"testing"
	"time"
)

func TestNaps(t *testing.T) {
	const us = time.Microsecond
	for _, row := range []struct {
		says       string
		came       uint64
		since      time.Duration
		ring, size int
		want       time.Duration // 0: none
	}{
		{"silence", 0, time.Second, 128, 32 << 20, 0},
		{"a block every 20 ms", 1, 20000 * us, 128, 32 << 20, 0},
		{"a block every 17 ms", 2, 34000 * us, 128, 32 << 20, 0},
		{"a block every 9 ms", 2, 18000 * us, 128, 32 << 20, maxNap},
		{"a block every 2.5 ms", 2, 5000 * us, 128, 32 << 20, 20000 * us},
		{"a block every 0.5 ms", 8, 4000 * us, 128, 32 << 20, 4000 * us},
		{"the same into a ring of 64", 8, 4000 * us, 64, 16 << 20, 2000 * us},
		{"the same into a ring of 31", 8, 4000 * us, 31, 32 << 20, 0},
		{"the same into a ring of 4096", 8, 4000 * us, 4096, 1 << 30, 4000 * us},
		{"a ring that is full in 2 ms", 8, 4000 * us, 128, 2_000_000, 2000 * us},
		{"a ring that is full in 1 ms", 8, 4000 * us, 128, 1_000_000, 1000 * us},
		{"a ring that is full in 0.7 ms", 8, 4000 * us, 128, 700_000, 0},
		{"a clock that stands", 1, 0, 128, 32 << 20, 0},
	} {
		var n naps
		n.may(1000, 77, row.ring, row.size) // the rest before
		got := time.Duration(0)
		if n.may(1000+int64(row.since), 77+row.came, row.ring, row.size) {
			got = n.nap
		}
		if got != row.want {
			t.Errorf("%s: sleeps for %v, want %v", row.says, got, row.want)
		}
		if n.may(2000+int64(row.since), 77+row.came, row.ring, row.size) {
			t.Errorf("%s: sleeps again with no block since", row.says)
		}
	}
}
