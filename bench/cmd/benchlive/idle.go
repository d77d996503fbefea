package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

// idleWarmUp is the time between the exporter's start and the measurement at rest.
const idleWarmUp = 2 * time.Second

// idle holds the exporter's cost on a silent interface, with default sizes.
type idle struct {
	startUp  []time.Duration // from its start to the first scrape that was answered
	share    float64         // of a core
	switches float64         // to any of its threads, per second
	length   time.Duration
}

// measureIdle starts the exporter some times, and once lets it rest. It may use any CPU.
func (b *bench) measureIdle(ctx context.Context) (i *idle, err error) {
	i = &idle{length: b.idle}
	argv := []string{b.exporter, "-interface", lab.Device, "-port", metricsAddress}
	for n := range b.runs {
		start := time.Now()
		p, err := proc.Start(proc.Options{Namespace: b.pair.B.Namespace, CPU: -1, Argv: argv})
		if err != nil {
			return nil, err
		}
		err = scrape.Await(b.pair.B.Namespace, metricsAddress, readyTimeout)
		i.startUp = append(i.startUp, time.Since(start))
		if err == nil && n == 0 {
			err = i.rest(ctx, p)
		}
		if _, e := p.Stop(); err == nil {
			err = e
		}
		if err != nil {
			return nil, err
		}
	}
	return i, nil
}

// rest measures the exporter while nothing happens.
func (i *idle) rest(ctx context.Context, p *proc.Proc) error {
	time.Sleep(idleWarmUp)
	cpu, err := p.CPU()
	if err != nil {
		return err
	}
	switches, err := p.Switches()
	if err != nil {
		return err
	}
	start := time.Now()
	select {
	case <-time.After(i.length):
	case <-ctx.Done():
		return ctx.Err()
	}
	seconds := time.Since(start).Seconds()
	cpuEnd, err := p.CPU()
	if err != nil {
		return err
	}
	switchesEnd, err := p.Switches()
	if err != nil {
		return err
	}
	i.share = (cpuEnd - cpu).Seconds() / seconds
	i.switches = float64(switchesEnd-switches) / seconds
	return nil
}

func (i *idle) print(w io.Writer) error {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond)) }
	sorted := slices.Sorted(slices.Values(i.startUp))
	var b strings.Builder
	fmt.Fprintf(&b, "| the exporter with default sizes | |\n|---|---:|\n")
	fmt.Fprintf(&b, "| silent interface, %v: of a core | %.2f %% |\n", i.length, 100*i.share)
	fmt.Fprintf(&b, "| switches to its threads, wanted or not | %.1f per second |\n", i.switches)
	fmt.Fprintf(&b, "| start to first answered scrape, median of %d (lowest to highest) | %s (%s to %s) |\n\n", len(sorted),
		ms(sorted[len(sorted)/2]), ms(sorted[0]), ms(sorted[len(sorted)-1]))
	_, err := io.WriteString(w, b.String())
	return err
}
