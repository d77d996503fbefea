package gen

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Source address of all frames, and the destination unless Config.DestMAC is set: locally
// administered and unlike any address the kernel draws for a veth (those are random, and these
// would be one in 2^46). To the receiving end's IP stack the frames are therefore another host's
// (PACKET_OTHERHOST), and it drops them, instead of answering each with a RST; packet sockets
// see them all the same.
var (
	sourceMAC = [6]byte{0x02, 0x00, 0x5e, 0x10, 0x00, 0x01}
	destMAC   = [6]byte{0x02, 0x00, 0x5e, 0x10, 0x00, 0x02}
)

// Generator sends one run of traffic. Make it with New; close it with Close.
type Generator struct {
	cfg    Config
	source *source
	sender sender
}

// New checks cfg and the interface, both with errors that have the remedy, and opens the
// socket in the network namespace of the calling thread.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Burst = max(cfg.Burst, 1)
	ipLen := ipv4Len + tcpLen + max(synOptionsLen, cfg.Payload)
	mtu := ipLen
	if cfg.Truncate {
		mtu = ipv4Len + tcpLen + synOptionsLen
	}
	ifi, err := checkInterface(cfg.Interface, cfg.Force, mtu)
	if err != nil {
		return nil, err
	}
	fd, err := openSocket(ifi.Index, cfg.Qdisc || cfg.Burst > 1)
	if err != nil {
		return nil, err
	}
	dst := destMAC
	copy(dst[:], cfg.DestMAC)
	ether := func(b []byte) { putEther(b, dst, sourceMAC) }
	g := &Generator{cfg: cfg, source: newSource(cfg)}
	switch frameLen := etherLen + ipLen; {
	case cfg.Method == MethodTXRing:
		g.sender, err = newTXRingSender(fd, frameLen, ether)
	case cfg.Burst > 1:
		g.sender, err = newBurstSender(fd, ifi.Name, cfg.Payload, cfg.Burst*cfg.Payload, ether)
	default:
		g.sender = newMmsgSender(fd, frameLen, ether)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return g, nil
}

// Close closes the socket. Counts and streams stay readable.
func (g *Generator) Close() error { return g.sender.close() }

// Run sends until ctx ends or a limit of the configuration is reached, whichever comes first,
// and reports what it sent; an end by ctx is not an error. With an error the report is of what
// was sent up to it.
func (g *Generator) Run(ctx context.Context) (Report, error) {
	type outcome struct {
		r   Report
		err error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, pinned or not, ends with the goroutine
		r, err := g.run(ctx)
		done <- outcome{r, err}
	}()
	o := <-done
	return o.r, o.err
}

func (g *Generator) run(ctx context.Context) (r Report, err error) {
	if g.cfg.CPU >= 0 {
		var set unix.CPUSet
		set.Set(g.cfg.CPU)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return Report{}, fmt.Errorf("gen: pin to CPU %d: %w", g.cfg.CPU, err)
		}
	}
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &before); err != nil {
		return Report{}, fmt.Errorf("gen: getrusage: %w", err)
	}
	start := time.Now()
	unsent, err := g.loop(ctx, start)
	seconds := time.Since(start).Seconds()
	if e := unix.Getrusage(unix.RUSAGE_THREAD, &after); e != nil && err == nil {
		err = fmt.Errorf("gen: getrusage: %w", e)
	}
	r = Report{
		Counts:        g.source.counts,
		Seconds:       seconds,
		UserSeconds:   cpuSeconds(after.Utime) - cpuSeconds(before.Utime),
		SystemSeconds: cpuSeconds(after.Stime) - cpuSeconds(before.Stime),
		Retries:       g.sender.retries(),
		Unsent:        unsent,
	}
	if seconds > 0 {
		r.PPS = float64(r.Packets) / seconds
	}
	return r, err
}

func cpuSeconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// maxLag bounds how much of the rate is made up for after a pause of the thread, so that a pause does
// not end in a burst that only tests the receiver's ring.
const maxLag = 20 * time.Millisecond

// loop sends batch after batch. It returns how many packets were counted but not sent.
func (g *Generator) loop(ctx context.Context, start time.Time) (unsent uint64, err error) {
	pace := pace{since: start}
	lens := make([]length, 0, mmsgBatch+txBatch)
	for {
		elapsed := time.Since(start)
		over := ctx.Err() != nil ||
			g.cfg.Duration > 0 && elapsed >= g.cfg.Duration ||
			g.cfg.Packets > 0 && g.source.counts.Packets >= g.cfg.Packets
		if over && !g.source.ending {
			if exact := g.cfg.Packets > 0 && g.source.counts.Packets >= g.cfg.Packets; exact && !g.cfg.CloseAtEnd {
				return 0, nil
			}
			g.source.end(g.cfg.CloseAtEnd)
		}
		due := math.MaxInt
		if g.cfg.Rate > 0 {
			now := time.Now()
			due = g.due(&pace, now)
			if due == 0 {
				pause(g.untilDue(&pace, now))
				continue
			}
		}
		if g.cfg.Packets > 0 && !g.source.ending {
			due = int(min(uint64(due), g.cfg.Packets-g.source.counts.Packets))
		}
		g.source.allow(elapsed.Seconds())
		frames, err := g.sender.batch()
		if err != nil {
			return 0, err
		}
		lens = lens[:0]
		before := g.source.counts.Packets
		for i := 0; i < len(frames) && due > 0; i++ {
			n := g.source.next(frames[i], due)
			if n.head == 0 {
				break
			}
			lens = append(lens, n)
			due -= g.packets(n)
		}
		if len(lens) == 0 {
			if g.source.ending {
				return 0, nil
			}
			pause(shortPause) // nothing to send before time has passed: the next connection is not due
			continue
		}
		pace.sent += g.source.counts.Packets - before
		if sent, err := g.sender.send(lens); err != nil {
			for _, n := range lens[sent:] {
				unsent += uint64(g.packets(n))
			}
			return unsent, err
		}
	}
}

// packets returns the number of packets that a frame becomes on the wire.
func (g *Generator) packets(n length) int {
	if n.payload <= g.cfg.Payload {
		return 1
	}
	return (n.payload + g.cfg.Payload - 1) / g.cfg.Payload
}

// pace keeps a rate: how much was sent since when. since moves on when the rate could not be kept.
type pace struct {
	since time.Time
	sent  uint64
}

// due returns the number of packets that the rate allows at now.
func (g *Generator) due(p *pace, now time.Time) int {
	since := now.Sub(p.since)
	n := g.cfg.Rate*since.Seconds() - float64(p.sent)
	if most := max(g.cfg.Rate*maxLag.Seconds(), 1); n > most {
		n = most
		p.since, p.sent = now.Add(-time.Duration(n/g.cfg.Rate*float64(time.Second))), 0
	}
	return int(max(n, 0))
}

// untilDue returns the time from now to the next due packet, when none is due.
func (g *Generator) untilDue(p *pace, now time.Time) time.Duration {
	at := p.since.Add(time.Duration(float64(p.sent+1) / g.cfg.Rate * float64(time.Second)))
	return min(max(at.Sub(now), shortPause), longPause)
}
