package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"tcp-stream-exporter/collector"
)

// metricsFlags are the flags that say what is exported.
type metricsFlags struct {
	only, except string
	noStreams    bool
	minBytes     int64
	collector.Options
}

func (m *metricsFlags) register(fs *flag.FlagSet) {
	fs.BoolVar(&m.GoMetrics, "go-metrics", false, "export metrics of the Go runtime")
	fs.BoolVar(&m.ProcessMetrics, "process-metrics", false, "export metrics of the exporter's process")
	fs.StringVar(&m.only, "metrics", "", "`list` of the per-stream metrics to export, names and regular expressions with commas between; default stands for those that are exported without this flag")
	fs.StringVar(&m.except, "metrics-exclude", "", "`list` of per-stream metrics not to export, as -metrics")
	fs.BoolVar(&m.noStreams, "no-stream-metrics", false, "export no per-stream metrics")
	fs.IntVar(&m.Limits.Top, "streams-top", 0, "export only this `number` of streams, those with the most bytes since the last scrape")
	fs.Int64Var(&m.minBytes, "streams-min-bytes", 0, "export only streams with at least this many `bytes` of payload")
	fs.DurationVar(&m.Limits.MinAge, "streams-min-age", 0, "export only streams with at least this uptime")
}

// streamFlags make no sense without per-stream metrics.
var streamFlags = []string{"metrics", "metrics-exclude", "streams-top", "streams-min-bytes", "streams-min-age"}

// settle validates the flags that were given and turns them into Options.
func (m *metricsFlags) settle(given map[string]bool) error {
	if m.noStreams {
		for _, name := range streamFlags {
			if given[name] {
				return fmt.Errorf("-%s says which per-stream metrics to export, -no-stream-metrics says none: give one of them", name)
			}
		}
		m.Families = collector.NoFamilies
		return nil
	}
	for name, list := range map[string]string{"metrics": m.only, "metrics-exclude": m.except} {
		if given[name] && strings.TrimSpace(list) == "" {
			return fmt.Errorf("-%s is empty: name per-stream metrics, e.g. -%s tcp_retransmits_total,tcp_.*_seconds", name, name)
		}
	}
	var err error
	if m.Families, err = collector.ChooseFamilies(m.only, m.except); err != nil {
		return fmt.Errorf("-metrics %q -metrics-exclude %q: %w", m.only, m.except, err)
	}
	if given["streams-top"] && m.Limits.Top < 1 {
		return fmt.Errorf("-streams-top %d: want 1 or more", m.Limits.Top)
	}
	if m.minBytes < 0 {
		return fmt.Errorf("-streams-min-bytes %d: want 0 or more", m.minBytes)
	}
	m.Limits.MinBytes = uint64(m.minBytes)
	if m.Limits.MinAge < 0 {
		return errors.New("-streams-min-age is negative: want a duration, e.g. 10s")
	}
	return nil
}
