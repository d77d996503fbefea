package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time, user and system, of all threads of the program so far, ended ones
// included.
func (p *Proc) CPU() (time.Duration, error) {
	// The clock of another process: its number, inverted, over the kind of clock (clock_getcpuclockid(3)).
	const kind = 2 // CPUCLOCK_SCHED, linux/posix-timers.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^p.PID)<<3|kind, &t); err != nil {
		return 0, fmt.Errorf("proc: CPU time of %s: %w", p.name, err)
	}
	return time.Duration(t.Nano()), nil
}

// Memory holds resident memory in bytes.
type Memory struct {
	All  int64
	Ring int64 // of All: mapped packet sockets
}

// Rest returns the memory without the rings.
func (m Memory) Rest() int64 { return m.All - m.Ring }

// Memory reads /proc/PID/smaps.
func (p *Proc) Memory() (m Memory, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", p.PID))
	if err != nil {
		return m, fmt.Errorf("proc: memory of %s: %w", p.name, err)
	}
	defer f.Close()
	ring := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		value, found := strings.CutPrefix(line, "Rss:")
		if !found {
			// A mapping begins with its addresses and ends with what is mapped.
			if fields := strings.Fields(line); len(fields) >= 5 && strings.Contains(fields[0], "-") {
				ring = strings.Contains(line, "socket:[")
			}
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			return m, fmt.Errorf("proc: memory of %s: %q: %w", p.name, line, err)
		}
		m.All += kib << 10
		if ring {
			m.Ring += kib << 10
		}
	}
	if err := lines.Err(); err != nil {
		return m, fmt.Errorf("proc: memory of %s: %w", p.name, err)
	}
	return m, nil
}

// Switches returns the number of context switches of the program's threads so far, voluntary and not;
// those of threads that have ended are left out.
func (p *Proc) Switches() (n int64, err error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID))
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return 0, fmt.Errorf("proc: switches of %s: %w", p.name, err)
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			if name != "voluntary_ctxt_switches" && name != "nonvoluntary_ctxt_switches" {
				continue
			}
			count, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("proc: %s: %q: %w", path, line, err)
			}
			n += count
		}
	}
	if len(paths) == 0 {
		return 0, fmt.Errorf("proc: %s has no threads: it has ended", p.name)
	}
	return n, nil
}
