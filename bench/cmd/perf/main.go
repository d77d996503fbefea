// Command perf measures the tables of PERF.md on this machine with this build and writes them to
// docs/perf, one file a table. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/internal/perfdata"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

type config struct {
	plan
	root, exporter, tools, out string
	quick                      bool
	only                       []string
}

// measurements are the parts, in their order.
var measurements = []struct {
	name    string
	measure func(*perf, context.Context) error
}{
	{"prepared", (*perf).prepared}, {"live", (*perf).live}, {"scrape", (*perf).scrape}, {"memory", (*perf).memory},
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("perf", flag.ContinueOnError)
	f.StringVar(&c.root, "root", ".", "`folder` of the exporter's sources")
	f.StringVar(&c.exporter, "exporter", "./tcp-stream-exporter", "`file` of the exporter, built from these sources")
	f.StringVar(&c.tools, "tools", "", "`folder` of benchlive, ringwalk, cwalk and gopacketreader (default: this program's)")
	f.StringVar(&c.out, "o", "docs/perf", "`folder` that the tables are written to")
	f.BoolVar(&c.quick, "quick", false, "small sizes and short runs, to see that it works: the figures say nothing")
	only := f.String("only", "", "measure only `these`, with commas between them: prepared, live, scrape, memory (default: all)")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() != 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for _, m := range measurements {
		c.only = append(c.only, m.name)
	}
	if *only != "" {
		chosen := strings.Split(*only, ",")
		for _, name := range chosen {
			if !slices.Contains(c.only, name) {
				return c, fmt.Errorf("-only %s: %q is unknown: take prepared, live, scrape or memory", *only, name)
			}
		}
		c.only = chosen
	}
	c.plan = full
	if c.quick {
		c.plan = quick
	}
	if c.tools == "" {
		own, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("folder of this program: %w (give one with -tools)", err)
		}
		c.tools = filepath.Dir(own)
	}
	return c, nil
}

// perf is one measurement of all tables.
type perf struct {
	config
	origin perfdata.Origin // without its command
	work   string          // folder for what is gone afterwards
	log    io.Writer
	began  time.Time
}

func run(ctx context.Context, args []string, log io.Writer) (err error) {
	c, err := parse(args)
	if err != nil {
		return err
	}
	// Programs are started in other folders than this one.
	for _, path := range []*string{&c.root, &c.exporter, &c.tools, &c.out} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("must run as root, to make network namespaces: try sudo make perf")
	}
	p := &perf{config: c, log: log, began: time.Now()}
	if p.origin, err = perfdata.OriginOf(ctx, c.root); err != nil {
		return err
	}
	p.origin.Trial = c.quick
	if p.work, err = os.MkdirTemp("", "perf-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.work)) }()
	if err := os.MkdirAll(c.out, 0o755); err != nil {
		return fmt.Errorf("-o: %w", err)
	}
	p.progress("build %s on %s", p.origin.Build, p.origin.Machine)
	if strings.Contains(p.origin.Build, perfdata.Dirty) {
		p.progress("there are changes that are not committed: the tables will name the build %s", p.origin.Build)
	}
	for _, m := range measurements {
		if !slices.Contains(c.only, m.name) {
			continue
		}
		if err := m.measure(p, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	p.progress("done")
	return nil
}

// progress prints a line with the time since the start.
func (p *perf) progress(format string, args ...any) {
	fmt.Fprintf(p.log, "%3d:%02d %s\n", int(time.Since(p.began).Minutes()), int(time.Since(p.began).Seconds())%60, fmt.Sprintf(format, args...))
}

// table begins a table that command measured.
func (p *perf) table(command string, columns ...string) *perfdata.Table {
	t := &perfdata.Table{Origin: p.origin, Columns: columns}
	t.Command = command
	return t
}

// write writes a table's file.
func (p *perf) write(name string, t *perfdata.Table) error {
	if len(t.Rows) == 0 {
		return fmt.Errorf("%s.tsv would have no row", name)
	}
	path := filepath.Join(p.out, name+".tsv")
	p.progress("write %s", path)
	return os.WriteFile(path, t.Encode(), 0o644)
}

// testBinary builds the tests of a package as the program is built.
func (p *perf) testBinary(ctx context.Context, pkg string) (string, error) {
	p.progress("build the benchmarks of %s", pkg)
	binary := filepath.Join(p.work, pkg+".test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-pgo="+filepath.Join(p.root, "default.pgo"), "-o", binary, "./"+pkg)
	cmd.Dir = p.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return binary, nil
}
