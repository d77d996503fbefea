package walk

import (
	"testing"
	"time"
)

func TestNapsAreForBlocksThatComeFast(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		says      string
		came      uint64
		since     time.Duration
		numBlocks int
		want      time.Duration
	}{
		{"no block came", 0, 10 * ms, 128, 0},
		{"a block a ms: over eight", 4, 4 * ms, 128, 8 * ms},
		{"the same, of a ring so long that eight are less than a sixteenth", 4, 4 * ms, 256, 8 * ms},
		{"a block in 6 ms: 24 ms at most", 1, 6 * ms, 128, 24 * ms},
		{"a block in 16 ms is worth no nap", 1, 16 * ms, 128, 0},
		{"a small ring: over a sixteenth of it", 1, 2 * ms, 32, 4 * ms},
		{"a ring of few blocks", 1, ms, 31, 0},
	} {
		var n Naps
		begin := time.Now()
		cfg := Config{BlockSize: 262144, NumBlocks: test.numBlocks}
		n.Next(begin, 100, cfg)
		if got := n.Next(begin.Add(test.since), 100+test.came, cfg); got != test.want {
			t.Errorf("%s: %v, want %v", test.says, got, test.want)
		}
	}
}

func TestSleeperSleeps(t *testing.T) {
	s, err := NewSleeper()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		begin := time.Now()
		if err := s.Sleep(5 * time.Millisecond); err != nil || time.Since(begin) < 5*time.Millisecond {
			t.Errorf("it slept for %v, %v", time.Since(begin), err)
		}
	}
}
