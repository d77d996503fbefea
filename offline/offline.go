package offline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// expireEvery is how far packet time advances between two looks for streams whose time has come.
const expireEvery = int64(100 * time.Millisecond)

// Options say what Run reads and how.
type Options struct {
	Files  []string // in the order in which they were captured, one at least; - for standard input
	Filter string   // in pcap-filter(7)'s language; empty: every packet
	Repeat int      // how many times the packets are accounted from memory; 0: once, as they are read

	NewWorker func() (*worker.Worker, error)       // makes a worker without streams
	Families  exposition.Families                  // of the streams
	Limits    exposition.Limits                    // on how many of them are written
	Others    func() ([]exposition.Encoded, error) // returns what else is written

	Flag     func(name string) string // shows a flag as it was typed
	ReadFlag func(file string) string // shows -read with one of Files
	Say      func(line string)        // tells the operator something
	Check    func() error             // is called before memory is taken, with files that can be read
}

// Run accounts the packets of capture files instead of a live capture, with packet time as its clock, and writes one
// exposition to stdout. A terminal at stderr shows the progress. A file that is damaged is accounted up to the damage,
// and the error says where that is; of several damaged files it is the last one's, and o.Say is told the others'. A
// file that cannot be opened, or is no capture, is an error before anything is accounted.
func Run(o Options, stdout, stderr io.Writer) error {
	in, err := o.openInput()
	if err != nil {
		return err
	}
	defer in.close()
	if err := o.Check(); err != nil {
		return err
	}
	filter := newFileFilter(o.Filter, o.Flag)
	progress := newProgress(stderr, in.size)

	var report fileReport
	var w *worker.Worker
	if o.Repeat > 0 {
		w, err = o.readRepeatedly(in, filter, progress, &report)
	} else {
		w, err = o.readOnce(in, filter, progress, &report)
	}
	progress.clear()
	if err != nil {
		return err
	}
	defer w.Close()

	if err := o.writeExposition(w, stdout); err != nil {
		return err
	}
	report.name, report.packets, report.filteredOut = in.name(), in.Packets(), filter.rejected
	report.stats = w.Stats()
	o.Say(report.String())
	return in.damage()
}

// withRemedy says what can be done about a file in another format.
func withRemedy(err error, arg string) error {
	var compressed *pcapfile.CompressedError
	var format *pcapfile.FormatError
	var damage *pcapfile.DamageError
	var path *os.PathError
	opening := errors.As(err, new(openError))
	switch {
	case errors.As(err, &damage):
		return fmt.Errorf("%w: nothing of it can be read, get the file again", err)
	case errors.As(err, &compressed) && compressed.Tool == "":
		return fmt.Errorf("%w: decompress it first", err)
	case errors.As(err, &compressed) && arg == "-":
		return fmt.Errorf("%w: decompress it first, for example with %s", err, compressed.Tool)
	case errors.As(err, &compressed):
		return fmt.Errorf("%w: decompress it first, for example %s %s | tcp-stream-exporter -read -", err, compressed.Tool, arg)
	case errors.As(err, &format):
		return fmt.Errorf("%w: convert it, for example with editcap -F pcap", err)
	case errors.As(err, &path):
		err = path.Err
	}
	if opening {
		return fmt.Errorf("%w: name a capture file that may be read", err)
	}
	if errors.Is(err, pcapfile.ErrEmpty) || errors.Is(err, syscall.EISDIR) {
		return fmt.Errorf("%w: name a capture file", err)
	}
	return err
}

// readOnce accounts packets as they are read.
func (o *Options) readOnce(in *input, filter *fileFilter, progress *progress, report *fileReport) (w *worker.Worker, err error) {
	w, err = o.NewWorker()
	if err != nil {
		return nil, err
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
		if err := in.Next(&p); err == io.EOF {
			for w.Expire(math.MaxInt) {
			}
			report.took = time.Since(started)
			return w, nil
		}
		accepted, err := filter.accepts(&p)
		if err != nil {
			return w, err
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
		progress.at(in)
	}
}

// writeExposition writes what a scrape of the worker would get.
func (o *Options) writeExposition(w *worker.Worker, to io.Writer) error {
	out := bufio.NewWriter(to)
	err := o.writeTo(out, w)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the metrics to standard output: %w", err)
	}
	return nil
}

// writeTo writes the streams and totals of w, and what else the flags ask for.
func (o *Options) writeTo(to io.Writer, w *worker.Worker) error {
	selection := o.Families.Select(nil)
	s := worker.Snapshot{TotalsOnly: !selection.NeedStreams(), WithExtras: selection.NeedExtras()}
	defer s.Close() // unmapping what was mapped cannot fail
	if err := w.Snapshot(&s); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	others, err := o.Others()
	if err != nil {
		return err
	}
	content := exposition.Content{
		Selection: selection,
		Totals:    exposition.Totals{ActiveStreams: s.Stats.Active, Packets: s.Stats.Packets, Dropped: s.Stats.Dropped, Freezes: s.Stats.Freezes},
		Others:    others,
		Streams:   exposition.Streams{Views: s.Views, Wide: s.Wide, Extras: s.Extras},
	}
	exposition.NewLimiter(o.Limits).Apply(&content.Streams)
	return new(exposition.Writer).Write(to, &content)
}
