// Command benchscene plays a scene from a web server's day: many short answers over many
// connections on lo, the clients cut off and started again, their streams left to grow stale, with
// the exporter watching. It prints what was dropped and what it cost. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchscene:", err)
		os.Exit(1)
	}
}

type config struct {
	exporter    string
	clients     int
	connections int
	duration    time.Duration
	cut         time.Duration
	pause       time.Duration
	age         time.Duration
	scrapeEvery time.Duration
	answer      int
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("benchscene", flag.ContinueOnError)
	f.StringVar(&c.exporter, "exporter", "./tcp-stream-exporter", "`file` of the exporter")
	f.IntVar(&c.clients, "clients", 2, "`number` of wrk processes")
	f.IntVar(&c.connections, "connections", 1000, "`number` of connections of each")
	f.DurationVar(&c.duration, "duration", 30*time.Second, "how long the clients run, the second time")
	f.DurationVar(&c.cut, "cut", 10*time.Second, "the first time they are cut off after so long")
	f.DurationVar(&c.pause, "pause", 2*time.Second, "how long nothing runs before the second time")
	f.DurationVar(&c.age, "age", 30*time.Second, "both of the exporter's ages")
	f.DurationVar(&c.scrapeEvery, "scrape-every", 15*time.Second, "the exporter is scraped so often")
	f.IntVar(&c.answer, "answer", 4096, "the longest answer in `bytes`; lengths are random")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() != 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.clients < 1 || c.connections < 1 || c.answer < 1:
		return c, errors.New("-clients, -connections and -answer must be above zero")
	case c.duration < time.Second || c.cut < time.Second || c.age < time.Second || c.pause < 0 || c.scrapeEvery < time.Second:
		return c, errors.New("-duration, -cut, -age and -scrape-every must be 1s or more")
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	// Each client and the server has a file per connection. Set explicitly, the limit is passed on.
	files := uint64(c.clients*c.connections + 1024)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	limit.Cur, limit.Max = max(limit.Cur, files), max(limit.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w (needs root)", files, err)
	}
	// One end of a pair is a machine to itself; nothing uses the cable.
	pair, err := lab.New(lab.Options{})
	if err != nil {
		return err
	}
	s := &scene{config: c, at: pair.B, log: stderr}
	err = s.play(ctx)
	if err == nil {
		err = s.print(stdout)
	}
	return errors.Join(err, pair.Close())
}
