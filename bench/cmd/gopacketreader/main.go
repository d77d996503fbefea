// Command gopacketreader is the usual way to write such an exporter in Go, to compare a capture
// with: github.com/gopacket/gopacket reads the ring and decodes the layers, and a map holds the
// streams by a key of text. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tcp-stream-exporter/bench/internal/pin"
	"tcp-stream-exporter/internal/netns"

	"github.com/gopacket/gopacket/afpacket"
	"golang.org/x/net/bpf"
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
		fmt.Fprintln(os.Stderr, "gopacketreader:", err)
		os.Exit(1)
	}
}

// ready is printed on standard error once packets are counted.
const ready = "gopacketreader: ready"

// pollTimeout bounds how long an interrupt goes unnoticed.
const pollTimeout = 100 * time.Millisecond

// drainTime bounds the reading of what is left in the ring at the end.
const drainTime = 2 * time.Second

type config struct {
	device, netns        string
	blockSize, numBlocks int
	snapLen, cpu         int
	retire, duration     time.Duration
	decode               string
}

func parse(args []string) (c config, err error) {
	f := flag.NewFlagSet("gopacketreader", flag.ContinueOnError)
	f.StringVar(&c.device, "i", "", "read from this `interface`")
	f.StringVar(&c.netns, "netns", "", "`name` of the network namespace that the interface is in (default: this one)")
	f.IntVar(&c.blockSize, "blocksize", 262144, "`bytes` of a block")
	f.IntVar(&c.numBlocks, "numblocks", 128, "how many blocks")
	f.IntVar(&c.snapLen, "snaplen", 65535, "`bytes` of each frame that the kernel copies")
	f.DurationVar(&c.retire, "retire", 64*time.Millisecond, "how long a block may stay partly filled, 1ms or more")
	f.DurationVar(&c.duration, "duration", 0, "stop after so long (0: when interrupted)")
	f.IntVar(&c.cpu, "cpu", -1, "pin the process to this CPU (-1: do not)")
	f.StringVar(&c.decode, "decode", "source", "`how`: source (from a PacketSource's channel, layers on demand), packet (gopacket.Packet, all layers, of a copy), lazy (of the ring's memory, layers on demand) or parser (DecodingLayerParser, of the ring's memory)")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() != 0:
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case c.device == "":
		return c, errors.New("no interface: give one with -i")
	case c.snapLen < 1 || c.snapLen > 1<<18:
		return c, fmt.Errorf("snap length %d is out of range: 1 to 262144 bytes", c.snapLen)
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	if c.cpu >= 0 {
		if err := pin.Process(c.cpu); err != nil {
			return err
		}
	}
	var ring *afpacket.TPacket
	open := func() (err error) {
		ring, err = c.open()
		return err
	}
	if c.netns != "" {
		err = netns.Do(c.netns, open)
	} else {
		err = open()
	}
	if err != nil {
		return err
	}
	defer ring.Close()
	read, err := newReader(c.decode, ring)
	if err != nil {
		return err
	}
	defer read.close()
	if c.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.duration)
		defer cancel()
	}
	return count(ctx, ring, read, stdout, stderr)
}

func (c *config) open() (*afpacket.TPacket, error) {
	ring, err := afpacket.NewTPacket(
		afpacket.OptInterface(c.device), afpacket.TPacketVersion3, afpacket.OptFrameSize(2048),
		afpacket.OptBlockSize(c.blockSize), afpacket.OptNumBlocks(c.numBlocks),
		afpacket.OptBlockTimeout(c.retire), afpacket.OptPollTimeout(pollTimeout))
	if err != nil {
		return nil, fmt.Errorf("ring on %q: %w", c.device, err)
	}
	cut, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: uint32(c.snapLen)}})
	if err == nil {
		err = ring.SetBPF(cut)
	}
	if err != nil {
		ring.Close()
		return nil, fmt.Errorf("filter: %w", err)
	}
	return ring, nil
}

// count reads until ctx ends and prints one line: packets read, the kernel's drops and freezes,
// CPU time of the process, and that per packet.
func count(ctx context.Context, ring *afpacket.TPacket, r *reader, stdout, stderr io.Writer) error {
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	fmt.Fprintln(stderr, ready)
	start := time.Now()
	// Once ctx has ended, read on through what the ring holds, but not for long.
	var over time.Time
	for n := 0; ; n++ {
		err := r.next()
		timeout := errors.Is(err, afpacket.ErrTimeout)
		if err != nil && !timeout {
			return fmt.Errorf("read: %w", err)
		}
		if !timeout && n%1024 != 0 || ctx.Err() == nil {
			continue
		}
		if over.IsZero() {
			over = time.Now()
		}
		if timeout || time.Since(over) > drainTime {
			break
		}
	}
	seconds := time.Since(start).Seconds()
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		return fmt.Errorf("getrusage: %w", err)
	}
	_, stats, err := ring.SocketStats()
	if err != nil {
		return fmt.Errorf("PACKET_STATISTICS: %w", err)
	}
	user := time.Duration(after.Utime.Nano() - before.Utime.Nano())
	system := time.Duration(after.Stime.Nano() - before.Stime.Nano())
	perPacket := 0.0
	if r.packets > 0 {
		perPacket = float64(user+system) / float64(r.packets)
	}
	_, err = fmt.Fprintf(stdout, "packets=%d dropped=%d freezes=%d streams=%d skipped=%d seconds=%.3f user_seconds=%.3f system_seconds=%.3f ns_per_packet=%.1f\n",
		r.packets, stats.Drops(), stats.QueueFreezes(), len(r.streams), r.skipped, seconds, user.Seconds(), system.Seconds(), perPacket)
	return err
}
