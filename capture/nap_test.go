package capture

import (
	"testing"
	"time"
)

func TestNaps(t *testing.T) {
	const us = time.Microsecond
	for _, row := range []struct {
		says  string
		came  uint64
		since time.Duration
		ring  int
		want  time.Duration // 0: none
	}{
		{"silence", 0, time.Second, 128, 0},
		{"a block every 8 ms", 1, 8000 * us, 128, 0},
		{"a block every 3 ms", 2, 6000 * us, 128, 0},
		{"a block every 2 ms", 2, 4000 * us, 128, maxNap},
		{"a block every 0.5 ms", 8, 4000 * us, 128, 2000 * us},
		{"the same into a ring of 64", 8, 4000 * us, 64, 1000 * us},
		{"the same into a ring of 63", 8, 4000 * us, 63, 0},
		{"the same into a ring of 4096", 8, 4000 * us, 4096, 2000 * us},
		{"a clock that stands", 1, 0, 128, 0},
	} {
		var n naps
		n.may(1000, 77, row.ring) // the rest before
		got := time.Duration(0)
		if n.may(1000+int64(row.since), 77+row.came, row.ring) {
			got = n.nap
		}
		if got != row.want {
			t.Errorf("%s: sleeps for %v, want %v", row.says, got, row.want)
		}
		if n.may(2000+int64(row.since), 77+row.came, row.ring) {
			t.Errorf("%s: sleeps again with no block since", row.says)
		}
	}
}
