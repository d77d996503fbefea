package app

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tcp-stream-exporter/top"
)

// topCommand as the first argument shows the streams of a running exporter instead of capturing.
const topCommand = "top"

// topOptions holds the command line of top.
type topOptions struct {
	top.Options
	once bool
	line *commandLine
}

// parseTop reads the command line behind top. Errors are one line with the remedy.
func parseTop(args []string, out io.Writer) (*topOptions, error) {
	o := &topOptions{}
	fs := flag.NewFlagSet("tcp-stream-exporter top", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	address := fs.String("address", "http://127.0.0.1:9100", "`URL` of the exporter, with a path if it is behind a proxy that has one for it")
	config := fs.String("http.config.file", "", "`file` with password, certificates and TLS settings for the exporter, as Prometheus' http_config (default: none)")
	fs.DurationVar(&o.Interval, "interval", 2*time.Second, "how often the exporter is asked")
	view := fs.String("view", "streams", "`view` that is shown first: streams or groups")
	sort := fs.String("sort", "bytes", "`figure` by which the table is sorted: bytes, bitrate, packets, retransmits, delay or health")
	filter := fs.String("filter", "", "show what passes this `filter`, words with spaces between: an address or prefix, a port, active or finalized, or NAME=VALUE as /api/v1/streams takes it")
	fs.BoolVar(&o.once, "once", false, "print one table and exit; needs no terminal")
	fs.IntVar(&o.Rows, "rows", 20, "with -once: `number` of rows at most")
	o.line = newCommandLine(fs)
	switch err := o.line.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		help := bytes.NewBufferString("Usage of tcp-stream-exporter top:\n")
		fs.SetOutput(help)
		fs.PrintDefaults()
		if _, err := out.Write(help.Bytes()); err != nil {
			return nil, outputError{"the help", err}
		}
		return nil, errHelp
	case o.line.bad != nil:
		return nil, o.line.bad
	case err != nil:
		return nil, o.line.flagError(err)
	case o.line.NArg() > 0:
		return nil, fmt.Errorf("argument %q: all settings are flags, see top -help", o.line.Arg(0))
	}
	return o, o.resolve(*address, *config, *view, *sort, *filter)
}

// resolve turns the values of flags into options.
func (o *topOptions) resolve(address, config, view, sort, filter string) (err error) {
	named := func(name string, err error) error { return fmt.Errorf("%s: %w", o.line.flag(name), err) }
	if o.Interval < top.MinInterval || o.Interval > top.MaxInterval {
		return named("interval", fmt.Errorf("want %v to %v", top.MinInterval, top.MaxInterval))
	}
	if o.Rows < 1 || o.Rows > top.MaxRows {
		return named("rows", fmt.Errorf("want 1 to %d", top.MaxRows))
	}
	if _, given := o.line.typed["rows"]; given && !o.once {
		return fmt.Errorf("%s: goes with -once: a screen has as many rows as it has space for", o.line.flag("rows"))
	}
	if o.Address, err = top.ParseAddress(address); err != nil {
		return named("address", err)
	}
	if o.View, err = top.ParseView(view); err != nil {
		return named("view", err)
	}
	if o.Sort, err = top.ParseSort(sort); err != nil {
		return named("sort", err)
	}
	if o.Filter, err = top.ParseFilter(filter); err != nil {
		return named("filter", err)
	}
	if o.HTTP, err = top.NewHTTP(config); err != nil {
		return named("http.config.file", err)
	}
	return nil
}

// runTop shows the streams of a running exporter until a key or a signal ends it.
func runTop(args []string, stdout, stderr io.Writer) int {
	o, err := parseTop(args, stdout)
	if err != nil {
		return flagStatus(err, stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	screen, _ := stdout.(*os.File)
	if o.once {
		err = top.Once(ctx, &o.Options, stdout, top.Width(screen))
	} else {
		err = top.Run(ctx, &o.Options, os.Stdin, screen)
	}
	if err != nil {
		complain(stderr, err)
		return exitFailure
	}
	return exitOK
}
