// Command demo shows the exporter at work on a machine that has no traffic to show: clients fetch from a web server
// through a router with the exporter on it, over paths with delay and loss, and Prometheus scrapes the exporter.
// Everything is in network namespaces of its own and goes with the program, whatever ends it. See docs/demo.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/netpath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

type options struct {
	exporter, rules              string
	exporterAt, prometheusAt     string
	clients                      int
	clientDelay, serverDelay     time.Duration // of a packet, each way
	clientLossTo, clientLossFrom float64       // shares of packets, on the client's leg
	duration                     time.Duration
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.StringVar(&o.exporter, "exporter", "./tcp-stream-exporter", "the exporter's `program`")
	f.StringVar(&o.rules, "rules", "deploy/prometheus", "`folder` with rules for Prometheus (*.yml); it need not exist")
	f.StringVar(&o.exporterAt, "exporter-at", "127.0.0.1:9100", "`address` on this machine where the exporter's pages are reached")
	f.StringVar(&o.prometheusAt, "prometheus-at", "127.0.0.1:9090", "the same of Prometheus")
	f.IntVar(&o.clients, "clients", 8, "`number` of clients, 1 to 200")
	f.DurationVar(&o.clientDelay, "client-delay", 10*time.Millisecond, "of each packet between clients and router, each way")
	f.DurationVar(&o.serverDelay, "server-delay", 30*time.Millisecond, "of each packet between router and server, each way")
	f.Float64Var(&o.clientLossTo, "loss-to-clients", 0.01, "`share` of the packets from the router to the clients that are lost, 0 to 0.5")
	f.Float64Var(&o.clientLossFrom, "loss-from-clients", 0.01, "`share` of the packets from the clients to the router that are lost, 0 to 0.5")
	f.DurationVar(&o.duration, "duration", 0, "end after so long (0: at Ctrl-C)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() != 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.clients < 1 || o.clients > 200:
		return o, fmt.Errorf("-clients %d: want 1 to 200", o.clients)
	case min(o.clientDelay, o.serverDelay) < 0 || max(o.clientDelay, o.serverDelay) > 10*time.Second:
		return o, errors.New("-client-delay and -server-delay: want 0 to 10s")
	case !(min(o.clientLossTo, o.clientLossFrom) >= 0 && max(o.clientLossTo, o.clientLossFrom) <= 0.5):
		return o, errors.New("-loss-to-clients and -loss-from-clients: want a share from 0 to 0.5, such as 0.01")
	}
	return o, nil
}

func (o *options) clientLeg() netpath.Config {
	return netpath.Config{Before: netpath.Half{Delay: o.clientDelay, Loss: o.clientLossFrom, ReturnLoss: o.clientLossTo}, Seed: 1}
}

func (o *options) serverLeg() netpath.Config {
	return netpath.Config{Before: netpath.Half{Delay: o.serverDelay}, Seed: 2}
}

// run shows everything until ctx ends, which is no error. When it returns, nothing is left.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root: sudo make demo")
	}
	// What keeps the demo from starting is known before anything has been made.
	var at [2]net.Listener
	for i, flag := range []struct{ name, address string }{{"-exporter-at", o.exporterAt}, {"-prometheus-at", o.prometheusAt}} {
		at[i], err = net.Listen("tcp", flag.address)
		if err != nil {
			return fmt.Errorf("%s %s: %w: choose another address, such as %[1]s 127.0.0.1:0", flag.name, flag.address, errors.Unwrap(err))
		}
		defer at[i].Close()
	}
	s, err := newScene(ctx, &o)
	if s == nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	go forward(at[0], s.router, exporterInside)
	go forward(at[1], s.router, prometheusInside)
	s.describe(out, &o, at[0].Addr().String(), at[1].Addr().String())
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	select {
	case <-ctx.Done():
	case <-s.exporterEnded:
		err = fmt.Errorf("the exporter has ended: %v: %s", s.exporter.ProcessState, s.said.last())
	case <-s.prometheus.Ended():
		err = fmt.Errorf("prometheus has ended: %s", s.prometheus.LastLine())
	}
	fmt.Fprintln(out, "removing everything")
	return err
}

// queries are those that are worth a try. docs/demo.md explains what they show.
var queries = []struct{ says, expr string }{
	{"round-trip time between router and clients, and between router and server, median in seconds",
		`histogram_quantile(0.5, sum by (leg, le) (rate(tcp_group_rtt_seconds_bucket[1m])))`},
	{"share of the segments that were sent again, by direction",
		`sum by (direction) (rate(tcp_group_retransmitted_packets_total[1m])) / sum by (direction) (rate(tcp_group_packets_total[1m]))`},
	{"gaps by direction: what was lost before it came to the router",
		`sum by (direction) (rate(tcp_group_sequence_gaps_total[1m]))`},
	{"bytes per second by direction and service",
		`sum by (direction, service) (rate(tcp_group_bytes_total[1m]))`},
	{"the three streams with most segments sent again",
		`topk(3, sum without (state) (tcp_retransmits_total))`},
	{"can the figures be trusted? 1: yes",
		`tcp_stream_exporter_capture_complete`},
}

func (s *scene) describe(out io.Writer, o *options, exporterAt, prometheusAt string) {
	fmt.Fprintf(out, `
  clients %[1]s/24 ───── %[2]v each way ───── router ───── %[3]v each way ───── web server %[4]s
                   lost: %[5]v %% to the clients,
                   %[6]v %% from the clients

exporter    http://%[7]s/
Prometheus  http://%[8]s/graph%[9]s

Queries to try:
`, clientNet, o.clientDelay, o.serverDelay, serverAddress, 100*o.clientLossTo, 100*o.clientLossFrom, exporterAt, prometheusAt, s.rulesNote)
	for _, q := range queries {
		fmt.Fprintf(out, "  # %s\n  %s\n", q.says, q.expr)
	}
	fmt.Fprintf(out, "\nA shell on the router: ip netns exec %s bash\nCtrl-C ends the demo and removes everything.\n", s.router.Namespace)
}
