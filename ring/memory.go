package ring

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// checkMemory refuses n rings that are larger than the available memory. The kernel would try all the
// same: it takes page after page, pushes everything else out, cannot be interrupted, and fails after a
// minute.
func checkMemory(c Config, n int) error {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil // without /proc the size is not known, and the kernel decides
	}
	defer f.Close()
	need := c.bytes() * uint64(n) // 48 bits and 9
	if free, ok := availableMemory(f); ok && need > free {
		return c.refuse(ringSize, "allocate %d bytes: only %d bytes of memory are available: use fewer or smaller blocks", need, free).inGroup(n)
	}
	return nil
}

// availableMemory returns MemAvailable of /proc/meminfo (proc(5)), in bytes.
func availableMemory(meminfo io.Reader) (bytes uint64, ok bool) {
	for lines := bufio.NewScanner(meminfo); lines.Scan(); {
		value, found := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !found {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 53)
		return kib << 10, err == nil
	}
	return 0, false
}
