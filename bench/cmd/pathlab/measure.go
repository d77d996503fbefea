package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/bench/netpath"
)

// result holds everybody's counts in one scenario.
type result struct {
	scenario
	truth    netpath.Truth
	late     netpath.Lateness
	kernel   uint64 // TcpRetransSegs
	exporter verdict
	tshark   *verdict // nil: not run, or there is no tshark
}

// measure runs a scenario.
func (c *config) measure(ctx context.Context, s scenario) (r *result, err error) {
	file, keep, err := c.captureFile(s)
	if err != nil {
		return nil, err
	}
	if !keep {
		defer os.Remove(file.Name())
	}
	defer file.Close()
	s.path.Seed, s.path.Capture = c.seed, file

	r = &result{scenario: s}
	if err := c.traffic(ctx, s, r); err != nil {
		return nil, err
	}
	if !c.live {
		if r.exporter, err = readCapture(ctx, c.exporter, file.Name()); err != nil {
			return nil, err
		}
	}
	if c.tshark {
		r.tshark, err = tsharkVerdict(ctx, file.Name())
	}
	return r, err
}

func (c *config) captureFile(s scenario) (file *os.File, keep bool, err error) {
	if c.captures == "" {
		file, err = os.CreateTemp("", "pathlab-*.pcap")
		return file, false, err
	}
	name := strings.NewReplacer("/", "_", " ", "-", "%", "").Replace(s.name) + ".pcap"
	file, err = os.Create(filepath.Join(c.captures, name))
	return file, true, err
}

// traffic sends over the path and reads the counts that go with it.
func (c *config) traffic(ctx context.Context, s scenario, r *result) (err error) {
	l, err := newLine(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var e *liveExporter
	if c.live {
		at := map[end]lab.End{atSender: l.sender, atReceiver: l.receiver}[s.at]
		if e, err = startExporter(c.exporter, at); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, e.stop()) }()
	}
	before, err := l.retransSegs()
	if err != nil {
		return err
	}
	if err := l.sendIperf(ctx, s.length(c.seconds), c.mbits, c.congestion); err != nil {
		return err
	}
	if err := l.quiet(); err != nil {
		return err
	}
	// Before the scrapes: their connections are the namespace's too.
	after, err := l.retransSegs()
	if err != nil {
		return err
	}
	r.kernel = after - before
	if drops, err := l.deviceDrops(); err != nil || drops != 0 {
		return errors.Join(err, fmt.Errorf("%s of the sender dropped %d packets, want 0", device, drops))
	}
	if e != nil {
		s, err := e.settle()
		if err != nil {
			return err
		}
		r.exporter = s.verdict()
	}
	r.truth, r.late, err = l.stop()
	return err
}

// Tolerances of the exporter's figures: a share of the truth, or so many segments if that is more.
const (
	againShare, againLeast         = 0.02, 2
	overtakenShare, overtakenLeast = 0.005, 1
)

// noticeable returns the number of repairs that an observer at the point can distinguish from new segments.
func (r *result) noticeable() uint64 { return r.truth.Again - r.truth.Unnoticeable }

// complaints returns the counts that disagree.
func (r *result) complaints() (all []string) {
	off := func(what string, seen, want uint64, share, least float64) {
		if d, limit := float64(seen)-float64(want), max(least, share*float64(want)); d > limit || -d > limit {
			all = append(all, fmt.Sprintf("%s: %d, want %d ± %g", what, seen, want, limit))
		}
	}
	off(familyAgain, r.exporter.again, r.noticeable(), againShare, againLeast)
	off(familyOvertaken, r.exporter.overtaken, r.truth.Overtaken, overtakenShare, overtakenLeast)
	// The kernel counts what it sends, the truth what passes the point: what is lost on the way to it
	// makes the difference, and nothing else does.
	off("TcpRetransSegs", r.kernel, r.truth.Again+r.truth.AgainLost, 0, 0)
	return all
}

// busy ends the note on a path that did not keep its own times.
const busy = "the machine is busy"

// notes returns possible reasons of the complaints; none without complaints.
func (r *result) notes() (all []string) {
	if len(r.complaints()) == 0 {
		return nil
	}
	roundTrip := r.path.RoundTrip()
	if late := r.late.Share(0.99); late > max(500*time.Microsecond, roundTrip/4) {
		all = append(all, fmt.Sprintf("one packet in a hundred was late by %v or more on a round trip of %v: %s", late, roundTrip, busy))
	}
	return all
}
