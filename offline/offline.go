package offline

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// expireEvery is the packet time between two expiries of streams.
const expireEvery = int64(100 * time.Millisecond)

// Format is the format in which the figures are written.
type Format uint8

// The formats.
const (
	Prometheus Format = iota // what a scrape would get
	JSON                     // JSON Lines, one object for each stream (docs/api.md)
	Table                    // for people: the streams that lead by one figure
)

// Options holds what Run reads and how.
type Options struct {
	Files  []string // in the order in which they were captured, one at least; - for standard input
	Filter string   // in pcap-filter(7)'s language; empty: every packet
	// Program is the filter, instead of Filter: for packets of one link type, those of the first packet that is decoded.
	// nil: there is none.
	Program []bpf.RawInstruction
	Repeat  int // how many times the packets are accounted from memory; 0: once, as they are read

	Tunnels parse.Tunnels // the filter lets their outer packets pass, as the workers of NewWorker look into them

	Sample parse.Sample // of the connections that are accounted

	NewWorker func() (*worker.Worker, error)       // makes a worker without streams
	Format    Format                               // of what is written
	Sort      exposition.Order                     // of the Table
	Families  exposition.Families                  // of the streams; the Table has columns of its own
	Limits    exposition.Limits                    // on how many of them are written; Top is that of Sort for the Table, 0: 20
	Others    func() ([]exposition.Encoded, error) // returns what else is written in the format Prometheus

	Flag     func(name string) string // shows a flag as it was typed
	ReadFlag func(file string) string // shows -read with one of Files
	Say      func(line string)        // tells the operator something
	Check    func() error             // is called before memory is taken, with files that can be read
}

// Run accounts the packets of capture files instead of a live capture, with packet time as its clock, and writes what
// they come to to stdout. A terminal at stderr shows the progress. A file that is damaged is accounted up to the damage,
// and the error says where that is; of several damaged files it is the last one's, and o.Say gets the others'. A
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
	filter := newFileFilter(o.Filter, o.Program, o.Tunnels, o.Sample, o.Flag)
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

	if err := o.write(w, stdout); err != nil {
		return err
	}
	report.name, report.packets, report.filteredOut = in.name(), in.Packets(), filter.rejected
	report.unsampled = filter.unsampled
	report.stats = w.Stats()
	o.Say(report.String())
	return in.damage()
}

// withRemedy returns err with the remedy for a file in another format.
func withRemedy(err error, arg string) error {
	var compressed *pcapfile.CompressedError
	var format *pcapfile.FormatError
	var damage *pcapfile.DamageError
	var path *os.PathError
	opening := errors.As(err, new(openError))
	switch {
	case errors.As(err, &damage):
		return fmt.Errorf("%w: nothing of it can be read, name a whole file", err)
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

// write writes the figures of w in the format that is asked for.
func (o *Options) write(w *worker.Worker, to io.Writer) error {
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

// writeTo writes the streams of w, and with Prometheus the totals and what else the flags ask for.
func (o *Options) writeTo(to io.Writer, w *worker.Worker) error {
	selection, limits := o.Families.Select(nil), o.Limits
	s := worker.Snapshot{TotalsOnly: !selection.NeedStreams(), WithExtras: selection.NeedExtras()}
	if o.Format == Table {
		s.WithExtras = false
		limits.Top = 0 // those that lead by another figure than bytes are wanted too
	}
	defer s.Close() // unmapping what was mapped cannot fail
	if err := w.Snapshot(&s); err != nil {
		return fmt.Errorf("no snapshot of the streams: %w", err)
	}
	content := exposition.Content{
		Selection: selection,
		Totals:    exposition.Totals{ActiveStreams: s.Stats.Active, Packets: s.Stats.Packets, Dropped: s.Stats.Dropped, Freezes: s.Stats.Freezes},
		Streams:   exposition.Streams{Views: s.Views, Wide: s.Wide, Extras: s.Extras},
	}
	exposition.NewLimiter(limits).Apply(&content.Streams)
	switch o.Format {
	case JSON:
		return new(exposition.Writer).WriteJSON(to, &content)
	case Table:
		return writeTable(to, &content.Streams, o.Sort, cmp.Or(o.Limits.Top, tableRows))
	}
	var err error
	if content.Others, err = o.Others(); err != nil {
		return err
	}
	return new(exposition.Writer).Write(to, &content)
}
