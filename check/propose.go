package check

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
)

// proposal is a flag that would suit better than what is given, and why.
type proposal struct {
	flag, value string // an empty value: of a switch
	why         string
}

func (p proposal) String() string {
	if p.value == "" {
		return "-" + p.flag
	}
	return "-" + p.flag + " " + p.value
}

// facts is what proposals follow from.
type facts struct {
	c       *Config
	machine machine
	irqCPUs []int
	traffic traffic
	speeds  []speed
}

const (
	// ringBytesPerPacket is what an ordinary segment takes of the ring (docs/tuning.md, "Ring").
	ringBytesPerPacket = 160
	// leastRingTime and goodRingTime, in seconds, are how long a worker may be away.
	leastRingTime, goodRingTime = 0.4, 1.0
	// leastBlockTime in seconds: blocks that fill faster cost more than what is in them.
	leastBlockTime = 0.5e-3
	// busy is the share of a processor from which on another worker takes a part.
	busy = 0.5
	// pinRate is the packets per second from which on a processor for the worker pays.
	pinRate = 100_000
	// noticeable is the least share of packets that is worth a flag, and leastSeen the least number.
	noticeable = 0.01
	leastSeen  = 5
	// minConnections is as far as -max-connections is lowered.
	minConnections = 1024
)

// propose returns flags to change, in the order of their weight. All of them together are valid.
func propose(f *facts) (all []proposal) {
	add := func(flag, value, why string, args ...any) {
		all = append(all, proposal{flag, value, fmt.Sprintf(why, args...)})
	}
	c, t := f.c, &f.traffic
	f.proposeTunnels(add)
	seen := func(n int, of int) bool { return n >= leastSeen && float64(n) >= noticeable*float64(of) }
	if in := t.passed.kinds; !c.IPv6 && seen(in.tcp6, in.tcp) {
		add("ipv6", "", "%s of the TCP packets are IPv6, and the metrics by stream have none of them without it", percent(float64(in.tcp6), float64(in.tcp)))
	}
	if n := t.passed.inVLANs(); !c.ByVLAN && n > 1 {
		add("vlan-identity", "", "TCP of %s: where the same addresses are in two of them, they are one stream without it", counted(n, "VLAN"))
	}
	f.proposeDirection(add)
	workers := f.proposeWorkers(add)
	f.proposeCPUs(add, workers)
	ringBytes := f.proposeRing(add, workers)
	f.proposeConnections(add, ringBytes)
	return all
}

type adder func(flag, value, why string, args ...any)

func (f *facts) proposeTunnels(add adder) {
	c, t := f.c, &f.traffic
	want, count := c.Tunnels, 0
	for bit := range t.left.tunnels {
		n := t.left.tunnels[bit] + t.passed.tunnels[bit]
		if one := parse.Tunnels(1 << bit); n >= leastSeen && want&one == 0 {
			want |= one
			count += n
		}
	}
	if want != c.Tunnels {
		add("tunnels", want.String(), "TCP in %v passes by, and its encapsulation is not looked into without it", want&^c.Tunnels)
	}
}

func (f *facts) proposeDirection(add adder) {
	c := f.c
	if c.Direction == arriving || c.Direction == sent {
		return
	}
	both, all := f.traffic.passed.twice()
	if both < leastSeen || float64(both) < 0.1*float64(all) {
		return
	}
	if c.several() {
		add("direction", arriving, "%d of %d streams arrive and leave again: it counts each connection once, where no NAT on this machine parts the two", both, all)
		return
	}
	add("direction", arriving, "%d of %d streams arrive and leave again on the same interface: their second pass counts as retransmissions without it", both, all)
}

// load returns the share of one processor that accounting takes, with all of the traffic on one worker.
func (f *facts) load() float64 {
	if len(f.speeds) == 0 {
		return 0
	}
	s := f.speeds[0]
	if many := f.speeds[len(f.speeds)-1]; f.traffic.stats.Connections > 10*s.connections {
		s = many
	}
	return f.traffic.rate() * s.nanos / 1e9
}

// proposeWorkers returns the number of workers of the proposal.
func (f *facts) proposeWorkers(add adder) int {
	c := f.c
	load, cpus := f.load(), len(f.machine.allowed)
	if cpus > 0 && c.Workers > cpus {
		add("workers", strconv.Itoa(cpus), "there are no more CPUs for it")
		return cpus
	}
	want := int(math.Ceil(load / busy))
	want = min(want, max(1, cpus-1), ring.MaxRings, c.MaxConnections)
	if want > c.Workers {
		add("workers", strconv.Itoa(want), "one would be at work for %.0f%% of the time", 100*load)
		return want
	}
	return c.Workers
}

func (f *facts) proposeCPUs(add adder, workers int) {
	c := f.c
	if len(f.irqCPUs) == 0 {
		return
	}
	var free []int
	for _, cpu := range f.machine.allowed {
		if !slices.Contains(f.irqCPUs, cpu) {
			free = append(free, cpu)
		}
	}
	shared := slices.ContainsFunc(c.CPUs, func(cpu int) bool { return slices.Contains(f.irqCPUs, cpu) })
	if len(free) < workers || !shared && (len(c.CPUs) > 0 || f.traffic.rate() < pinRate) {
		return
	}
	add("cpus", cpuText(free[len(free)-workers:]), "the interface's interrupts come on CPU %s: the kernel's work there keeps a worker waiting", cpuText(f.irqCPUs))
}

// proposeRing returns the bytes of the ring of the proposal, of all workers.
func (f *facts) proposeRing(add adder, workers int) uint64 {
	c, t, m := f.c, &f.traffic, &f.machine
	block, blocks := c.Ring.BlockSize, c.Ring.NumBlocks
	bytesPerSecond := t.rate() * ringBytesPerPacket / float64(workers)
	total := func(blocks int) uint64 { return uint64(block) * uint64(blocks) * uint64(workers) }
	whyBlock := ""
	if bytesPerSecond > 0 && float64(block)/bytesPerSecond < leastBlockTime && block <= 1<<20 && blocks >= 32 {
		block, blocks = block*4, blocks/4
		whyBlock = fmt.Sprintf("a block fills in %.2f ms, and each costs a wake-up", 1e3*float64(c.Ring.BlockSize)/bytesPerSecond)
	}
	whyBlocks := ""
	given := total(blocks)
	lasts := math.Inf(1)
	if bytesPerSecond > 0 {
		lasts = float64(block) * float64(blocks) / bytesPerSecond
	}
	const maxBlocks = 1 << 15
	switch {
	case t.stats.Dropped > 0 || lasts < leastRingTime:
		want := blocks
		if t.stats.Dropped > 0 {
			want *= 2
		}
		for want < maxBlocks && float64(block)*float64(want)/bytesPerSecond < goodRingTime {
			want *= 2
		}
		for want > blocks && m.hasAvailable && total(want) > m.available/8 {
			want /= 2
		}
		if want = min(want, max(maxBlocks, blocks)); want > blocks {
			blocks = want
			whyBlocks = fmt.Sprintf("the ring lasts for %.2f s at this rate", lasts)
			if t.stats.Dropped > 0 {
				whyBlocks = fmt.Sprintf("%s found the ring full", counted(int(t.stats.Dropped), "packet"))
			}
		}
	case m.hasAvailable && given > m.available/2:
		for want := blocks; want > 8; {
			if want /= 2; total(want) <= m.available/4 {
				blocks = want
				break
			}
		}
		if total(blocks) < given {
			whyBlocks = fmt.Sprintf("the ring takes %s of the %s that are available, and cannot be swapped", size(given), size(m.available))
		}
	}
	if block != c.Ring.BlockSize {
		add("blocksize", strconv.Itoa(block), "%s", whyBlock)
	}
	if blocks != c.Ring.NumBlocks {
		if whyBlocks == "" {
			whyBlocks = "as many bytes as before, in larger blocks"
		}
		add("numblocks", strconv.Itoa(blocks), "%s", whyBlocks)
	}
	return total(blocks)
}

func (f *facts) proposeConnections(add adder, ringBytes uint64) {
	c, t := f.c, &f.traffic
	const closing = 60 // seconds that a connection that has ended is kept, by default
	want := float64(t.stats.Connections) + max(t.births(), 0)*closing
	roomFor := uint64(math.MaxInt)
	left, known := f.machine.memoryFor(ringBytes)
	if known && c.ConnectionBytes > 0 {
		roomFor = max(left/10*9/c.ConnectionBytes, minConnections)
	}
	full := t.stats.NoRoom + t.stats.RecycledHalfOpen + t.stats.RecycledFinalized
	switch {
	case uint64(c.MaxConnections) > roomFor:
		add("max-connections", strconv.FormatUint(roomFor, 10), "a full table takes %s, and there are %s for it", size(c.tableBytes()), size(left))
	case want > 0.8*float64(c.MaxConnections) || full > 0:
		n := uint64(1) << bits.Len64(uint64(max(want*1.25, float64(c.MaxConnections)+1)))
		n = min(n, table.MaxConnections, roomFor)
		if n > uint64(c.MaxConnections) {
			add("max-connections", strconv.FormatUint(n, 10), "up to %s connections at a time, by those of the last second", grouped(want))
		}
	}
}

// reportProposals writes the flags, and the command line with them.
func reportProposals(p *page, c *Config, all []proposal) {
	if len(all) == 0 {
		p.line("proposed", "nothing else than what is given")
		return
	}
	p.line("proposed", "%s", listed([]string{counted(len(all), "flag")}))
	width := 0
	for _, one := range all {
		width = max(width, len(one.String()))
	}
	for _, one := range all {
		p.write(fmt.Sprintf("  %-*s  %s\n", max(width, nameWidth-2), one, strings.TrimSpace(one.why)))
	}
}
