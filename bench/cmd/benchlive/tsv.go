package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// tsvHeader names the columns of what -tsv writes: one figure a row, its unit in its name.
const tsvHeader = "streams\treader\trun\tfigure\tvalue\n"

// idleStreams stands in the column of streams where there was no traffic.
const idleStreams = 0

// writeTSV writes each figure of each run, for programs. The runs of a reader count from 1; run 0 has
// what was found in all of them. i may be nil: the silent interface was left out.
//
//	first_scrape_ms           from the exporter's start to its first answered scrape
//	idle_percent              of a core, on a silent interface
//	idle_switches_per_second  to the exporter's threads, on a silent interface
//	offered_pps               packets per second that the generator sent
//	ns_per_packet             CPU time of the whole process per packet taken
//	sent, taken, dropped      packets
//	resident_mib, ring_mib    resident memory after the run, and the ring's part of it
//	mallocs_run               objects that the exporter allocated during the run
//	mallocs_silence           and in as long a silence before the first run
//	clean_pps                 highest rate without drops; 0: none of those tried
//	clean_is_most             1: that is the most that the generator sends
func writeTSV(out io.Writer, i *idle, all []*series) error {
	w := bufio.NewWriter(out)
	_, _ = w.WriteString(tsvHeader) // Flush reports the first error of all
	row := func(streams int, reader string, run int, figure string, value float64) {
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\n", streams, reader, run, figure, strconv.FormatFloat(value, 'g', 8, 64))
	}
	if i != nil {
		for n, d := range i.startUp {
			row(idleStreams, "exporter", n+1, "first_scrape_ms", d.Seconds()*1000)
		}
		row(idleStreams, "exporter", 1, "idle_percent", 100*i.share)
		row(idleStreams, "exporter", 1, "idle_switches_per_second", i.switches)
	}
	for _, s := range all {
		for n, o := range s.runs {
			run := func(figure string, value float64) { row(s.streams, s.reader, n+1, figure, value) }
			run("offered_pps", o.pps)
			run("ns_per_packet", o.nsPerPacket())
			run("sent", float64(o.sent))
			run("taken", float64(o.packets))
			run("dropped", float64(o.dropped))
			run("resident_mib", float64(o.memory.All)/(1<<20))
			run("ring_mib", float64(o.memory.Ring)/(1<<20))
			if s.reader == "exporter" {
				run("mallocs_run", o.mallocsRun)
				if n == 0 {
					run("mallocs_silence", o.mallocsSilent)
				}
			}
		}
		row(s.streams, s.reader, 0, "clean_pps", s.cleanRate)
		most := 0.0
		if s.limited {
			most = 1
		}
		row(s.streams, s.reader, 0, "clean_is_most", most)
	}
	return w.Flush()
}
