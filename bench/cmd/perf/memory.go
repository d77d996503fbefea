package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/perfdata"
	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

const (
	metricsAddress = "127.0.0.1:9777" // in the exporter's namespace
	// settle is how long the exporter gets for what is left in its ring.
	settle = 2 * time.Second

	packetsPerConnection = 8 // its handshake included
	memoryRate           = 250_000
	scrapesInARow        = 3
)

// grown is what the exporter holds with so many connections: a figure for each run.
type grown struct {
	connections          int
	start, before, after []float64 // MiB
	size, streams        []float64 // of the exposition in bytes; at the end
}

// add appends the figures of one run.
func (g *grown) add(one grown) {
	g.start, g.before, g.after = append(g.start, one.start...), append(g.before, one.before...), append(g.after, one.after...)
	g.size, g.streams = append(g.size, one.size...), append(g.streams, one.streams...)
}

// attempts is how often a run is tried: others' work on the machine may make the ring drop packets.
const attempts = 3

// errDropped says that the exporter has not seen everything.
var errDropped = errors.New("packets were dropped: leave the machine alone and try again")

// memory measures the exporter's resident memory with default flags.
func (p *perf) memory(ctx context.Context) error {
	all := make([]*grown, len(p.connections))
	for i, n := range p.connections {
		all[i] = &grown{connections: n}
	}
	err := p.rounds("memory", p.memoryRuns, p.memoryBudget, func(round int) error {
		for _, g := range all {
			one, err := g.run(ctx, p.exporter)
			for n := 1; n < attempts && errors.Is(err, errDropped); n++ {
				p.progress("  %d connections: once more: %v", g.connections, err)
				one, err = g.run(ctx, p.exporter)
			}
			if err != nil {
				return fmt.Errorf("%d connections: %w", g.connections, err)
			}
			g.add(one)
			p.progress("  %d connections: %.1f MiB, %.1f MiB after scrapes", g.connections, g.before[round], g.after[round])
		}
		return nil
	})
	if err != nil {
		return err
	}
	t := p.table(fmt.Sprintf("make perf: %d packets per connection at %d packets/s, then %d scrapes", packetsPerConnection, memoryRate, scrapesInARow),
		"connections", "streams", "runs",
		"start (MiB)", "start lowest (MiB)", "start highest (MiB)",
		"before the first scrape (MiB)", "before lowest (MiB)", "before highest (MiB)",
		"after three scrapes (MiB)", "after lowest (MiB)", "after highest (MiB)", "exposition (bytes)")
	for _, g := range all {
		start, before, after := perfdata.Of(g.start), perfdata.Of(g.before), perfdata.Of(g.after)
		t.Add(g.connections, perfdata.Of(g.streams).Median, start.Runs, start.Median, start.Lowest, start.Highest,
			before.Median, before.Lowest, before.Highest, after.Median, after.Lowest, after.Highest, perfdata.Of(g.size).Median)
	}
	return p.write("memory", t)
}

// run has an exporter of its own watch the connections and returns the figures of this run alone.
// errDropped: a connection might be missing.
func (g *grown) run(ctx context.Context, exporter string) (one grown, err error) {
	pair, err := lab.New(lab.Options{})
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, pair.Close()) }()
	e, err := proc.Start(proc.Options{Namespace: pair.B.Namespace, CPU: -1, Argv: []string{exporter, "-interface", lab.Device, "-port", metricsAddress}, Ready: "msg=starting"})
	if err != nil {
		return one, err
	}
	defer func() {
		_, stopped := e.Stop()
		err = errors.Join(err, stopped)
	}()
	resident := func(figures *[]float64) error {
		m, err := e.Memory()
		*figures = append(*figures, float64(m.All)/(1<<20))
		return err
	}
	time.Sleep(settle)
	if err := resident(&one.start); err != nil {
		return one, err
	}
	if err := send(ctx, pair.A, g.connections); err != nil {
		return one, err
	}
	time.Sleep(settle)
	if err := resident(&one.before); err != nil {
		return one, err
	}
	var size int64
	for range scrapesInARow {
		if size, err = read(pair.B.Namespace); err != nil {
			return one, err
		}
	}
	one.size = append(one.size, float64(size))
	if err := resident(&one.after); err != nil {
		return one, err
	}
	const streams, dropped = "tcp_stream_count", "capture_dropped_packets_total"
	v, err := scrape.Metrics(pair.B.Namespace, metricsAddress, streams, dropped)
	if err != nil {
		return one, err
	}
	one.streams = append(one.streams, v[streams])
	if want := float64(2 * g.connections); v[dropped] != 0 || v[streams] != want {
		return one, fmt.Errorf("%.0f streams of %.0f, %.0f dropped packets: %w", v[streams], want, v[dropped], errDropped)
	}
	return one, nil
}

// send opens the connections and has each say something.
func send(ctx context.Context, from lab.End, connections int) error {
	var g *gen.Generator
	err := from.Do(func() (err error) {
		g, err = gen.New(gen.Config{
			Interface: lab.Device, Connections: connections, Payload: 1400, ReverseShare: 1. / 3,
			Rate: memoryRate, Packets: uint64(packetsPerConnection * connections), Seed: 1, CPU: -1,
		})
		return err
	})
	if err != nil {
		return err
	}
	defer g.Close()
	if _, err = g.Run(ctx); err == nil {
		err = ctx.Err()
	}
	return err
}

// read scrapes without compression and returns the length of the answer in bytes.
func read(namespace string) (int64, error) {
	body, err := scrape.Get(namespace, metricsAddress, "/metrics")
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return io.Copy(io.Discard, body)
}
