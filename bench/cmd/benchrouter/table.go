package main

import (
	"fmt"
	"strings"

	"tcp-stream-exporter/bench/internal/perfdata"
)

// columns of a data file. Ratios are to the first contender, none, in the same round; floors to the second, a bare walk.
var columns = []string{
	"load", "payload (bytes)", "watcher", "runs",
	"median (packets/s)", "lowest (packets/s)", "highest (packets/s)",
	"ratio (to none)", "ratio lowest (to none)", "ratio highest (to none)",
	"more (ns/packet)", "more lowest (ns/packet)", "more highest (ns/packet)",
	"floor (ns/packet more)", "floor lowest (ns/packet more)", "floor highest (ns/packet more)",
	"softirq (ns/packet)", "watcher CPU (ns/packet)", "seen (frames/forwarded frame)", "dropped (%)", "rings (MiB)", "resident (MiB)",
}

// addRows adds a row for each contender.
func addRows(t *perfdata.Table, l load, all []*series) {
	none, floor := all[0], all[1]
	for _, s := range all {
		of := func(f func(i int, o *outcome) float64) perfdata.Spread {
			var values []float64
			for i, o := range s.runs {
				values = append(values, f(i, o))
			}
			return perfdata.Of(values)
		}
		rate := of(func(_ int, o *outcome) float64 { return o.rate() })
		ratio := of(func(i int, o *outcome) float64 { return o.rate() / none.runs[i].rate() })
		more := of(func(i int, o *outcome) float64 { return 1e9/o.rate() - 1e9/none.runs[i].rate() })
		overFloor := of(func(i int, o *outcome) float64 { return 1e9/o.rate() - 1e9/floor.runs[i].rate() })
		var forwarded, taken, dropped uint64
		for _, o := range s.runs {
			forwarded, taken, dropped = forwarded+o.forwarded, taken+o.taken, dropped+o.dropped
		}
		t.Add(l.name, l.payload, s.name, rate.Runs, rate.Median, rate.Lowest, rate.Highest, ratio.Median, ratio.Lowest, ratio.Highest,
			more.Median, more.Lowest, more.Highest, overFloor.Median, overFloor.Lowest, overFloor.Highest,
			of(func(_ int, o *outcome) float64 { return o.per(o.softirq) }).Median,
			of(func(_ int, o *outcome) float64 { return o.per(o.cpu) }).Median,
			float64(taken+dropped)/float64(max(forwarded, 1)), 100*float64(dropped)/float64(max(taken+dropped, 1)),
			of(func(_ int, o *outcome) float64 { return float64(o.memory.Ring) / (1 << 20) }).Median,
			of(func(_ int, o *outcome) float64 { return float64(o.memory.All) / (1 << 20) }).Median)
	}
}

// markdown returns the whole table as it is in the data file.
func markdown(t *perfdata.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---|", len(t.Columns)))
	for _, row := range t.Rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}
