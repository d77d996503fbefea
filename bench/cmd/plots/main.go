// Command plots writes the tables and the plots of PERF.md from the data files in docs/perf. See the README of
// this module.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"tcp-stream-exporter/bench/internal/perfdata"
)

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

// document is the page that the tables are in, dataFolder has their data; both below the root.
const document, dataFolder = "PERF.md", "docs/perf"

func run(args []string) error {
	f := flag.NewFlagSet("plots", flag.ContinueOnError)
	root := f.String("root", ".", "`folder` of the exporter's sources, with PERF.md and docs/perf")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	d, err := readData(filepath.Join(*root, dataFolder))
	if err != nil {
		return err
	}
	files, err := generate(*root, d)
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(*root, path), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns all files that are made of d, by their paths below root.
func generate(root string, d data) (map[string][]byte, error) {
	page, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		return nil, err
	}
	text, err := d.fill(string(page))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", document, err)
	}
	files, err := d.drawings()
	if err != nil {
		return nil, err
	}
	files[document] = []byte(text)
	return files, nil
}

// data is all tables by the names of their files.
type data map[string]*perfdata.Table

// routerNames are the files of make bench-router, which has its own build and day.
var routerNames = []string{"router", "router-kernel"}

// tableNames are the files of make perf, without their ending.
var tableNames = []string{"prepared", "live", "live-ratios", "live-exporter", "scrape", "memory"}

// readData reads all tables. Those of one measurement have to be of one build and one machine.
func readData(folder string) (data, error) {
	d := data{}
	for _, measured := range []struct {
		names  []string
		remedy string
	}{{tableNames, "run make perf without -only"}, {routerNames, "run make bench-router"}} {
		for _, name := range measured.names {
			t, err := perfdata.Read(filepath.Join(folder, name+".tsv"))
			if err != nil {
				return nil, err
			}
			d[name] = t
			if first := d[measured.names[0]]; t.Build != first.Build || t.Machine != first.Machine || t.Trial != first.Trial {
				return nil, fmt.Errorf("%s.tsv is of another build, day or machine than %s.tsv: %s", name, measured.names[0], measured.remedy)
			}
		}
	}
	return d, nil
}
