package app

import (
	"flag"
	"fmt"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/offline"
)

// outputFlags are the flags that say in which form -read prints its figures.
type outputFlags struct {
	formatName, sortName string
	format               offline.Format
	sort                 exposition.Order
}

func (f *outputFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.formatName, "output", "prometheus", "with -read: print the figures in this `format`: prometheus, json (a line for each stream) or table")
	fs.StringVar(&f.sortName, "sort", "bytes", "with -output table: the `figure` that streams are sorted by: "+exposition.OrderNames)
}

var outputFormats = map[string]offline.Format{"prometheus": offline.Prometheus, "json": offline.JSON, "table": offline.Table}

// resolve validates the flags that were given. flag shows one as typed.
func (f *outputFlags) resolve(given map[string]bool, flag func(string) string) error {
	var known bool
	if f.format, known = outputFormats[f.formatName]; !known {
		return fmt.Errorf("%s: want prometheus, json or table", flag("output"))
	}
	if f.sort, known = exposition.OrderNamed(f.sortName); !known {
		return fmt.Errorf("%s: want %s", flag("sort"), exposition.OrderNames)
	}
	if given["output"] && !given[readFlag] {
		return fmt.Errorf("%s: goes with -read only: name a capture file with -read", flag("output"))
	}
	if given["sort"] && f.format != offline.Table {
		return fmt.Errorf("%s: goes with -output table only: leave it out, or give -output table", flag("sort"))
	}
	var without []string
	var why string
	switch f.format {
	case offline.JSON:
		without, why = []string{"no-stream-metrics", "go-metrics", "process-metrics"}, "JSON has the per-stream metrics, and those alone"
	case offline.Table:
		without, why = []string{"metrics", "metrics-exclude", "streams-top-by", "no-stream-metrics", "go-metrics", "process-metrics"}, "the table has columns of its own, and is sorted by -sort"
	}
	for _, name := range without {
		if given[name] {
			return fmt.Errorf("%s and %s: %s, leave out one of the flags", flag(name), flag("output"), why)
		}
	}
	return nil
}
