package app

import (
	"context"
	"errors"
	"fmt"
	"net"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// setup holds what a capture needs at its start.
type setup struct {
	at       link
	chosen   bool // -interface was not given: at is of the default route
	ring     ring.Config
	clients  int // connections to the web server at most
	listener net.Listener
	workers  []*worker.Worker
	rings    []*ring.Ring // nil if the interface is down
}

// close closes everything. Closing rings that a capture has closed already does no harm.
func (s *setup) close() {
	if s.listener != nil {
		s.listener.Close()
	}
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
func (o *options) setUp(ctx context.Context) (*setup, error) {
	type result struct {
		setup *setup
		err   error
	}
	done := make(chan result)
	go func() {
		s, err := o.makeSetup(ctx)
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
func (o *options) makeSetup(ctx context.Context) (_ *setup, err error) {
	s := &setup{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if !o.ifaceGiven {
		s.chosen = o.chooseInterface()
	}
	if s.at, err = findLink(o.iface); err != nil {
		return nil, err
	}
	filter, err := o.compileFilter(s.at.kind)
	if err != nil {
		return nil, err
	}
	if err := o.checkMemory(); err != nil {
		return nil, err
	}
	s.ring = o.ringConfig()
	s.ring.IfIndex, s.ring.Filter, s.ring.IgnoreOutgoing = s.at.index, filter, s.at.loopback
	if err := s.ring.Validate(); err != nil {
		return nil, o.asFlags(err)
	}
	if err := capture.CheckCPUs(o.cpus, o.workers); err != nil {
		return nil, fmt.Errorf("%s: %w", o.flag("cpus"), err)
	}
	if s.clients, err = o.clientBound(); err != nil {
		return nil, err
	}
	if s.listener, err = o.listen(); err != nil {
		return nil, err
	}
	if s.workers, err = o.newWorkers(); err != nil {
		return nil, err
	}
	if s.rings, err = ring.OpenGroup(ctx, s.ring, o.workers); err != nil && !errors.Is(err, ring.ErrDown) {
		return nil, o.asFlags(err)
	}
	return s, nil
}
