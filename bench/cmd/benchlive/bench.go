package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/probe"
	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

const (
	metricsAddress = "127.0.0.1:9777" // in the reader's namespace
	pprofAddress   = "127.0.0.1:9778"
	// settleTime is how long a reader gets for what is left in its ring, and for its figures to be
	// brought up to date.
	settleTime = 1500 * time.Millisecond
)

// argv returns a reader's command line.
func (c *config) argv(reader string) ([]string, error) {
	tool := func(name string, snapLen int, args ...string) []string {
		return append([]string{filepath.Join(c.tools, name), "-i", lab.Device, "-snaplen", strconv.Itoa(snapLen), "-retire", "64ms"}, args...)
	}
	switch reader {
	case "exporter":
		return []string{c.exporter, "-interface", lab.Device, "-port", metricsAddress, "-pprof", pprofAddress}, nil
	case "walk":
		return tool("ringwalk", c.snapLen, "-filter", c.filter), nil
	case "walk-poll":
		return tool("ringwalk", c.snapLen, "-filter", c.filter, "-poll"), nil
	case "cwalk":
		return []string{filepath.Join(c.tools, "cwalk"), "-i", lab.Device, "-filter", c.filter}, nil
	case "gopacket":
		return tool("gopacketreader", wholeFrames, "-decode", "source"), nil
	case "gopacket-packet":
		return tool("gopacketreader", c.snapLen, "-decode", "packet"), nil
	case "gopacket-lazy":
		return tool("gopacketreader", c.snapLen, "-decode", "lazy"), nil
	case "gopacket-parser":
		return tool("gopacketreader", c.snapLen, "-decode", "parser"), nil
	}
	return nil, fmt.Errorf("-readers: %q is unknown: take exporter, walk, cwalk, walk-poll, gopacket, gopacket-packet, gopacket-lazy or gopacket-parser", reader)
}

// wholeFrames is the snap length of the gopacket reader that works like the exporter's predecessor.
const wholeFrames = 65535

// readyTimeout bounds the wait for the first scrape.
const readyTimeout = 10 * time.Second

// bench runs readers at end B of a pair and the generator at end A.
type bench struct {
	config
	pair *lab.Pair
}

// outcome holds the figures of one run.
type outcome struct {
	sent    uint64
	pps     float64 // sent per second
	packets uint64  // that the reader has taken
	dropped uint64  // by the kernel, because the ring was full
	cpu     time.Duration
	memory  proc.Memory
	probe   probe.Reading // of the reader's CPU, before the run

	// Of the exporter: allocations in the run, and in as long a silence before it; NaN if not
	// measured. Those of the scrapes that ask for them are included.
	mallocsRun, mallocsSilent float64
}

func (o *outcome) nsPerPacket() float64 { return float64(o.cpu) / float64(max(o.packets, 1)) }

func (o *outcome) String() string {
	text := fmt.Sprintf("%.0f packets/s, %.1f ns of CPU per packet, %d dropped, %.1f GHz, %.0f %% ours", o.pps, o.nsPerPacket(), o.dropped, o.probe.GHz, 100*o.probe.Share)
	if o.packets+o.dropped != o.sent {
		text += fmt.Sprintf(", %d sent but %d arrived", o.sent, o.packets+o.dropped)
	}
	return text
}

// one runs a reader once; the exporter, with silent, after a silence as long as the run.
func (b *bench) one(ctx context.Context, reader string, streams int, rate float64, silent bool) (o *outcome, err error) {
	o = &outcome{}
	if o.probe, err = probe.CPU(readerCPU); err != nil {
		return nil, err
	}
	p, err := b.start(reader)
	if err != nil {
		return nil, err
	}
	stopped := false
	defer func() {
		if !stopped {
			_, _ = p.Stop() // there is an error already
		}
	}()
	var before exporterState
	if reader == "exporter" {
		length := time.Duration(0)
		if silent {
			length = b.duration + settleTime
		}
		if before, err = o.silence(b.pair.B.Namespace, length); err != nil {
			return nil, err
		}
	}
	cpu, err := p.CPU()
	if err != nil {
		return nil, err
	}
	report, err := b.send(ctx, streams, rate)
	if err != nil {
		return nil, err
	}
	o.sent, o.pps = report.Packets, report.PPS
	time.Sleep(settleTime)
	end, err := p.CPU()
	if err != nil {
		return nil, err
	}
	o.cpu = end - cpu
	if o.memory, err = p.Memory(); err != nil {
		return nil, err
	}
	if reader == "exporter" {
		if err := o.scrape(b.pair.B.Namespace, before); err != nil {
			return nil, err
		}
	}
	stopped = true
	line, err := p.Stop()
	if err != nil {
		return nil, err
	}
	if reader != "exporter" {
		if o.packets, err = field(line, "packets"); err == nil {
			o.dropped, err = field(line, "dropped")
		}
	}
	return o, err
}

func (b *bench) start(reader string) (*proc.Proc, error) {
	argv, err := b.argv(reader)
	if err != nil {
		return nil, err
	}
	return b.launch(reader, argv)
}

func (b *bench) launch(reader string, argv []string) (*proc.Proc, error) {
	ready := ": ready"
	if reader == "exporter" {
		ready = "msg=starting"
	}
	p, err := proc.Start(proc.Options{Namespace: b.pair.B.Namespace, CPU: readerCPU, Argv: argv, Ready: ready})
	if err == nil && reader == "exporter" {
		err = scrape.Await(b.pair.B.Namespace, metricsAddress, readyTimeout)
	}
	return p, err
}

// send runs the generator.
func (b *bench) send(ctx context.Context, streams int, rate float64) (r gen.Report, err error) {
	connections := streams / 2
	if b.oneWay {
		connections = streams
	}
	var g *gen.Generator
	err = b.pair.A.Do(func() (err error) {
		g, err = gen.New(gen.Config{
			Interface: lab.Device, Connections: connections, Payload: b.payload, Burst: b.burst, ReverseShare: 1. / 3,
			OneWay: b.oneWay, Churn: b.churn, Rate: rate, Duration: b.duration, Seed: 1, CPU: generatorCPU,
		})
		return err
	})
	if err != nil {
		return r, err
	}
	defer g.Close()
	r, err = g.Run(ctx)
	if err == nil {
		err = ctx.Err()
	}
	return r, err
}

// silence returns the state from which the run counts. If it is to last, it first measures the allocations
// without any packet.
func (o *outcome) silence(namespace string, length time.Duration) (before exporterState, err error) {
	o.mallocsSilent = math.NaN()
	if _, err := mallocs(namespace); err != nil { // the first time costs more
		return before, err
	}
	if length > 0 {
		first, err := mallocs(namespace)
		if err != nil {
			return before, err
		}
		time.Sleep(length)
		last, err := mallocs(namespace)
		if err != nil {
			return before, err
		}
		o.mallocsSilent = last - first
	}
	if before.values, err = exporterValues(namespace); err != nil {
		return before, err
	}
	before.mallocs, err = mallocs(namespace)
	return before, err
}

// exporterState holds counters that a run's figures are differences of.
type exporterState struct {
	values  scrape.Values
	mallocs float64
}

// scrape takes the exporter's figures of the run.
func (o *outcome) scrape(namespace string, before exporterState) error {
	now, err := mallocs(namespace)
	if err != nil {
		return err
	}
	o.mallocsRun = now - before.mallocs
	v, err := exporterValues(namespace)
	if err != nil {
		return err
	}
	o.packets = uint64(v[processed] - before.values[processed])
	o.dropped = uint64(v[dropped] - before.values[dropped])
	return nil
}

const processed, dropped = "capture_packets_processed_total", "capture_dropped_packets_total"

func exporterValues(namespace string) (scrape.Values, error) {
	v, err := scrape.Metrics(namespace, metricsAddress, processed, dropped)
	if err == nil && len(v) != 2 {
		err = fmt.Errorf("the scrape has no %s or no %s", processed, dropped)
	}
	return v, err
}

// mallocs returns the exact number of objects that the exporter has allocated since its start: -go-metrics
// has it by the page of memory only.
func mallocs(namespace string) (float64, error) {
	body, err := scrape.Get(namespace, pprofAddress, "/debug/vars")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	var vars struct {
		Memstats struct{ Mallocs float64 }
	}
	if err := json.NewDecoder(body).Decode(&vars); err != nil {
		return 0, fmt.Errorf("/debug/vars: %w", err)
	}
	return vars.Memstats.Mallocs, nil
}

// field reads one figure from a reader's line.
func field(line, key string) (uint64, error) {
	for f := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(f, key+"="); ok {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("the reader's line has no %s: %q", key, line)
}

// steps are the parts of the highest rate that are tried with a reader that drops at it.
var steps = []float64{0.85, 0.7, 0.55, 0.45, 0.35, 0.25, 0.18, 0.12, 0.08}

// highestRate looks for the highest rate at which a reader drops nothing, in steps.
func (b *bench) highestRate(ctx context.Context, s *series, stderr io.Writer) error {
	offered := s.median(func(o *outcome) float64 { return o.pps })
	if s.dropped() == 0 {
		s.cleanRate, s.limited = offered, true
		return nil
	}
	for _, step := range steps {
		o, err := b.one(ctx, s.reader, s.streams, step*offered, false)
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "step %.2f: %s, %d streams: %s\n", step, s.reader, s.streams, o)
		if o.dropped == 0 {
			s.cleanRate = o.pps
			return nil
		}
	}
	return nil
}

// writeProfile makes the exporter profile itself while it reads.
func (b *bench) writeProfile(ctx context.Context, streams int) error {
	argv, err := b.argv("exporter")
	if err != nil {
		return err
	}
	// The runtime preempts a thread that has run for long, mostly at the sampled moments: the samples would
	// show the preemption.
	p, err := b.launch("exporter", slices.Concat([]string{"env", "GODEBUG=asyncpreemptoff=1"}, argv))
	if err != nil {
		return err
	}
	defer p.Stop()
	type answer struct {
		body io.ReadCloser
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		body, err := scrape.Get(b.pair.B.Namespace, pprofAddress,
			fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", b.duration.Seconds()))
		got <- answer{body, err}
	}()
	if _, err := b.send(ctx, streams, b.rate); err != nil {
		return err
	}
	a := <-got
	if a.err != nil {
		return a.err
	}
	defer a.body.Close()
	f, err := os.Create(b.profile)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, a.body); err != nil {
		f.Close()
		return fmt.Errorf("profile: %w", err)
	}
	return f.Close()
}
