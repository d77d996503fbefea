// Command pathlab sends TCP over a path that knows the truth (package netpath) and compares four
// counts of retransmitted and of reordered segments: the path's, the sender's kernel's, the exporter's
// and tshark's. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pathlab:", err)
		os.Exit(1)
	}
}

type config struct {
	exporter   string
	live       bool
	rtt        bool
	tshark     bool
	list       bool
	markdown   bool
	captures   string // folder
	seconds    float64
	mbits      float64
	congestion string
	seed       uint64
	scenarios  []scenario
}

func parse(args []string, stderr io.Writer) (c config, err error) {
	f := flag.NewFlagSet("pathlab", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.exporter, "exporter", "./tcp-stream-exporter", "`file` of the exporter")
	f.BoolVar(&c.live, "live", false, "the exporter captures live at an end of the path, instead of reading what the path recorded")
	f.BoolVar(&c.rtt, "rtt", false, "compare round trips with the sender's tcp_info over a bottleneck of 20 Mbit/s, and do nothing else")
	only := f.String("run", "", "run the scenarios whose name matches this regular `expression`")
	f.BoolVar(&c.list, "list", false, "print the scenarios' names and exit")
	f.BoolVar(&c.tshark, "tshark", true, "ask tshark too, if there is one")
	f.Float64Var(&c.seconds, "seconds", 4, "how long iperf3 sends; twice as long from round trips of 20 ms on, three times from 80 ms on")
	f.Float64Var(&c.mbits, "mbits", 30, "`rate` at which iperf3 sends, in Mbit/s")
	f.StringVar(&c.congestion, "congestion", "cubic", "congestion control; bbr sends on where cubic slows down")
	f.Uint64Var(&c.seed, "seed", 1, "`number` from which what is lost or held back is drawn")
	f.BoolVar(&c.markdown, "markdown", false, "print a table in Markdown")
	f.StringVar(&c.captures, "captures", "", "keep what the path recorded in this `folder`, one file a scenario")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() != 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if !(c.seconds >= 1) || !(c.mbits > 0) {
		return c, fmt.Errorf("-seconds %v -mbits %v: want 1 or more, and more than 0", c.seconds, c.mbits)
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return c, fmt.Errorf("-run %q: %w", *only, err)
	}
	all := recorded()
	if c.live {
		all = live()
	}
	for _, s := range all {
		if pattern.MatchString(s.name) {
			c.scenarios = append(c.scenarios, s)
		}
	}
	if len(c.scenarios) == 0 {
		return c, fmt.Errorf("-run %q: matches no scenario; -list names them", *only)
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	switch {
	case c.list:
		for _, s := range c.scenarios {
			fmt.Fprintln(stdout, s.name)
		}
		return nil
	case c.rtt:
		r, err := measureRTT(ctx, c.exporter, c.seconds)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, r)
		for _, text := range r.complaints() {
			fmt.Fprintln(stderr, "pathlab:", text)
		}
		return nil
	}
	if c.markdown {
		printHead(stdout)
	}
	for _, s := range c.scenarios {
		r, err := c.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if c.markdown {
			printRow(stdout, r)
		} else {
			printLine(stdout, r)
		}
		for _, text := range append(r.complaints(), r.notes()...) {
			fmt.Fprintf(stderr, "pathlab: %s: %s\n", s.name, text)
		}
	}
	return nil
}
