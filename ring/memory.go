package ring

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// checkMemory refuses a ring that is larger than the memory there is. The kernel would try all the
// same: it takes page after page, pushes everything else out, cannot be interrupted, and fails after
// a minute.
func checkMemory(c Config) error {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil // without /proc nobody knows, and the kernel has the last word
	}
	defer f.Close()
	if free, ok := availableMemory(f); ok && c.bytes() > free {
		return fmt.Errorf("ring: allocate %d bytes (number of blocks %d, block size %d): only %d bytes of memory are available: use fewer or smaller blocks",
			c.bytes(), c.NumBlocks, c.BlockSize, free)
	}
	return nil
}

// availableMemory reads MemAvailable, in bytes, out of /proc/meminfo (proc(5)).
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
