// Command ringwalk is the bare reader to compare a capture with: it walks a TPACKET_V3 ring,
// touches the headers of each frame, counts, waits as the exporter does, and does nothing else. See the README of this module.
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
	"runtime"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/internal/filterfile"
	"tcp-stream-exporter/bench/internal/pin"
	"tcp-stream-exporter/bench/walk"
	"tcp-stream-exporter/internal/netns"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ringwalk:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c walk.Config
	f := flag.NewFlagSet("ringwalk", flag.ContinueOnError)
	device := f.String("i", "", "read from this `interface`")
	namespace := f.String("netns", "", "`name` of the network namespace that the interface is in (default: this one)")
	f.IntVar(&c.BlockSize, "blocksize", 262144, "`bytes` of a block")
	f.IntVar(&c.NumBlocks, "numblocks", 128, "how many blocks")
	f.IntVar(&c.SnapLen, "snaplen", 192, "`bytes` of each frame that the kernel copies")
	f.DurationVar(&c.RetireTov, "retire", 0, "how long a block may stay partly filled (0: the kernel chooses)")
	duration := f.Duration("duration", 0, "stop after so long (0: when interrupted)")
	poll := f.Bool("poll", false, "wait for each block, as a plain program does, instead of sleeping over several as the exporter does")
	filter := f.String("filter", "", "attach the program in this `file`, as tcpdump -ddd prints it; -snaplen has no effect then")
	cpu := f.Int("cpu", -1, "pin the process to this CPU (-1: do not)")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *device == "" {
		return errors.New("no interface: give one with -i")
	}
	if *filter != "" {
		var err error
		if c.Filter, err = filterfile.Read(*filter); err != nil {
			return fmt.Errorf("-filter: %w", err)
		}
	}
	if *cpu >= 0 {
		if err := pin.Process(*cpu); err != nil {
			return err
		}
	}
	var ring *walk.Ring
	open := func() error {
		ifi, err := net.InterfaceByName(*device)
		if err != nil {
			return fmt.Errorf("interface %q: %w", *device, err)
		}
		c.IfIndex = ifi.Index
		ring, err = walk.Open(c)
		return err
	}
	var err error
	if *namespace != "" {
		err = netns.Do(*namespace, open)
	} else {
		err = open()
	}
	if err != nil {
		return err
	}
	defer ring.Close()
	if *duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	return walkRing(ctx, ring, c, *poll, stdout, stderr)
}

// ready is printed on standard error once packets are counted.
const ready = "ringwalk: ready"

// pollTimeout bounds how long an interrupt goes unnoticed.
const pollTimeout = 100 * time.Millisecond

// walkRing counts until ctx ends and prints one line: packets walked, the kernel's drops and
// freezes, CPU time of the process, and that per packet.
func walkRing(ctx context.Context, ring *walk.Ring, c walk.Config, poll bool, stdout, stderr io.Writer) error {
	sleeper, err := walk.NewSleeper()
	if err != nil {
		return err
	}
	defer sleeper.Close()
	if poll { // a sleeping goroutine that is locked to its thread takes two more switches
		runtime.LockOSThread()
	}
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	fmt.Fprintln(stderr, ready)
	start := time.Now()
	var naps walk.Naps
	var packets, blocks, sum uint64
	// Once ctx has ended, walk on through what the ring holds, its last, partly filled block
	// included: at most one round.
	left := ring.Blocks() + 1
	for left > 0 {
		over := ctx.Err() != nil
		if over {
			left--
		}
		b, ok := ring.Next()
		if !ok {
			nap := time.Duration(0)
			if !poll && !over {
				nap = naps.Next(time.Now(), blocks, c)
			}
			if nap > 0 {
				err = sleeper.Sleep(nap)
			} else {
				err = ring.Wait(pollTimeout)
			}
			if err != nil {
				return err
			}
			if over {
				left = min(left, 1)
			}
			continue
		}
		var f walk.Frame
		for b.Next(&f) {
			packets++
			if len(f.Data) > tcpFlagsAt {
				sum += uint64(f.Data[ipv4SourceAt]) + uint64(f.Data[tcpFlagsAt])
			}
		}
		ring.Release()
		blocks++
	}
	seconds := time.Since(start).Seconds()
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	stats, err := ring.Stats()
	if err != nil {
		return err
	}
	user := time.Duration(after.Utime.Nano() - before.Utime.Nano())
	system := time.Duration(after.Stime.Nano() - before.Stime.Nano())
	perPacket := 0.0
	if packets > 0 {
		perPacket = float64(user+system) / float64(packets)
	}
	_, err = fmt.Fprintf(stdout, "packets=%d dropped=%d freezes=%d blocks=%d seconds=%.3f user_seconds=%.3f system_seconds=%.3f ns_per_packet=%.1f touched=%d\n",
		packets, stats.Drops, stats.Freezes, blocks, seconds, user.Seconds(), system.Seconds(), perPacket, sum)
	return err
}

// One byte of the IPv4 header and one of the TCP header behind Ethernet: what every reader has
// to load at least.
const (
	ipv4SourceAt = 14 + 12
	tcpFlagsAt   = 14 + 20 + 13
)
