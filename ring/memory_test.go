package ring

import (
	"strings"
	"testing"
)

func TestAvailableMemory(t *testing.T) {
	for _, tc := range []struct {
		name, meminfo string
		want          uint64
		ok            bool
	}{
		{"as the kernel writes it", "MemTotal:       24689252 kB\nMemFree:        1000 kB\nMemAvailable:   20000000 kB\n", 20000000 << 10, true},
		{"a kernel before 3.14 has no such line", "MemTotal: 1 kB\n", 0, false},
		{"not a number", "MemAvailable: lots kB\n", 0, false},
		{"nothing", "", 0, false},
	} {
		if got, ok := availableMemory(strings.NewReader(tc.meminfo)); ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %d %v, want %d %v", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestARingLargerThanMemoryIsRefusedAtOnce(t *testing.T) {
	c := Config{BlockSize: 1 << 30, NumBlocks: 1 << 16, FrameSize: 1 << 20} // 64 TiB
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	err := checkMemory(c)
	if err == nil || !strings.Contains(err.Error(), "70368744177664 bytes") || !strings.Contains(err.Error(), "fewer or smaller blocks") {
		t.Errorf("%v", err)
	}
	c = Config{BlockSize: 1 << 12, NumBlocks: 1, FrameSize: 1 << 11}
	if err := checkMemory(c); err != nil {
		t.Error(err)
	}
}
