package app

import (
	"flag"
	"fmt"
	"strings"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
)

// metricsFlags holds the flags that choose what is exported.
type metricsFlags struct {
	only, except string
	noStreams    bool
	minBytes     int64
	topBy        string
	collector.Options
}

func (m *metricsFlags) register(fs *flag.FlagSet) {
	fs.BoolVar(&m.GoMetrics, "go-metrics", false, "export metrics of the Go runtime")
	fs.BoolVar(&m.ProcessMetrics, "process-metrics", false, "export metrics of the exporter's process")
	fs.StringVar(&m.only, "metrics", "", "`list` of the per-stream metrics to export, names and regular expressions with commas between; default stands for those that are exported without this flag")
	fs.StringVar(&m.except, "metrics-exclude", "", "`list` of per-stream metrics not to export, as -metrics")
	fs.BoolVar(&m.noStreams, "no-stream-metrics", false, "export no per-stream metrics")
	fs.IntVar(&m.Limits.Top, "streams-top", 0, "export only this `number` of streams, those that rank first by -streams-top-by; one stays until it ranks behind twice as many; with -output table the first ones, 20 unless given")
	fs.StringVar(&m.topBy, "streams-top-by", "bytes", "with -streams-top: the `figure` that streams are ranked by: bytes, packets or retransmits since the last scrape, delay, or health, the worst first")
	fs.Int64Var(&m.minBytes, "streams-min-bytes", 0, "export only streams with at least this many `bytes` of payload")
	fs.DurationVar(&m.Limits.MinAge, "streams-min-age", 0, "export only streams with at least this uptime")
}

// streamFlags lists the flags that have no effect without per-stream metrics.
var streamFlags = []string{"metrics", "metrics-exclude", "streams-top", "streams-top-by", "streams-min-bytes", "streams-min-age"}

// resolve validates the flags that were given and turns them into Options. flag returns one as typed.
func (m *metricsFlags) resolve(given map[string]bool, flag func(string) string) error {
	if m.noStreams {
		for _, name := range streamFlags {
			if given[name] {
				return fmt.Errorf("%s and -no-stream-metrics: some per-stream metrics and none, give one of the flags", flag(name))
			}
		}
		m.Families = exposition.NoFamilies
		return nil
	}
	var lists []string
	for _, list := range []struct{ name, text string }{{"metrics", m.only}, {"metrics-exclude", m.except}} {
		if !given[list.name] {
			continue
		}
		if strings.TrimSpace(list.text) == "" {
			return fmt.Errorf("%s: name per-stream metrics, e.g. -%s tcp_retransmits_total,tcp_.*_seconds", flag(list.name), list.name)
		}
		lists = append(lists, flag(list.name))
	}
	var err error
	if m.Families, err = exposition.ChooseFamilies(m.only, m.except); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(lists, " and "), err)
	}
	if given["streams-top"] && m.Limits.Top < 1 {
		return fmt.Errorf("%s: want 1 or more", flag("streams-top"))
	}
	var known bool
	if m.Limits.TopBy, known = exposition.OrderNamed(m.topBy); !known {
		return fmt.Errorf("%s: want %s", flag("streams-top-by"), exposition.OrderNames)
	}
	if given["streams-top-by"] && !given["streams-top"] {
		return fmt.Errorf("%s: goes with -streams-top only: say how many streams, e.g. -streams-top 1000", flag("streams-top-by"))
	}
	if m.minBytes < 0 {
		return fmt.Errorf("%s: want 0 or more", flag("streams-min-bytes"))
	}
	m.Limits.MinBytes = uint64(m.minBytes)
	if m.Limits.MinAge < 0 {
		return fmt.Errorf("%s: want a duration of 0 or more, e.g. 10s", flag("streams-min-age"))
	}
	return nil
}
