package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/bench/cwalk"
	"tcp-stream-exporter/bench/internal/perfdata"
	"tcp-stream-exporter/internal/need"

	"golang.org/x/net/bpf"
)

// A short round of everything: each contender forwards, and its watchers have seen each forwarded packet as often as it
// passes them, none lost. That a count is exact is what makes the costs comparable: a watcher that misses packets is cheap.
func TestQuick(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	need.Tool(t, "ethtool")
	need.Tool(t, "cc")
	dir := t.TempDir()
	exporter := filepath.Join(dir, "exporter")
	if out, err := exec.Command("go", "build", "-C", "../../..", "-buildvcs=false", "-o", exporter, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if err := cwalk.Build(t.Context(), filepath.Join(dir, "cwalk")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		says       string
		args       []string
		loads      []string
		contenders []contender
	}{
		{"ways to watch", []string{"-size", "small"}, []string{"small"}, contenders},
		{"the kernel's part", []string{"-kernel"}, []string{"large"}, kernelContenders},
	} {
		t.Run(row.says, func(t *testing.T) {
			var out, log bytes.Buffer
			data := filepath.Join(dir, "data.tsv")
			args := append([]string{"-quick", "-exporter", exporter, "-tools", dir, "-root", "../../..", "-tsv", data}, row.args...)
			if err := run(t.Context(), args, &out, &log); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			table, err := perfdata.Read(data)
			if err != nil {
				t.Fatal(err)
			}
			if !table.Trial || !slices.Equal(table.Columns, columns) || len(table.Rows) != len(row.loads)*len(row.contenders) {
				t.Fatalf("trial run %v, columns %q, %d rows", table.Trial, table.Columns, len(table.Rows))
			}
			if lines := strings.Count(out.String(), "\n"); lines != len(table.Rows)+2 {
				t.Errorf("%d lines of Markdown:\n%s", lines, &out)
			}
			for i := range table.Rows {
				want := row.contenders[i%len(row.contenders)]
				load := row.loads[i/len(row.contenders)]
				number := func(column string) float64 {
					v, err := table.Number(i, column)
					if err != nil {
						t.Error(err)
					}
					return v
				}
				if table.Text(i, "watcher") != want.name || table.Text(i, "load") != load {
					t.Errorf("row %d is %q, want %s, %s", i, table.Rows[i], load, want.name)
				}
				if number("median") <= 0 || number("ratio") <= 0 || want.copies > 0 && number("rings") < 32 {
					t.Errorf("%s, %s: %q", load, want.name, table.Rows[i])
				}
				// An exporter on all interfaces also sees the scrape that waits for it, on lo.
				seen, copies := number("seen"), float64(want.copies)
				if seen != copies && (want.name != "exporter-any" || seen < copies || seen > copies*1.5) {
					t.Errorf("%s, %s: the watchers saw each forwarded packet %v times, want %v", load, want.name, seen, copies)
				}
			}
		})
	}
}

func TestRatiosAreOfOneRound(t *testing.T) {
	rates := func(c contender, all ...float64) *series {
		s := &series{contender: c}
		for _, rate := range all {
			s.runs = append(s.runs, &outcome{packets: rate, seconds: 1, softirq: 0.5, cpu: 0.1, forwarded: 100, taken: 90, dropped: 10})
		}
		return s
	}
	table := &perfdata.Table{Columns: columns}
	addRows(table, loads[0], []*series{rates(contenders[0], 1e6, 5e5, 2e6), rates(contenders[1], 5e5, 4e5, 2e5), rates(contenders[2], 4e5, 2e5, 1e5)})
	if got, err := table.Number(2, "floor"); err != nil || got != 2500 { // of 2500-2000, 5000-2500 and 10000-5000 ns
		t.Errorf("over the floor %v, %v", got, err)
	}
	for column, want := range map[string]float64{
		"median": 4e5, "ratio": 0.5, "ratio lowest": 0.1, "ratio highest": 0.8, // of 1/2, 4/5 and 1/10
		"more": 1000, "more lowest": 500, "more highest": 4500, // of 2000-1000, 2500-2000 and 5000-500 ns
		"watcher CPU": 250, "softirq": 1250, "seen": 1, "dropped": 10,
	} {
		if got, err := table.Number(1, column); err != nil || got != want {
			t.Errorf("%s is %v, %v; want %v", column, got, err, want)
		}
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"x", `unexpected argument "x"`}, {"-size small,none", `-size small,none: "none" is unknown`},
		{"-contenders walk-one,some", `"some" is unknown: take of none, walk-one`}, {"-rounds 0", "-rounds 0"}, {"-window 1ms", "-window 1ms"},
		{"-kernel -contenders walk-one", `"walk-one" is unknown: take of none, base`},
	} {
		if _, err := parse(strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.args, err, test.want)
		}
	}
	if c, err := parse(strings.Fields("-kernel -size small -contenders any -rounds 2")); err != nil ||
		c.described() != "-kernel -rounds 2 -window 1s -contenders any -size small" {
		t.Errorf("the data would name the flags %q, %v", c.described(), err)
	}
	c, err := parse([]string{"-contenders", "walk-any"})
	if err != nil || len(c.contenders) != 3 || c.contenders[0].name != "none" || len(c.loads) != 3 || c.rounds != 7 {
		t.Errorf("one contender: %+v, %v", c, err)
	}
	if c, err := parse([]string{"-kernel"}); err != nil || len(c.loads) != 1 || c.loads[0].name != "large" {
		t.Errorf("-kernel: %+v, %v", c, err)
	}
}

// All of the long program runs for a TCP frame, which it takes.
func TestLongProgramIsRunToItsEnd(t *testing.T) {
	prog := longProgram()
	if len(prog) != 100 {
		t.Errorf("%d instructions", len(prog))
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 1514)
	frame[12] = 0x08 // IPv4
	if n, err := vm.Run(frame); n != cutLen || err != nil {
		t.Errorf("it takes %d bytes, %v", n, err)
	}
	// A jump earlier than the last would be a shorter way: every comparison must fail.
	frame[12], frame[13] = 0xf0, 0x00
	if n, err := vm.Run(frame); n != cutLen || err != nil {
		t.Errorf("of a frame that the first comparison fits it takes %d bytes, %v", n, err)
	}
}
