package main

import (
	"context"
	"fmt"

	"tcp-stream-exporter/bench/internal/perfdata"
)

// scraped is one way to answer a scrape of so many streams.
type scraped struct {
	scrapeSize
	impl, coding             string // as BenchmarkScrape names them
	ms, size, bytes, objects []float64
}

// scrape measures answers to scrapes, those of this program and of client_golang.
func (p *perf) scrape(ctx context.Context) error {
	binary, err := p.testBinary(ctx, "collector")
	if err != nil {
		return err
	}
	var all []*scraped
	for _, size := range p.scrapes {
		for _, impl := range []string{"direct", "client_golang"} {
			for _, coding := range []string{"identity", "gzip", "zstd"} {
				all = append(all, &scraped{scrapeSize: size, impl: impl, coding: coding})
			}
		}
	}
	err = p.rounds("scrapes", p.scrapeRuns, p.scrapeBudget, func(round int) error {
		for _, s := range all {
			if s.impl != "direct" && round >= s.theirRuns {
				continue
			}
			if err := p.runScrape(ctx, s, binary); err != nil {
				return err
			}
			if len(s.ms) <= round {
				continue
			}
			p.progress("  %d streams, %s, %s: %.4g ms", s.streams, s.impl, s.coding, s.ms[round])
		}
		return nil
	})
	if err != nil {
		return err
	}
	t := p.table("make perf: go test ./collector -pgo=$PWD/default.pgo -run '^$' -bench '^BenchmarkScrape$'", "streams", "implementation", "coding", "runs",
		"median (ms)", "lowest (ms)", "highest (ms)", "size (bytes)", "allocated (bytes)", "allocated objects (objects)")
	for _, s := range all {
		ms := perfdata.Of(s.ms)
		if ms.Runs == 0 {
			continue
		}
		t.Add(s.streams, s.impl, s.coding, ms.Runs, ms.Median, ms.Lowest, ms.Highest,
			perfdata.Of(s.size).Median, perfdata.Of(s.bytes).Median, perfdata.Of(s.objects).Median)
	}
	return p.write("scrape", t)
}

// runScrape makes one run. One of client_golang that takes longer than its limit is left out, with those
// that would follow.
func (p *perf) runScrape(ctx context.Context, s *scraped, binary string) error {
	if s.impl == "direct" {
		return s.run(ctx, binary)
	}
	limited, cancel := context.WithTimeout(ctx, p.theirLimit)
	defer cancel()
	err := s.run(limited, binary)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		p.progress("  %d streams, %s, %s: left out, takes longer than %v", s.streams, s.impl, s.coding, p.theirLimit)
		s.theirRuns = 0
		return nil
	}
	return err
}

// run scrapes for the time or the number of a run.
func (s *scraped) run(ctx context.Context, binary string) error {
	length := s.time.String()
	if s.impl != "direct" {
		length = s.theirTimes
	}
	pattern := fmt.Sprintf("^BenchmarkScrape$/^impl=%s$/^streams=%d$/^coding=%s$", s.impl, s.streams, s.coding)
	r, err := benchmark(ctx, binary, pattern, length, "-streams", fmt.Sprint(s.streams))
	if err != nil {
		return err
	}
	for _, of := range []struct {
		unit    string
		per     float64
		figures *[]float64
	}{{"ns/op", 1e6, &s.ms}, {"bytes", 1, &s.size}, {"B/op", 1, &s.bytes}, {"allocs/op", 1, &s.objects}} {
		v, err := r.take(of.unit)
		if err != nil {
			return err
		}
		*of.figures = append(*of.figures, v/of.per)
	}
	return nil
}
