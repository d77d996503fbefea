package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

// What make plots writes is committed as it writes it.
func TestGeneratedFilesAreThoseOfTheData(t *testing.T) {
	d, err := readData(filepath.Join(root, dataFolder))
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(root, d)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v (make plots writes it)", err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("%s does not have the figures of %s: run make plots and commit what it writes", path, dataFolder)
		}
	}
}

// copyData copies the data files and the document to a folder of the test's own.
func copyData(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, dataFolder), os.DirFS(filepath.Join(root, dataFolder))); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, document), page, 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// change replaces old by new in a file, once.
func change(t *testing.T, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTablesFollowTheData(t *testing.T) {
	folder := copyData(t)
	before, err := os.ReadFile(filepath.Join(folder, document))
	if err != nil {
		t.Fatal(err)
	}
	row := "1000\tno loss\t"
	change(t, filepath.Join(folder, dataFolder, "prepared.tsv"), row, "2000\tno loss\t9\t71.11\t70\t79.99\n"+row)
	if err := run([]string{"-root", folder}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(folder, document))
	if err != nil {
		t.Fatal(err)
	}
	const want = "| 2,000 | no loss | 71.1 (70 to 80.0) | 9 |\n"
	if string(after) == string(before) || !strings.Contains(string(after), want) {
		t.Errorf("no line %q in:\n%s", want, after)
	}
	change(t, filepath.Join(folder, document), want, "")
	if string(mustRead(t, filepath.Join(folder, document))) != string(before) {
		t.Error("more than the new row has changed")
	}
}

func TestPlotsFollowTheData(t *testing.T) {
	for _, row := range []struct {
		file, old, new string
		plot           string
		labels         []string
	}{
		{"prepared", "1000\tno loss\t", "2000\tno loss\t", "prepared", []string{"streams", "CPU time (ns per packet)", "no loss", "100,000"}},
		{"live", "\tgopacket\t", "\texporter\t", "live", []string{"streams", "CPU time (ns per packet)", "exporter", "bare ring walk", "gopacket"}},
		{"scrape", "\tclient_golang\t", "\tdirect\t", "scrape", []string{"streams", "time (ms)", "plain", "zstd", "client_golang, gzip"}},
		{"router", "\twalk-any\t", "\tnone\t", "router", []string{"C walk, one interface", "exporter, -interface any", "54-byte ACKs", "forwarded (part of nobody"}},
		{"router-kernel", "\tbusy-poll\t", "\tnone\t", "router-kernel", []string{"filter of 100 instructions", "blocks of 64 KiB", "ns per packet"}},
		{"memory", "10000\t", "40000\t", "memory", []string{"connections, two streams each", "resident memory (MiB)", "at the start"}},
	} {
		folder := copyData(t)
		draw := func() string {
			d, err := readData(filepath.Join(folder, dataFolder))
			if err != nil {
				t.Fatal(err)
			}
			files, err := d.drawings()
			if err != nil {
				t.Fatal(err)
			}
			return string(files[dataFolder+"/"+row.plot+".svg"])
		}
		before := draw()
		if draw() != before {
			t.Errorf("%s: the same data gives other bytes", row.plot)
		}
		// All of it is white, also for a reader whose page is dark.
		for _, want := range append(row.labels, `<path d="M0,0L481.89,0L481.89,283.46L0,283.46Z" style="fill:#FFFFFF" />`) {
			if !strings.Contains(before, want) {
				t.Errorf("%s has no %q:\n%.1500s", row.plot, want, before)
			}
		}
		change(t, filepath.Join(folder, dataFolder, row.file+".tsv"), row.old, row.new)
		if draw() == before {
			t.Errorf("%s: other data gives the same plot", row.plot)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDataAndDocumentsThatDoNotFitAreRefused(t *testing.T) {
	for _, row := range []struct{ says, file, old, new, want string }{
		{"two builds", "docs/perf/memory.tsv", "# build ", "# build f00", "memory.tsv is of another build, day or machine than prepared.tsv"},
		{"two builds of benchrouter", "docs/perf/router-kernel.tsv", "# build ", "# build f00", "router-kernel.tsv is of another build, day or machine than router.tsv: run make bench-router"},
		{"no number", "docs/perf/prepared.tsv", "no loss\t", "no loss\tx", `column "runs": "x`},
		{"a part of the document is missing", "PERF.md", "<!-- perf: live: ", "<!-- ", `want the lines "<!-- perf: live: written by make plots -->"`},
		{"a part of the document has no end", "PERF.md", "<!-- perf: memory: written by make plots -->", "<!-- perf: memory: written by make plots -->\n<!-- perf: memory: written by make plots -->", "once each"},
		{"no exporter among the readers", "docs/perf/live.tsv", "\texporter\t", "\tother\t", "no row with"},
	} {
		folder := copyData(t)
		change(t, filepath.Join(folder, row.file), row.old, row.new)
		if err := run([]string{"-root", folder}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q", row.says, err, row.want)
		}
	}
	if err := run([]string{"x"}); err == nil || !strings.Contains(err.Error(), `unexpected argument "x"`) {
		t.Errorf("an argument: error %v", err)
	}
}

func TestNumbersBelowZeroHaveTheirSign(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12.4: "12", -0.3: "0", -7.6: "−8", -1234: "−1,230", 1234: "1,230"} {
		if got := signed(v); got != want {
			t.Errorf("signed(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestNumbersAreRounded(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 104: "104", 28.134: "28.1", 0.0681: "0.0681", 104.5: "104", 1234: "1,230", 1_319_999: "1,320,000"} {
		if got := digits(v); got != want {
			t.Errorf("digits(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{7: "7 B", 1_140_000_000: "1.14 GB", 43_446_098: "43.4 MB", 7964: "7.96 kB"} {
		if got := size(v); got != want {
			t.Errorf("size(%v) = %s, want %s", v, got, want)
		}
	}
}
