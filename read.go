package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"time"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/pcapfile"
)

// expireEvery is how far packet time advances between two looks for streams whose time has come.
const expireEvery = int64(100 * time.Millisecond)

// readFile accounts the packets of a capture file instead of a live capture, with packet time as
// its clock, and writes one exposition to stdout. A file that is damaged is accounted up to the
// damage, and the error says where that is.
func (o *options) readFile(stdout, stderr io.Writer) error {
	name, in, size, err := o.openInput()
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := pcapfile.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", o.flag("read"), withRemedy(err, o.read))
	}
	if err := o.checkMemory(); err != nil {
		return err
	}
	filter := newFileFilter(o.filter, o.flag)
	progress := newProgress(stderr, size)

	var report fileReport
	var worker *capture.Worker
	var damage error
	if o.repeatGiven {
		worker, damage, err = o.readRepeatedly(file, filter, progress, &report)
	} else {
		worker, damage, err = o.readOnce(file, filter, progress, &report)
	}
	progress.clear()
	if err != nil {
		return err
	}
	defer worker.Close()

	if err := o.writeExposition(worker, stdout); err != nil {
		return err
	}
	report.name, report.packets, report.filteredOut = name, file.Packets(), filter.rejected
	report.stats = worker.Stats()
	say(stderr, report.String())
	if damage != nil {
		return fmt.Errorf("%s: %w: what stands before it is accounted", o.flag("read"), damage)
	}
	return nil
}

// openInput opens the file of -read; size is 0 where it is not known.
func (o *options) openInput() (name string, in *os.File, size int64, err error) {
	arg := o.read
	if arg == "-" {
		return "standard input", os.Stdin, 0, nil
	}
	in, err = os.Open(arg)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return "", nil, 0, fmt.Errorf("%s: %w: name a capture file that may be read", o.flag("read"), err)
	}
	if info, err := in.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return arg, in, size, nil
}

// withRemedy says what can be done about a file in another format.
func withRemedy(err error, arg string) error {
	var compressed *pcapfile.CompressedError
	var format *pcapfile.FormatError
	var path *os.PathError
	switch {
	case errors.As(err, &compressed) && arg == "-":
		return fmt.Errorf("%w: decompress it first, for example with %s", err, compressed.Tool)
	case errors.As(err, &compressed):
		return fmt.Errorf("%w: decompress it first, for example %s %s | tcp-stream-exporter -read -", err, compressed.Tool, arg)
	case errors.As(err, &format):
		return fmt.Errorf("%w: convert it, for example with editcap -F pcap", err)
	case errors.As(err, &path):
		err = path.Err
	}
	if errors.Is(err, pcapfile.ErrEmpty) || errors.Is(err, syscall.EISDIR) {
		return fmt.Errorf("%w: name a capture file", err)
	}
	return err
}

// newWorker makes a worker with room for so many connections, for a file or a live capture.
func (o *options) newWorker(connections int) (*capture.Worker, error) {
	w, err := capture.NewWorker(capture.Config{
		MaxConnections: connections, StreamAge: o.streamAge, FinalizedAge: o.finalizedAge, SynAge: o.synAge, IPv6: o.ipv6,
		Optional: o.metrics.Families.Counted(),
	})
	if errors.Is(err, syscall.ENOMEM) {
		return nil, fmt.Errorf("%s: %w", o.flag("max-connections"), err)
	}
	return w, err
}

// readOnce accounts packets as they are read. damage is what ended the file early.
func (o *options) readOnce(file *pcapfile.Reader, filter *fileFilter, progress *progress, report *fileReport) (w *capture.Worker, damage, err error) {
	w, err = o.newWorker(o.maxConnections)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	started := time.Now()
	var p pcapfile.Packet
	next := int64(math.MinInt64)
	for {
		if err := file.Next(&p); err != nil {
			for w.Expire(math.MaxInt) {
			}
			report.took = time.Since(started)
			return w, endOf(err), nil
		}
		accepted, err := filter.accepts(&p)
		if err != nil {
			return w, nil, err
		}
		if accepted {
			w.Frame(p.Link, p.Data, p.WireLen, p.Time)
		} else {
			w.Tick(p.Time)
		}
		if p.Time >= next {
			for w.Expire(math.MaxInt) {
			}
			next = p.Time + expireEvery
		}
		progress.at(file)
	}
}

// endOf is nil for the clean end of a file.
func endOf(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// writeExposition writes what a scrape of the worker would get.
func (o *options) writeExposition(w *capture.Worker, to io.Writer) error {
	out := bufio.NewWriter(to)
	h := collector.New(idle{w}, o.metrics.Options)
	err := h.WriteText(context.Background(), out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return outputError{"the metrics", err}
	}
	return nil
}

// idle is a worker that has accounted everything, as the collector's source.
type idle struct{ worker *capture.Worker }

func (i idle) Snapshot(_ context.Context, to *capture.Snapshot) error { return i.worker.Snapshot(to) }
