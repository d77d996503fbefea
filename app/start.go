package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// setup holds what a capture needs at its start.
type setup struct {
	at        link
	lines     *lines // where several interfaces are captured; or nil
	chosen    bool   // -interface was not given: at is of the default route
	absent    bool   // no interface bears at's name yet
	ring      ring.Config
	clients   int // connections to the web server at most
	listeners []net.Listener
	workers   []*worker.Worker
	rings     []*ring.Ring // nil if the interface is down or absent

	groups     *group.Set
	groupsFile fileState // when groups was read
}

// groupsError is bad input in the file of groups at the start.
type groupsError struct{ error }

func (e groupsError) Unwrap() error { return e.error }

// close closes everything. Closing rings that a capture has closed already does no harm.
func (s *setup) close() {
	closeListeners(s.listeners)
	for _, r := range s.rings {
		r.Close()
	}
	for _, w := range s.workers {
		w.Close()
	}
}

// setUp makes the setup, unless ctx ends first: then it returns ctx's error at once. The kernel may need
// half a minute for gigabytes of rings, and looking up a name in -port as long; neither can be cancelled. What
// they return after that is closed.
func (o *options) setUp(ctx context.Context, log *slog.Logger) (*setup, error) {
	type result struct {
		setup *setup
		err   error
	}
	done := make(chan result)
	go func() {
		s, err := o.makeSetup(ctx, log)
		select {
		case done <- result{s, err}:
		case <-ctx.Done():
			if err == nil {
				s.close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.setup, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// makeSetup does the work of setUp. It leaves nothing open after an error.
func (o *options) makeSetup(ctx context.Context, log *slog.Logger) (_ *setup, err error) {
	s := &setup{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.groups, s.groupsFile, err = o.groups.load(); err != nil {
		return nil, groupsError{err}
	}
	if err = o.prepare(s, log); err != nil {
		return nil, err
	}
	if s.listeners, err = o.web.listenAll(); err != nil {
		return nil, err
	}
	if s.workers, err = o.newWorkers(s.groups); err != nil {
		return nil, err
	}
	if s.absent {
		return s, nil
	}
	if s.rings, err = ring.OpenGroup(ctx, s.ring, o.workers); err != nil && !errors.Is(err, ring.ErrDown) {
		return nil, o.asFlags(err)
	}
	return s, nil
}

// prepare fills in what can be known before anything is opened.
func (o *options) prepare(s *setup, log *slog.Logger) error {
	filter, err := o.choose(s, log)
	if err != nil {
		return err
	}
	if err := o.checkMemory(); err != nil {
		return err
	}
	s.ring = o.ringConfig()
	if o.workers > 1 {
		if s.ring.Fanout, err = pcapfilter.Fanout(o.tunnels != 0); err != nil {
			return fmt.Errorf("%s: %w", o.flag("workers"), err)
		}
	}
	o.aim(&s.ring, s.at, filter)
	if err := s.ring.Validate(); err != nil {
		return o.asFlags(err)
	}
	if err := capture.CheckCPUs(o.cpus, o.workers); err != nil {
		return fmt.Errorf("%s: %w", o.flag("cpus"), err)
	}
	s.clients, err = o.clientBound()
	return err
}

// choose finds what is to be captured, and compiles the filter for it.
func (o *options) choose(s *setup, log *slog.Logger) (filter []bpf.RawInstruction, err error) {
	if o.selection.String() != "" {
		all, err := netif.List()
		if err != nil {
			return nil, lookFailed(o.iface, err)
		}
		if s.lines, err = newLines(o, log); err != nil {
			return nil, err
		}
		if err := s.lines.check(all); err != nil {
			return nil, err
		}
		s.at = link{name: o.iface, up: true}
		return s.lines.start(all), nil
	}
	if !o.ifaceGiven {
		s.chosen = o.chooseInterface()
	}
	s.at, err = findLink(o.iface)
	if absent := noInterface(""); o.wait && errors.As(err, &absent) {
		s.at, s.absent, err = link{name: o.iface, kind: pcapfilter.EN10MB}, true, nil
	}
	switch {
	case err != nil:
		return nil, err
	case s.at.loopback && o.direction == sent:
		return nil, fmt.Errorf("%s: what is sent on %s arrives on it too, and is counted then: use in or both", o.flag("direction"), o.iface)
	}
	return o.compileFilter(s.at.kind)
}

// aim has a ring capture from an interface.
func (o *options) aim(cfg *ring.Config, at link, filter []bpf.RawInstruction) {
	if at.index != 0 { // there is one, and its kind is known
		o.filter.use(at.kind)
	}
	cfg.IfIndex, cfg.Filter = at.index, filter
	cfg.IgnoreOutgoing = at.loopback || o.direction == arriving
	cfg.Promiscuous = o.promiscuous
}
