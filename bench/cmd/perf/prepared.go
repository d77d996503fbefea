package main

import (
	"context"
	"strconv"

	"tcp-stream-exporter/bench/internal/perfdata"
)

// prepared measures the worker over prepared blocks.
func (p *perf) prepared(ctx context.Context) error {
	binary, err := p.testBinary(ctx, "capture")
	if err != nil {
		return err
	}
	values := make([][]float64, len(p.loads))
	err = p.rounds("prepared blocks", p.loadRuns, p.loadBudget, func(int) error {
		for i, l := range p.loads {
			args := append([]string{"-test.cpu", "1", "-streams", strconv.Itoa(l.streams)}, l.flags...)
			r, err := benchmark(ctx, binary, "^BenchmarkWorker$", l.time.String(), args...)
			if err != nil {
				return err
			}
			ns, err := r.take("ns/packet")
			if err != nil {
				return err
			}
			values[i] = append(values[i], ns)
			p.progress("  %d streams, %s: %.1f ns/packet", l.streams, l.traffic, ns)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t := p.table("make perf: go test ./capture -pgo=$PWD/default.pgo -run '^$' -bench '^BenchmarkWorker$' -cpu 1",
		"streams", "traffic", "runs", "median (ns/packet)", "lowest (ns/packet)", "highest (ns/packet)")
	for i, l := range p.loads {
		s := perfdata.Of(values[i])
		t.Add(l.streams, l.traffic, s.Runs, s.Median, s.Lowest, s.Highest)
	}
	return p.write("prepared", t)
}
