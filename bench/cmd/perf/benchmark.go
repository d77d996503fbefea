package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// result holds the figures of one line of a benchmark, by unit.
type result map[string]float64

// benchmark runs one benchmark of a test binary and returns its figures.
func benchmark(ctx context.Context, binary, pattern, benchtime string, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	r, err := parseBenchmark(string(out))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return r, nil
}

// parseBenchmark reads the one line of results in what a benchmark printed: its name, how often it ran,
// and pairs of a figure and its unit (golang.org/design/14313-benchmark-format).
func parseBenchmark(out string) (r result, err error) {
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		if r != nil {
			return nil, fmt.Errorf("more than one benchmark ran:\n%s", out)
		}
		r = result{}
		for i := 2; i < len(fields); i += 2 {
			if r[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return nil, fmt.Errorf("line %q: %w", strings.TrimSpace(line), err)
			}
		}
	}
	if r == nil {
		return nil, fmt.Errorf("no benchmark ran:\n%s", out)
	}
	return r, nil
}

// take returns the figure of a unit.
func (r result) take(unit string) (float64, error) {
	v, there := r[unit]
	if !there {
		return 0, fmt.Errorf("the benchmark printed no %s: %v", unit, r)
	}
	return v, nil
}
