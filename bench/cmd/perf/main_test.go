package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/internal/perfdata"
)

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"x", `unexpected argument "x"`}, {"-only live,none", `-only live,none: "none" is unknown`}, {"-only live,", `"" is unknown`},
	} {
		if _, err := parse(strings.Fields(row.args)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q", row.args, err, row.want)
		}
	}
	c, err := parse([]string{"-only", "memory"})
	if err != nil || c.loadRuns != full.loadRuns || c.tools == "" || len(c.only) != 1 {
		t.Errorf("-only memory: %+v, %v", c, err)
	}
	if c, err := parse([]string{"-quick"}); err != nil || c.loadRuns != quick.loadRuns || len(c.only) != 4 {
		t.Errorf("-quick: %+v, %v", c, err)
	}
}

func TestABenchmarksLineIsRead(t *testing.T) {
	const line = "BenchmarkWorker/streams=1000 \t      12\t         0 ns/op\t        28.1 ns/packet\t      1000 streams\n"
	r, err := parseBenchmark("goos: linux\ncpu: AMD EPYC\n" + line + "PASS\n")
	if err != nil || len(r) != 3 || r["ns/packet"] != 28.1 {
		t.Errorf("read %v, %v", r, err)
	}
	if _, err := r.take("B/op"); err == nil || !strings.Contains(err.Error(), "no B/op") {
		t.Errorf("a figure that is not there: error %v", err)
	}
	for says, out := range map[string]string{"none": "PASS\n", "two": line + line, "no number": strings.Replace(line, "28.1", "x", 1)} {
		if r, err := parseBenchmark(out); err == nil {
			t.Errorf("%s: read %v", says, r)
		}
	}
}

func TestRoundsEndWithTheirBudget(t *testing.T) {
	for _, row := range []struct {
		says         string
		runs         int
		budget, each time.Duration
		want         int
	}{
		{"time enough", 5, time.Hour, 0, 5},
		{"no time at all: the least that has a median", 5, 0, time.Millisecond, minRuns},
		{"fewer wanted than that", 2, 0, time.Millisecond, 2},
	} {
		p := &perf{log: &bytes.Buffer{}, began: time.Now()}
		got := 0
		err := p.rounds("x", row.runs, row.budget, func(round int) error {
			if round != got {
				t.Errorf("%s: round %d after %d", row.says, round, got)
			}
			got++
			time.Sleep(row.each)
			return nil
		})
		if err != nil || got != row.want {
			t.Errorf("%s: %d rounds, %v; want %d", row.says, got, err, row.want)
		}
	}
}

const liveRuns = "streams\treader\trun\tfigure\tvalue\n" +
	"0\texporter\t1\tfirst_scrape_ms\t40\n0\texporter\t2\tfirst_scrape_ms\t30\n0\texporter\t1\tidle_percent\t0.03\n" +
	"1000\texporter\t1\tns_per_packet\t50\n1000\texporter\t1\toffered_pps\t5e5\n1000\texporter\t1\tsent\t100\n1000\texporter\t1\ttaken\t100\n1000\texporter\t1\tdropped\t0\n1000\texporter\t1\tresident_mib\t70\n1000\texporter\t1\tring_mib\t32\n" +
	"1000\texporter\t2\tns_per_packet\t80\n1000\texporter\t2\toffered_pps\t7e5\n1000\texporter\t2\tsent\t100\n1000\texporter\t2\ttaken\t100\n1000\texporter\t2\tdropped\t0\n1000\texporter\t2\tresident_mib\t80\n1000\texporter\t2\tring_mib\t32\n" +
	"1000\texporter\t0\tclean_pps\t6e5\n1000\texporter\t0\tclean_is_most\t1\n" +
	"1000\twalk\t1\tns_per_packet\t25\n1000\twalk\t2\tns_per_packet\t50\n" +
	"1000\tcwalk\t1\tns_per_packet\t40\n1000\tcwalk\t2\tns_per_packet\t20\n" +
	"1000\tgopacket\t1\tns_per_packet\t1000\n1000\tgopacket\t1\tsent\t100\n1000\tgopacket\t1\ttaken\t70\n1000\tgopacket\t1\tdropped\t25\n" +
	"1000\tgopacket\t2\tns_per_packet\t2400\n1000\tgopacket\t2\tsent\t100\n1000\tgopacket\t2\ttaken\t75\n1000\tgopacket\t2\tdropped\t25\n"

func TestLiveRunsBecomeTables(t *testing.T) {
	l, err := readLive(strings.NewReader(liveRuns))
	if err != nil {
		t.Fatal(err)
	}
	costs := l.costs(&perfdata.Table{})
	for _, row := range []struct {
		row  int
		name string
		want string
	}{
		{0, "reader", "exporter"}, {0, "runs", "2"}, {0, "offered", "600000"}, {0, "median", "65"}, {0, "lowest", "50"}, {0, "highest", "80"},
		{0, "dropped", "0"}, {0, "missing", "0"}, {0, "resident", "75"}, {0, "resident without the ring", "43"}, {0, "that is all that was offered", "1"},
		{3, "reader", "gopacket"}, {3, "dropped", "25"}, {3, "missing", "5"},
	} {
		if got := costs.Text(row.row, row.name); got != row.want {
			t.Errorf("costs, row %d: %s is %q, want %q", row.row, row.name, got, row.want)
		}
	}
	ratios := l.ratios(&perfdata.Table{})
	// 50/25 and 80/20: the walk that cost less in each run. 1000/50 and 2400/80: of runs side by side.
	if len(ratios.Rows) != 2 || strings.Join(ratios.Rows[0], " ") != "1000 exporter cheaper walk 2 3 2 4" ||
		strings.Join(ratios.Rows[1], " ") != "1000 gopacket exporter 2 25 20 30" {
		t.Errorf("ratios: %v", ratios.Rows)
	}
	exporter := l.exporter(&perfdata.Table{})
	if len(exporter.Rows) != 3 || exporter.Text(0, "median") != "35" || exporter.Text(2, "figure") != "packets in a run (packets)" {
		t.Errorf("the exporter alone: %v", exporter.Rows)
	}
	for says, line := range map[string]string{"columns are missing": "1000\texporter\n", "no number": "1000\texporter\t1\tsent\tx\n"} {
		if _, err := readLive(strings.NewReader("names\n" + line)); err == nil {
			t.Errorf("%s: taken", says)
		}
	}
}

func TestClientGolangIsLeftOutWhereItTakesTooLong(t *testing.T) {
	sleeper := filepath.Join(t.TempDir(), "collector.test")
	if err := os.WriteFile(sleeper, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := &perf{config: config{plan: plan{theirLimit: 50 * time.Millisecond}}, log: &bytes.Buffer{}, began: time.Now()}
	s := &scraped{scrapeSize: scrapeSize{streams: 100, theirRuns: 3, theirTimes: "1x"}, impl: "client_golang", coding: "gzip"}
	if err := p.runScrape(t.Context(), s, sleeper); err != nil || len(s.ms) != 0 || s.theirRuns != 0 {
		t.Errorf("it has %d runs and %d to come, error %v; want none", len(s.ms), s.theirRuns, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.runScrape(ended, s, sleeper); err == nil {
		t.Error("an interrupt is taken for its limit")
	}
	failing := filepath.Join(t.TempDir(), "collector.test")
	if err := os.WriteFile(failing, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.theirLimit = time.Minute
	if err := p.runScrape(t.Context(), s, failing); err == nil {
		t.Error("a failure is taken for its limit")
	}
}
