package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
)

// device holds what is known of one interface beside its traffic.
type device struct {
	netif.Interface
	link    parse.Link
	kind    string // DEVTYPE of its uevent file: vlan, bridge, wlan, …; empty for most
	tun     bool
	lower   string // name of the interface below, empty: there is none
	rx, tx  int    // queues
	steered bool   // receive packet steering (RPS) is on
	irqs    []irq

	netif.Device
	featuresErr error
}

// irq is an interrupt of an interface.
type irq struct {
	number int
	name   string // as /proc/interrupts has it
	cpus   []int  // that it may come on
}

// readDevice reads what /sys and the kernel tell of an interface. all are the interfaces that there are.
func readDevice(r root, i netif.Interface, all []netif.Interface) device {
	d := device{Interface: i, link: parse.LinkFromARPHRD(i.Hatype)}
	d.Device, d.featuresErr = netif.AskDevice(i.Name)
	for _, other := range all {
		if i.Lower != 0 && other.Index == i.Lower {
			d.lower = other.Name
		}
	}
	d.readSys(r)
	return d
}

// readSys reads the interface's folder in /sys/class/net. /sys shows the interfaces of the network namespace that it was
// mounted in: what it has of another interface of this name is not this one's.
func (d *device) readSys(r root) {
	folder := filepath.Join("sys/class/net", d.Name)
	if index, ok := r.number(folder, "ifindex"); !ok || int(index) != d.Index {
		return
	}
	uevent, _ := r.text(folder, "uevent")
	for line := range strings.Lines(uevent) {
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok {
			d.kind = kind
		}
	}
	_, d.tun = r.text(folder, "tun_flags")
	queues := r.names(folder, "queues")
	for _, q := range queues {
		if strings.HasPrefix(q, "rx-") {
			d.rx++
			mask, _ := r.text(folder, "queues", q, "rps_cpus")
			d.steered = d.steered || strings.Trim(mask, "0,") != ""
		} else if strings.HasPrefix(q, "tx-") {
			d.tx++
		}
	}
	d.irqs = readIRQs(r, d.Name)
}

// readIRQs returns the interrupts of an interface: those of its device, or of the PCI device that a virtio device stands
// on, and those that bear the interface's name.
func readIRQs(r root, name string) (irqs []irq) {
	own := map[string]bool{}
	prefix := "" // of the names of a virtio device's interrupts, which share the PCI device with others
	for _, at := range []string{"device/msi_irqs", "device/../msi_irqs"} {
		// A symbolic link leads to the device: ".." must be that of its target.
		target, err := filepath.EvalSymlinks(filepath.Join(string(r), "sys/class/net", name, "device"))
		if err != nil {
			break
		}
		folder := filepath.Join(target, strings.TrimPrefix(at, "device/"))
		for _, n := range root("/").names(folder) {
			own[n] = true
		}
		if base := filepath.Base(target); len(own) > 0 && strings.HasPrefix(base, "virtio") {
			prefix = base + "-"
		}
		if len(own) > 0 {
			break
		}
	}
	text, _ := r.text("proc/interrupts")
	for line := range strings.Lines(text) {
		number, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		field := strings.Fields(rest)
		if !ok || len(field) == 0 {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		bears := field[len(field)-1]
		ours := own[number] && strings.HasPrefix(bears, prefix) || bears == name || strings.HasPrefix(bears, name+"-")
		if !ours || strings.HasSuffix(bears, "-config") { // virtio's, for changes of the link
			continue
		}
		cpus, _ := r.text("proc/irq", number, "effective_affinity_list")
		if cpus == "" {
			cpus, _ = r.text("proc/irq", number, "smp_affinity_list")
		}
		irqs = append(irqs, irq{n, bears, cpuList(cpus)})
	}
	slices.SortFunc(irqs, func(a, b irq) int { return byNumber(a.name, b.name) })
	return irqs
}

// irqCPUs returns the CPUs on which the interface's interrupts come.
func (d *device) irqCPUs() (cpus []int) {
	for _, i := range d.irqs {
		cpus = append(cpus, i.cpus...)
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// whatItIs returns what follows from the kind of interface for a capture, empty for an ordinary card.
func (d *device) whatItIs() string {
	switch {
	case d.Loopback:
		return "loopback: a packet passes twice and is counted once, as it arrives; what this machine says to itself, no other traffic"
	case d.kind == "vlan" || d.Lower != 0 && d.Driver == "802.1Q VLAN Support":
		below := "its parent"
		if d.lower != "" {
			below = d.lower
		}
		return fmt.Sprintf("VLAN: its packets come without their tag; %s shows them with it, and those of the other VLANs", below)
	case d.tun && d.link == parse.LinkRaw:
		return "tun: packets without a link header, so no VLAN tag and no Ethernet address for a filter; those of a tunnel, before they are packed or after they are unpacked"
	case d.tun:
		return "tap: Ethernet frames to and from a program or a virtual machine"
	case d.link == parse.LinkRaw:
		return "point to point: packets without a link header, so no VLAN tag and no Ethernet address for a filter"
	case d.kind == "bridge":
		return "bridge: what the machine itself sends, receives and routes, and nothing that its ports switch among themselves"
	case d.kind == "bond":
		return "bond: what passes its cards, once"
	case d.Driver == "veth":
		return "one end of a veth pair: super-packets are usual, nothing cuts them"
	}
	return ""
}

// linkText names the hardware type, and what the exporter takes it for.
func (d *device) linkText() string {
	what := "not decoded: nothing is captured here; use an Ethernet, loopback, tun, PPP or tunnel interface"
	switch d.link {
	case parse.LinkEthernet:
		what = "decoded as Ethernet frames"
	case parse.LinkRaw:
		what = "decoded as IP packets without a link header"
	}
	return fmt.Sprintf("hardware type %d (ARPHRD_ in linux/if_arp.h), %s", d.Hatype, what)
}

func (d *device) report(p *page) {
	state := "down"
	if d.Up {
		state = "up"
	}
	p.line("interface", "%s, %s, MTU %d", d.Name, state, d.MTU)
	if what := d.whatItIs(); what != "" {
		p.line("", "%s", what)
	}
	p.line("link type", "%s", d.linkText())
	if d.Driver != "" {
		p.line("driver", "%s", d.Driver)
	} else {
		p.line("driver", "it does not say")
	}
	d.reportQueues(p)
	if d.Features == nil {
		p.line("offloads", "not known: %v", d.featuresErr)
	} else {
		on := func(name string) string { return onOff(d.Features[name]) }
		tso := d.Features["tx-tcp-segmentation"] || d.Features["tx-tcp6-segmentation"]
		p.line("offloads", "GRO %s, LRO %s, TSO %s, GSO %s, rx-vlan %s, tx-vlan %s", on("rx-gro"), on("rx-lro"), onOff(tso), on("tx-generic-segmentation"),
			on("rx-vlan-hw-parse"), on("tx-vlan-hw-insert"))
		if d.Features["rx-lro"] {
			p.line("", "LRO must be off where packets are forwarded: ethtool -K %s lro off", d.Name)
		}
	}
	stamps := "the card's own are not used"
	if !d.HardwareStamps {
		stamps = "the card has none of its own"
	}
	p.line("timestamps", "the kernel's, from when it received the packet; %s", stamps)
}

func (d *device) reportQueues(p *page) {
	if d.rx == 0 && d.tx == 0 {
		p.line("queues", "not known: /sys has no folder of this interface")
		return
	}
	steered := ""
	if d.steered {
		steered = "; RPS spreads the packets over CPUs"
	}
	p.line("queues", "%d to receive, %d to send%s", d.rx, d.tx, steered)
	switch {
	case len(d.irqs) == 0:
		p.line("interrupts", "none of its own: packets are handled on the CPU that sends or unpacks them")
	case len(d.irqs) > maxIRQs:
		p.line("interrupts", "%d, on CPUs %s", len(d.irqs), cpuText(d.irqCPUs()))
	default:
		for n, i := range d.irqs {
			name := ""
			if n == 0 {
				name = "interrupts"
			}
			p.line(name, "%s (%d) on CPU %s", i.name, i.number, cpuText(i.cpus))
		}
	}
}

// maxIRQs is the most interrupts that have a line each.
const maxIRQs = 8
