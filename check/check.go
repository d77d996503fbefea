package check

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// Time is how long the traffic is watched.
const Time = 3 * time.Second

// Config holds what a capture would be made of.
type Config struct {
	// Interfaces are those that are captured, as they are now.
	Interfaces []netif.Interface
	// Named is -interface and its value, for messages.
	Named string
	// Ring is the configuration that the rings are opened with. Promiscuous is not set by the check.
	Ring           ring.Config
	Workers        int
	CPUs           []int // that workers are pinned to; empty: none is
	MaxConnections int
	// ConnectionBytes is the most that a connection takes of memory.
	ConnectionBytes uint64
	Direction       string // as -direction takes it
	IPv6, ByVLAN    bool
	Tunnels         parse.Tunnels

	// NewWorkers makes the capture's workers. With an error it returns those already made.
	NewWorkers func() ([]*worker.Worker, error)
	// NewWorker makes one of so many connections.
	NewWorker func(connections int) (*worker.Worker, error)
	// Begin is called with the capture before it runs; nil: there is nothing to set.
	Begin func(*capture.Workers)
	Clock capture.Clock
	// Time is how long the traffic is watched.
	Time time.Duration
}

// several reports whether the capture is bound to no single interface.
func (c *Config) several() bool { return c.Ring.IfIndex == 0 }

// ringBytes returns the size of all workers' rings.
func (c *Config) ringBytes() uint64 {
	return uint64(c.Ring.BlockSize) * uint64(c.Ring.NumBlocks) * uint64(c.Workers)
}

// tableBytes returns the most that all workers' tables take.
func (c *Config) tableBytes() uint64 { return uint64(c.MaxConnections) * c.ConnectionBytes }

// headers is the least length of an IPv4 packet's headers in bytes, with TCP's.
const headers = 20 + 20

// Run writes what it finds to out, and returns the reason why a capture would not work, or a failure to write. It takes
// c.Time and about a second more.
func Run(c Config, out io.Writer) error {
	p := &page{to: out}
	if c.Ring.Promiscuous {
		c.Ring.Promiscuous = false
		p.line("promiscuous", "the mode is left as it is: what only -promiscuous brings is not in these figures")
	}
	all, _ := netif.List() // for the names of interfaces below others
	f := facts{c: &c, machine: readMachine("/")}

	var devices []device
	mtu, up, decoded := uint32(math.MaxUint32), 0, 0
	for _, i := range c.Interfaces {
		d := readDevice("/", i, all)
		devices = append(devices, d)
		if len(devices) <= maxDevices {
			d.report(p)
		}
		if d.link == parse.LinkUnknown {
			continue
		}
		decoded++
		if d.Up {
			up++
			f.irqCPUs = append(f.irqCPUs, d.irqCPUs()...)
			if d.MTU > headers {
				mtu = min(mtu, d.MTU)
			}
		}
	}
	if more := len(devices) - maxDevices; more > 0 {
		p.line("interfaces", "and %d more", more)
	}
	f.machine.report(p, &c)
	if f.machine.clockSource != "" {
		p.line("clock", "%s", clockText(f.machine.clockSource))
	}
	if err := noneUp(&c, decoded, up); err != nil {
		return errors.Join(p.err, err)
	}
	t, err := watch(&c, superAbove(mtu))
	if err != nil {
		return err
	}
	f.traffic = *t
	t.report(p, &c)
	if f.speeds, err = speeds(&c, &f.machine); err != nil {
		p.line("speed", "not measured: %v", err)
	}
	f.reportSpeed(p)
	reportProposals(p, &c, propose(&f))
	p.line("result", "capture works")
	return p.err
}

// maxDevices is the most interfaces that are described each by itself.
const maxDevices = 8

// superAbove returns the payload above which a packet is several segments in one. With several interfaces it is by the
// lowest MTU, as for a capture on them.
func superAbove(mtu uint32) uint32 {
	if mtu == math.MaxUint32 {
		return mtu
	}
	return mtu - headers
}

// clockText tells of the kernel's clock, which each timestamp is read from.
func clockText(source string) string {
	switch source {
	case "hpet", "acpi_pm", "jiffies":
		return source + ": slow to read, which the kernel does for each packet; tsc is fast"
	}
	return source
}

// noneUp returns the reason why nothing would be captured now.
func noneUp(c *Config, decoded, up int) error {
	switch {
	case len(c.Interfaces) == 0:
		return fmt.Errorf("%s: no interface matches: nothing is captured until one does: use one that exists, or leave the exporter to wait", c.Named)
	case decoded == 0:
		return fmt.Errorf("%s: none of the interfaces has a hardware type that is decoded: use an Ethernet, loopback, tun, PPP or tunnel interface", c.Named)
	case up > 0:
		return nil
	case len(c.Interfaces) == 1:
		return fmt.Errorf("%s: the interface is down: the exporter would start and wait, and capture nothing until then: use ip link set dev %s up", c.Named, c.Interfaces[0].Name)
	}
	return fmt.Errorf("%s: all interfaces are down: the exporter would start and wait, and capture nothing until then: use ip link set dev NAME up", c.Named)
}

func (f *facts) reportSpeed(p *page) {
	for n, s := range f.speeds {
		name := ""
		if n == 0 {
			name = "speed"
		}
		p.line(name, "%.0f ns a packet with %s, %s packets/s on one CPU", s.nanos, counted(s.connections, "connection"), grouped(1e9/s.nanos))
	}
	if len(f.speeds) > 0 {
		p.line("", "this traffic takes %s of a CPU behind the kernel", percent(f.load(), 1))
	}
	lasts := math.Inf(1)
	if rate := f.traffic.rate(); rate > 0 {
		lasts = float64(f.c.ringBytes()) / (rate * ringBytesPerPacket)
	}
	if math.IsInf(lasts, 1) {
		p.line("ring", "%s", size(f.c.ringBytes()))
	} else {
		p.line("ring", "%s, which last for %s at this rate", size(f.c.ringBytes()), seconds(time.Duration(min(lasts, 1e6)*1e9)))
	}
}
