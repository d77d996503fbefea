package app

import (
	"fmt"
	"io"
	"log/slog"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/check"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/worker"
)

// checkCapture is -check: it tells on stdout what a capture with these flags would find. The error is the reason why it
// would not work. It binds no address, so that it can run beside an exporter.
func (o *options) checkCapture(stdout io.Writer) error {
	s := &setup{}
	if err := o.prepare(s, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if s.absent {
		return fmt.Errorf("%s: there is no such interface yet: the exporter would start and wait for it, and capture nothing until then: make it, or use one that exists",
			withValue("interface", o.iface))
	}
	interfaces, err := o.captured(s)
	if err != nil {
		return err
	}
	o.promiscuous = false // s.ring says what was given
	var begin func(*capture.Workers)
	if s.lines != nil {
		begin = func(g *capture.Workers) { s.lines.begin(g) }
	}
	out := &checkedWriter{to: stdout}
	err = check.Run(check.Config{
		Interfaces: interfaces, Named: withValue("interface", o.iface), Ring: s.ring, Workers: o.workers, CPUs: o.cpus,
		MaxConnections: o.maxConnections, ConnectionBytes: o.connectionBytes(), Direction: o.direction, IPv6: o.ipv6, ByVLAN: o.byVLAN, Tunnels: o.tunnels,
		NewWorkers: func() ([]*worker.Worker, error) { return o.newWorkers(nil) },
		NewWorker:  func(connections int) (*worker.Worker, error) { return o.newWorker(connections, nil) },
		Begin:      begin, Clock: clocks, Time: check.Time,
	}, out)
	if out.err != nil {
		return outputError{"the check", out.err}
	}
	return o.asFlags(err)
}

// captured returns the interfaces that are captured now.
func (o *options) captured(s *setup) (captured []netif.Interface, err error) {
	all, err := netif.List()
	if err != nil {
		return nil, lookFailed(o.iface, err)
	}
	for _, i := range all {
		if s.lines == nil && i.Index == s.at.index || s.lines != nil && o.selection.Match(i.Name) {
			captured = append(captured, i)
		}
	}
	return captured, nil
}

// checkedWriter keeps the error of a write.
type checkedWriter struct {
	to  io.Writer
	err error
}

func (w *checkedWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil {
		w.err = err
	}
	return n, err
}
