// Command benchlive has the exporter and the readers to compare it with read the same traffic, one
// after the other, and prints what each costs. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/internal/filterfile"
	"tcp-stream-exporter/bench/internal/pin"
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
		fmt.Fprintln(os.Stderr, "benchlive:", err)
		os.Exit(1)
	}
}

// The generator has one CPU to itself, the reader the other. The kernel does the receiving end's
// work on the generator's.
const (
	generatorCPU = 0
	readerCPU    = 1
)

type config struct {
	exporter, tools string
	readers         []string
	streams         []int
	payload, burst  int
	rate            float64
	oneWay          bool
	churn           float64 // connections per second
	duration        time.Duration
	runs            int
	snapLen         int
	filter          string // file of the program that the walks attach
	idle            time.Duration
	profile, tsv    string
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("benchlive", flag.ContinueOnError)
	f.StringVar(&c.exporter, "exporter", "./tcp-stream-exporter", "`file` of the exporter")
	f.StringVar(&c.tools, "tools", "", "`folder` of ringwalk, cwalk and gopacketreader (default: this program's)")
	readers := f.String("readers", "exporter,walk,cwalk,gopacket", "`which` read in turn: exporter, walk, cwalk, walk-poll, gopacket, gopacket-packet, gopacket-lazy, gopacket-parser")
	streams := f.String("streams", "1000,100000", "`numbers` of streams, two per connection; with -one-way one")
	f.BoolVar(&c.oneWay, "one-way", false, "only the clients' packets, as on a line with asymmetric routing")
	f.Float64Var(&c.churn, "churn", 0, "close so many `connections` per second, each replaced by a new one")
	f.IntVar(&c.payload, "payload", 1400, "TCP payload of a data packet in `bytes`")
	f.IntVar(&c.burst, "burst", 1, "data packets of one connection in a row, which the kernel cuts from one: the generator sends more per second")
	f.Float64Var(&c.rate, "rate", 0, "`packets` per second (0: as many as the generator can)")
	f.DurationVar(&c.duration, "duration", 5*time.Second, "how long the generator sends in each run")
	f.IntVar(&c.runs, "runs", 5, "runs of each reader")
	f.IntVar(&c.snapLen, "snaplen", 192, "`bytes` of each frame that gopacket-packet, gopacket-lazy and gopacket-parser have the kernel copy; the walks have it copy the headers alone, as the exporter does, and gopacket takes whole frames")
	f.DurationVar(&c.idle, "idle", 10*time.Second, "how long the exporter is watched on a silent interface, before all else (0: not at all)")
	f.StringVar(&c.profile, "profile", "", "write a CPU profile of the exporter during one run to this `file`, and do nothing else")
	f.StringVar(&c.tsv, "tsv", "", "also write each run's figures to this `file`, one a line, separated by tabs")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() != 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for text := range strings.SplitSeq(*streams, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 || n%2 != 0 {
			return c, fmt.Errorf("-streams %q: want even numbers from 2 on, with commas between them", *streams)
		}
		c.streams = append(c.streams, n)
	}
	for name := range strings.SplitSeq(*readers, ",") {
		if _, err := c.argv(name); err != nil {
			return c, err
		}
		c.readers = append(c.readers, name)
	}
	if c.runs < 1 {
		return c, fmt.Errorf("-runs %d: want 1 or more", c.runs)
	}
	if c.duration < time.Second {
		return c, fmt.Errorf("-duration %v: want 1s or more", c.duration)
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

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if err := pin.Process(generatorCPU); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "benchlive-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	prog, err := filterfile.TCP()
	if err != nil {
		return err
	}
	c.filter = filepath.Join(folder, "tcp")
	if err := filterfile.Write(c.filter, prog); err != nil {
		return err
	}
	pair, err := lab.New(lab.Options{OffloadsOff: true})
	if err != nil {
		return err
	}
	err = c.measure(ctx, &bench{config: c, pair: pair}, stdout, stderr)
	return errors.Join(err, pair.Close())
}

func (c *config) measure(ctx context.Context, b *bench, stdout, stderr io.Writer) error {
	if c.profile != "" {
		return b.writeProfile(ctx, c.streams[0])
	}
	var silent *idle
	if c.idle > 0 {
		i, err := b.measureIdle(ctx)
		if err != nil {
			return fmt.Errorf("idle exporter: %w", err)
		}
		if err := i.print(stdout); err != nil {
			return err
		}
		silent = i
	}
	var all []*series
	for _, streams := range c.streams {
		group := make([]*series, len(c.readers))
		for i, reader := range c.readers {
			group[i] = &series{reader: reader, streams: streams}
		}
		for n := range c.runs {
			for _, s := range group {
				o, err := b.one(ctx, s.reader, streams, c.rate, n == 0)
				if err != nil {
					return fmt.Errorf("%s, %d streams: %w", s.reader, streams, err)
				}
				s.runs = append(s.runs, o)
				fmt.Fprintf(stderr, "run %d: %s, %d streams: %s\n", n+1, s.reader, streams, o)
			}
		}
		for _, s := range group {
			if err := b.highestRate(ctx, s, stderr); err != nil {
				return fmt.Errorf("%s, %d streams: %w", s.reader, streams, err)
			}
		}
		all = append(all, group...)
	}
	if err := print(stdout, c, all); err != nil || c.tsv == "" {
		return err
	}
	f, err := os.Create(c.tsv)
	if err != nil {
		return fmt.Errorf("-tsv: %w", err)
	}
	if err := errors.Join(writeTSV(f, silent, all), f.Close()); err != nil {
		return fmt.Errorf("-tsv %s: %w", c.tsv, err)
	}
	return nil
}
