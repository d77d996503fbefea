package check

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// root is the folder in which /proc and /sys lie: / but for tests.
type root string

// text returns the contents of a file without the white space around it, and whether it can be read.
func (r root) text(path ...string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(append([]string{string(r)}, path...)...))
	return strings.TrimSpace(string(b)), err == nil
}

// number returns the whole number that a file holds, and whether it does.
func (r root) number(path ...string) (uint64, bool) {
	text, ok := r.text(path...)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// names returns the names in a folder, in order; none if it cannot be read.
func (r root) names(path ...string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(append([]string{string(r)}, path...)...))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// value returns what stands behind "name:" in a file with a line for each name, such as /proc/meminfo.
func (r root) value(name string, path ...string) (string, bool) {
	text, _ := r.text(path...)
	for line := range strings.Lines(text) {
		if found, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(found) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// cpuList reads a list of CPUs as the kernel writes it (cpuset(7)): 0,2-5.
func cpuList(text string) (cpus []int) {
	const most = 1 << 13 // CONFIG_NR_CPUS of the largest kernels
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || last >= most {
			continue
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// cpuText is the inverse of cpuList.
func cpuText(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		end := i
		for end+1 < len(cpus) && cpus[end+1] == cpus[end]+1 {
			end++
		}
		part := strconv.Itoa(cpus[i])
		if end > i {
			part = fmt.Sprintf("%d-%d", cpus[i], cpus[end])
		}
		parts = append(parts, part)
		i = end + 1
	}
	return strings.Join(parts, ",")
}

// byNumber orders names that end in a number, such as rx-2 before rx-10.
func byNumber(a, b string) int {
	digits := func(s string) (n int) {
		n, _ = strconv.Atoi(s[strings.LastIndexFunc(s, func(c rune) bool { return c < '0' || c > '9' })+1:])
		return n
	}
	return cmp.Or(cmp.Compare(digits(a), digits(b)), strings.Compare(a, b))
}
