package app

import (
	"fmt"
	"strconv"
	"strings"
)

// maxCPU is the highest CPU that unix.CPUSet can name.
const maxCPU = 1023

// parseCPUs reads a list of CPUs and ranges of them as taskset(1) and cpuset(7) take it: 0,2-5.
func parseCPUs(list string) (cpus []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || first > last || last > maxCPU {
			return nil, fmt.Errorf("%s is no CPU and no range of CPUs: want a list like 0,2-5", asTyped(part))
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
