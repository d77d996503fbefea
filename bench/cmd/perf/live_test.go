package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"tcp-stream-exporter/bench/cwalk"
	"tcp-stream-exporter/bench/internal/perfdata"
	"tcp-stream-exporter/internal/need"
)

// tiny is enough to see that each part runs and that its table can be read.
var tiny = plan{
	loads:    []load{{100, noLoss, nil, time.Millisecond}, {100, oneWay, []string{"-oneway"}, time.Millisecond}},
	loadRuns: 1, loadBudget: time.Minute,
	liveStreams: "100", liveRuns: 1, liveDuration: time.Second, idle: time.Second,
	scrapes:    []scrapeSize{{100, time.Millisecond, 1, "1x"}},
	scrapeRuns: 1, scrapeBudget: time.Minute, theirLimit: time.Minute,
	connections: []int{100}, memoryRuns: 1, memoryBudget: time.Minute,
}

func TestEveryTableIsMeasured(t *testing.T) {
	need.Root(t)
	for _, tool := range []string{"ip", "ethtool", "git"} {
		need.Tool(t, tool)
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, build := range [][]string{
		{"build", "-C", root, "-buildvcs=false", "-o", filepath.Join(dir, "exporter"), "."},
		{"build", "-C", "..", "-buildvcs=false", "-o", dir, "./benchlive", "./ringwalk", "./gopacketreader"},
	} {
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", build, err, out)
		}
	}
	if err := cwalk.Build(t.Context(), filepath.Join(dir, "cwalk")); err != nil {
		t.Fatal(err)
	}
	origin, err := perfdata.OriginOf(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^[0-9a-f]{7,}(-dirty)?, \d{4}-\d\d-\d\d$`); !want.MatchString(origin.Build) {
		t.Errorf("build %q, want a commit and a date", origin.Build)
	}
	if want := regexp.MustCompile(`^.+; \d+ CPUs; \d+ GiB; Linux \d.*; Go 1\..*; transparent huge pages .+$`); !want.MatchString(origin.Machine) {
		t.Errorf("machine %q", origin.Machine)
	}
	var log bytes.Buffer
	p := &perf{
		config: config{plan: tiny, root: root, exporter: filepath.Join(dir, "exporter"), tools: dir, out: t.TempDir()},
		origin: origin, work: t.TempDir(), log: &log, began: time.Now(),
	}
	rows := map[string]int{"prepared": 2, "live": 4, "live-ratios": 2, "live-exporter": 6, "scrape": 6, "memory": 1}
	for _, m := range measurements {
		if err := m.measure(p, context.Background()); err != nil {
			t.Fatalf("%s: %v\n%s", m.name, err, &log)
		}
	}
	for name, want := range rows {
		table, err := perfdata.Read(filepath.Join(p.out, name+".tsv"))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(table.Rows) != want {
			t.Errorf("%s.tsv has %d rows, want %d:\n%s", name, len(table.Rows), want, table.Encode())
		}
		for row := range table.Rows {
			median := "median"
			if name == "memory" {
				median = "after three scrapes"
			}
			if v, err := table.Number(row, median); err != nil || v < 0 {
				t.Errorf("%s.tsv: %v, %v", name, v, err)
			}
		}
	}
}
