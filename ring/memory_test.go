package ring

import (
	"math"
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
	if err := c.validate(1<<12, math.MaxInt64); err != nil {                // on 32 bits it cannot be addressed either
		t.Fatal(err)
	}
	err := checkMemory(c, 1)
	if err == nil || !strings.Contains(err.Error(), "70368744177664 bytes") || !strings.Contains(err.Error(), "fewer or smaller blocks") {
		t.Errorf("%v", err)
	}
	c = Config{BlockSize: 1 << 12, NumBlocks: 1, FrameSize: 1 << 11}
	if err := checkMemory(c, 1); err != nil {
		t.Error(err)
	}
	c = Config{BlockSize: 1 << 18, NumBlocks: 1 << 16, FrameSize: 1 << 11}
	err = checkMemory(c, 256)
	if want := "number of rings 256, number of blocks 65536 and block size 262144: allocate 4398046511104 bytes: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("256 rings: %v, want %s", err, want)
	}
}
