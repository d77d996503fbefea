package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tcp-stream-exporter/bench/internal/perfdata"
)

// live runs benchlive and makes tables of its runs.
func (p *perf) live(ctx context.Context) error {
	raw := filepath.Join(p.work, "live.tsv")
	args := []string{"-streams", p.liveStreams, "-readers", "exporter,walk,cwalk,gopacket", "-runs", strconv.Itoa(p.liveRuns),
		"-duration", p.liveDuration.String(), "-idle", p.idle.String()}
	p.progress("benchlive %s", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(p.tools, "benchlive"), append([]string{"-exporter", p.exporter, "-tools", p.tools, "-tsv", raw}, args...)...)
	// On an interrupt benchlive removes its namespaces.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	last := ""
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		last = lines.Text()
		p.progress("  %s", last)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("benchlive: %w: %s", errors.Join(err, lines.Err()), last)
	}
	f, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := readLive(f)
	if err != nil {
		return fmt.Errorf("benchlive -tsv: %w", err)
	}
	command := "make perf: benchlive " + strings.Join(args, " ")
	return errors.Join(
		p.write("live", l.costs(p.table(command))),
		p.write("live-ratios", l.ratios(p.table(command))),
		p.write("live-exporter", l.exporter(p.table(command))),
	)
}

// series is the traffic and the reader of some runs.
type series struct {
	streams int // 0: no traffic
	reader  string
}

// live has the figures of benchlive's runs.
type live struct {
	order  []series // as they were first seen, those without traffic left out
	values map[series]map[string][]float64
}

// readLive reads what benchlive -tsv writes.
func readLive(r io.Reader) (*live, error) {
	l := &live{values: map[series]map[string][]float64{}}
	lines := bufio.NewScanner(r)
	lines.Scan() // the columns' names
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 5 {
			return nil, fmt.Errorf("line %q: want streams, reader, run, figure and value", lines.Text())
		}
		streams, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		value, err := strconv.ParseFloat(fields[4], 64)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		s := series{streams, fields[1]}
		if l.values[s] == nil {
			l.values[s] = map[string][]float64{}
			if streams != 0 {
				l.order = append(l.order, s)
			}
		}
		l.values[s][fields[3]] = append(l.values[s][fields[3]], value)
	}
	return l, lines.Err()
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// costs has a row for each number of streams and reader.
func (l *live) costs(t *perfdata.Table) *perfdata.Table {
	t.Columns = []string{"streams", "reader", "runs", "offered (packets/s)", "median (ns/packet)", "lowest (ns/packet)", "highest (ns/packet)",
		"dropped (%)", "missing (packets)", "highest rate without drops (packets/s)", "that is all that was offered (1: yes)", "resident (MiB)", "resident without the ring (MiB)"}
	for _, s := range l.order {
		v := l.values[s]
		ns := perfdata.Of(v["ns_per_packet"])
		rest := make([]float64, len(v["resident_mib"]))
		for i := range rest {
			rest[i] = v["resident_mib"][i] - v["ring_mib"][i]
		}
		sent, taken, dropped := sum(v["sent"]), sum(v["taken"]), sum(v["dropped"])
		t.Add(s.streams, s.reader, ns.Runs, perfdata.Of(v["offered_pps"]).Median, ns.Median, ns.Lowest, ns.Highest,
			100*dropped/max(sent, 1), sent-taken-dropped, sum(v["clean_pps"]), sum(v["clean_is_most"]),
			perfdata.Of(v["resident_mib"]).Median, perfdata.Of(rest).Median)
	}
	return t
}

// cheaperWalk stands for the cheaper of walk and cwalk in each run.
const cheaperWalk = "cheaper walk"

// ratios divides run by run, so that what disturbs two that follow one another disturbs the ratio less.
func (l *live) ratios(t *perfdata.Table) *perfdata.Table {
	t.Columns = []string{"streams", "above", "below", "runs", "median (ratio)", "lowest (ratio)", "highest (ratio)"}
	var sizes []int
	for _, s := range l.order {
		if !slices.Contains(sizes, s.streams) {
			sizes = append(sizes, s.streams)
		}
	}
	for _, streams := range sizes {
		costs := func(reader string) []float64 { return l.values[series{streams, reader}]["ns_per_packet"] }
		for _, pair := range [][2]string{{"exporter", cheaperWalk}, {"gopacket", "exporter"}} {
			above, below := costs(pair[0]), costs(pair[1])
			if pair[1] == cheaperWalk {
				walk, cwalk := costs("walk"), costs("cwalk")
				for i := range min(len(walk), len(cwalk)) {
					below = append(below, min(walk[i], cwalk[i]))
				}
			}
			var all []float64
			for i := range min(len(above), len(below)) {
				all = append(all, above[i]/below[i])
			}
			if s := perfdata.Of(all); s.Runs > 0 {
				t.Add(streams, pair[0], pair[1], s.Runs, s.Median, s.Lowest, s.Highest)
			}
		}
	}
	return t
}

// exporter has what is measured of the exporter alone.
func (l *live) exporter(t *perfdata.Table) *perfdata.Table {
	t.Columns = []string{"streams", "figure", "runs", "median", "lowest", "highest"}
	for _, s := range append([]series{{0, "exporter"}}, l.order...) {
		if s.reader != "exporter" {
			continue
		}
		for _, row := range []struct{ figure, as string }{
			{"first_scrape_ms", "from the start to the first answered scrape (ms)"},
			{"idle_percent", "CPU time on a silent interface (% of a core)"},
			{"idle_switches_per_second", "switches to its threads on a silent interface (per second)"},
			{"taken", "packets in a run (packets)"},
			{"mallocs_run", "allocated during a run (objects)"},
			{"mallocs_silence", "allocated in as long a silence (objects)"},
		} {
			if v := perfdata.Of(l.values[s][row.figure]); v.Runs > 0 {
				t.Add(s.streams, row.as, v.Runs, v.Median, v.Lowest, v.Highest)
			}
		}
	}
	return t
}
