// Command tcpgen sends TCP traffic of many connections out of one virtual interface and prints
// exact counts of what it sent. See the README of this module.
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
	"syscall"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/internal/netns"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tcpgen:", err)
		os.Exit(1)
	}
}

type options struct {
	gen.Config
	netns     string
	perStream string
	json      bool
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("tcpgen", flag.ContinueOnError)
	f.StringVar(&o.Interface, "i", "", "send out of this `interface` (veth, dummy, ifb or lo)")
	f.StringVar(&o.netns, "netns", "", "`name` of the network namespace that the interface is in (default: this one)")
	f.BoolVar(&o.Force, "force", false, "allow other interfaces than virtual ones")
	f.IntVar(&o.Connections, "connections", 1000, "connections open at once; each is two streams")
	f.IntVar(&o.Payload, "payload", 1400, "TCP payload of a data packet in `bytes`")
	f.IntVar(&o.Burst, "burst", 1, "data packets of one connection in a row, cut from one by the kernel; needs the interface's offloads off")
	f.BoolVar(&o.MidStream, "midstream", false, "no handshakes: connections begin with data")
	f.BoolVar(&o.OneWay, "one-way", false, "only the clients' packets")
	f.Float64Var(&o.OpenRate, "new-per-second", 0, "open so many connections per second until all are open (0: as fast as it goes)")
	f.Float64Var(&o.Churn, "churn", 0, "close so many connections per second, each replaced by a new one")
	f.Float64Var(&o.ResetShare, "rst", 0, "`share` of closed connections that end with RST instead of FIN, 0 to 1")
	f.BoolVar(&o.CloseAtEnd, "close-at-end", false, "close all connections at the end, on top of -packets and -duration")
	f.Var(&o.Order, "order", "whose turn it is: `roundrobin, uniform or elephants`")
	f.IntVar(&o.Elephants, "elephants", 8, "with -order elephants: how many connections are heavy")
	f.Float64Var(&o.ElephantShare, "elephant-share", 0.8, "with -order elephants: `share` of the packets that they get, 0 to 1")
	f.Float64Var(&o.ReverseShare, "reverse", 1.0/3, "`share` of ACK packets from the servers in established traffic, 0 to 0.5")
	f.Float64Var(&o.FloodShare, "syn-flood", 0, "`share` of all packets that are SYNs from random sources; 1: nothing else")
	f.Float64Var(&o.ForgeShare, "forge", 0, "`share` of established traffic that is forged in a client's name")
	f.Float64Var(&o.Rate, "rate", 0, "packets per second (0: as fast as it goes)")
	f.Uint64Var(&o.Packets, "packets", 0, "stop after so many packets (0: no limit)")
	f.DurationVar(&o.Duration, "duration", 0, "stop after so long (0: no limit)")
	f.Uint64Var(&o.Seed, "seed", 1, "addresses, ports, sequence numbers and random choices follow from it")
	f.BoolVar(&o.Truncate, "truncate", false, "send headers only, while the IPv4 total length claims the payload")
	checksum := f.Bool("tcp-checksum", true, "fill in the TCP checksum")
	mac := f.String("dst-mac", "", "destination `address` (default: one that the receiving end does not own)")
	f.Var(&o.Method, "method", "`sendmmsg or txring`")
	f.BoolVar(&o.Qdisc, "qdisc", false, "send through the qdisc layer instead of around it")
	f.IntVar(&o.CPU, "cpu", -1, "pin the sending thread to this CPU (-1: do not)")
	f.StringVar(&o.perStream, "per-stream", "", "write the counts of each stream to this `file`, separated by tabs")
	f.BoolVar(&o.json, "json", false, "print the counts as JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() != 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.Interface == "" {
		return o, errors.New("no interface: give one with -i")
	}
	o.NoTCPChecksum = !*checksum
	o.KeepStreams = o.perStream != ""
	if *mac != "" {
		if o.DestMAC, err = net.ParseMAC(*mac); err != nil {
			return o, fmt.Errorf("-dst-mac: %w", err)
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	var g *gen.Generator
	open := func() (err error) {
		g, err = gen.New(o.Config)
		return err
	}
	if o.netns != "" {
		err = netns.Do(o.netns, open)
	} else {
		err = open()
	}
	if err != nil {
		return err
	}
	defer g.Close()
	report, err := g.Run(ctx)
	if o.json {
		fmt.Fprintln(stdout, report.JSON())
	} else {
		fmt.Fprintln(stdout, report.Line())
	}
	if err == nil && o.perStream != "" {
		err = writeStreams(o.perStream, g)
	}
	return err
}

func writeStreams(path string, g *gen.Generator) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("-per-stream: %w", err)
	}
	if err := errors.Join(g.WriteStreams(f), f.Close()); err != nil {
		return fmt.Errorf("-per-stream: %w", err)
	}
	return nil
}
