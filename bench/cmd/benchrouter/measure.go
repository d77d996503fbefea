package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/internal/netdev"
	"tcp-stream-exporter/bench/internal/proc"
	"tcp-stream-exporter/bench/internal/scrape"
	"tcp-stream-exporter/bench/lab"
)

const (
	connections = 1000
	// settleTime is how long watchers get for what is left in their rings: more than the default -retire-timeout. On a
	// busy machine that may be too short: a turn whose watchers were stopped too early is made again, with twice the
	// time, and at most settleTries times.
	settleTime   = 150 * time.Millisecond
	settleTries  = 5
	readyTimeout = 10 * time.Second
)

// series are the runs of one contender, a round each.
type series struct {
	contender
	runs []*outcome
}

// outcome holds the figures of one turn.
type outcome struct {
	packets float64 // forwarded in the window
	seconds float64 // that the window took
	softirq float64 // seconds of the router's CPU in softirqs, in the window; counted in ticks
	cpu     float64 // seconds of the watchers' CPU time, in the window
	memory  proc.Memory

	// Of the whole turn, in frames: a super-packet is one.
	forwarded, taken, dropped uint64
}

func (o *outcome) rate() float64 { return o.packets / o.seconds }

// per returns seconds as ns for each forwarded packet.
func (o *outcome) per(seconds float64) float64 { return seconds * 1e9 / max(o.packets, 1) }

func (o *outcome) String() string {
	return fmt.Sprintf("%.0f packets/s forwarded, watchers took %d frames of %d, dropped %d", o.rate(), o.taken, o.forwarded, o.dropped)
}

// measure makes a router and gives every contender its turn in every round, each round beginning with another one.
func (c *config) measure(ctx context.Context, l load, log io.Writer) (all []*series, err error) {
	router, err := lab.NewRouter(lab.RouterOptions{SuperPackets: l.superPackets})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, router.Close()) }()
	for _, contender := range c.contenders {
		all = append(all, &series{contender: contender})
	}
	for round := range c.rounds {
		for i := range all {
			s := all[(i+round)%len(all)]
			o, err := c.turn(ctx, router, l, s.contender)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", l.name, s.name, err)
			}
			s.runs = append(s.runs, o)
			fmt.Fprintf(log, "round %d, %s, %s: %s\n", round+1, l.name, s.name, o)
		}
	}
	return all, nil
}

// turn measures one contender once.
func (c *config) turn(ctx context.Context, router *lab.Router, l load, by contender) (o *outcome, err error) {
	settle := settleTime
	for range settleTries {
		o, err = c.attempt(ctx, router, l, by, settle)
		if err != nil || o.taken+o.dropped >= uint64(by.copies)*o.forwarded {
			return o, err
		}
		settle *= 2
	}
	return o, nil
}

func (c *config) attempt(ctx context.Context, router *lab.Router, l load, by contender, settle time.Duration) (o *outcome, err error) {
	var running []*proc.Proc
	stopped := false
	defer func() {
		for _, p := range running {
			if !stopped {
				_, _ = p.Stop() // there is an error already
			}
		}
	}()
	for _, w := range by.watchers(c) {
		p, err := start(router, w)
		if err != nil {
			return nil, err
		}
		running = append(running, p)
	}
	atStart, err := netdev.Received(router.Receiver, lab.Device)
	if err != nil {
		return nil, err
	}
	stop, err := c.send(ctx, router, l)
	if err != nil {
		return nil, err
	}
	time.Sleep(c.warm)
	o, err = c.count(router, l, running)
	if err := errors.Join(err, stop(), ctx.Err()); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	atEnd, err := netdev.Received(router.Receiver, lab.Device)
	if err != nil {
		return nil, err
	}
	o.forwarded = atEnd.Sub(atStart).Packets
	stopped = true
	for _, p := range running {
		line, e := p.Stop()
		if line == "" { // the exporter's last words are in its log
			line = p.LastLine()
		}
		taken, e1 := field(line, "packets")
		dropped, e2 := field(line, "dropped")
		err = errors.Join(err, e, e1, e2)
		o.taken += taken
		o.dropped += dropped
	}
	return o, err
}

func start(router *lab.Router, w watcher) (*proc.Proc, error) {
	p, err := proc.Start(proc.Options{Namespace: router.In.Namespace, CPU: watcherCPU, Argv: w.argv, Ready: w.ready})
	if err != nil || w.address == "" {
		return p, err
	}
	if err := scrape.Await(router.In.Namespace, w.address, readyTimeout); err != nil {
		_, stopErr := p.Stop()
		return nil, errors.Join(err, stopErr)
	}
	return p, nil
}

// send starts the generator, as fast as it goes; stop ends it and waits for that.
func (c *config) send(ctx context.Context, router *lab.Router, l load) (stop func() error, err error) {
	var g *gen.Generator
	err = router.Sender.Do(func() (err error) {
		g, err = gen.New(gen.Config{
			Interface: lab.Device, Connections: connections, Payload: l.payload, Burst: l.burst, MidStream: true, OneWay: true,
			Seed: 1, CPU: routerCPU, DestMAC: router.In.MAC,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := g.Run(ctx)
		ended <- errors.Join(err, g.Close())
	}()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// reading holds counters at one end of the window.
type reading struct {
	at      time.Time
	device  netdev.Counters
	softirq float64
	cpu     time.Duration
}

func read(router *lab.Router, running []*proc.Proc) (r reading, err error) {
	if r.softirq, err = softirqSeconds(routerCPU); err != nil {
		return r, err
	}
	for _, p := range running {
		cpu, err := p.CPU()
		if err != nil {
			return r, err
		}
		r.cpu += cpu
	}
	r.device, err = netdev.Received(router.Receiver, lab.Device)
	r.at = time.Now()
	return r, err
}

// count counts for the length of the window.
func (c *config) count(router *lab.Router, l load, running []*proc.Proc) (*outcome, error) {
	from, err := read(router, running)
	if err != nil {
		return nil, err
	}
	time.Sleep(c.window)
	to, err := read(router, running)
	if err != nil {
		return nil, err
	}
	o := &outcome{
		packets: float64(to.device.Sub(from.device).Segments(l.payload)), seconds: to.at.Sub(from.at).Seconds(),
		softirq: to.softirq - from.softirq, cpu: (to.cpu - from.cpu).Seconds(),
	}
	for _, p := range running {
		m, err := p.Memory()
		if err != nil {
			return nil, err
		}
		o.memory.All += m.All
		o.memory.Ring += m.Ring
	}
	return o, nil
}

// softirqSeconds reads how long a CPU has been in softirqs: the seventh figure of its line in /proc/stat, in ticks of
// 10 ms (proc(5); USER_HZ is 100 on all processors that Go knows).
func softirqSeconds(cpu int) (float64, error) {
	const figure, userHZ = 7, 100
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > figure && fields[0] == "cpu"+strconv.Itoa(cpu) {
			ticks, err := strconv.ParseUint(fields[figure], 10, 64)
			return float64(ticks) / userHZ, err
		}
	}
	return 0, fmt.Errorf("/proc/stat has no line of CPU %d", cpu)
}

// field reads one figure from a line of key=value.
func field(line, key string) (uint64, error) {
	for f := range strings.FieldsSeq(line) {
		if value, ok := strings.CutPrefix(f, key+"="); ok {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("a watcher's last line has no %s: %q", key, line)
}
