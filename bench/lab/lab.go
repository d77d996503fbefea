package lab

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/internal/netns"
)

// Device is the name of the interface at either end; each has a namespace to itself.
const Device = "veth0"

// Options holds the settings of a pair; the zero value is a plain one.
type Options struct {
	MTU         int    // bytes of IP packet; 0: the kernel's default of 1500
	Queues      int    // receive and transmit queues per end; 0: 1
	OffloadsOff bool   // turn off segmentation, receive and checksum offloads at both ends
	RPS         uint64 // bit n: CPU n does the receive work for end B (Receive Packet Steering); 0: the sender's CPU does
}

// Pair is two namespaces joined by a veth pair, both ends up.
type Pair struct {
	A, B End
}

// End is one end of a pair.
type End struct {
	Namespace string // as ip-netns(8) lists it
	Index     int    // of Device
	MAC       net.HardwareAddr
}

const upTimeout = 5 * time.Second

// New makes a pair and waits until both ends have a carrier. Nothing is left behind after an error.
func New(o Options) (*Pair, error) {
	name := netns.NewName()
	p := &Pair{A: End{Namespace: name + "-a"}, B: End{Namespace: name + "-b"}}
	if err := p.setUp(o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pair) setUp(o Options) error {
	queues := strconv.Itoa(max(o.Queues, 1))
	steps := [][]string{
		{"ip", "netns", "add", p.A.Namespace},
		{"ip", "netns", "add", p.B.Namespace},
		{"ip", "-n", p.A.Namespace, "link", "add", Device, "numtxqueues", queues, "numrxqueues", queues, "type", "veth",
			"peer", "name", Device, "netns", p.B.Namespace, "numtxqueues", queues, "numrxqueues", queues},
	}
	for _, e := range []End{p.A, p.B} {
		steps = append(steps, []string{"ip", "-n", e.Namespace, "link", "set", "lo", "up"}) // for readers that serve their figures
		set := []string{"ip", "-n", e.Namespace, "link", "set", Device}
		// No ARP, no multicast, no link-local address: the line stays silent by itself.
		steps = append(steps, append(set, "arp", "off", "multicast", "off", "addrgenmode", "none"))
		if o.MTU != 0 {
			steps = append(steps, append(set, "mtu", strconv.Itoa(o.MTU)))
		}
		if o.OffloadsOff {
			steps = append(steps, e.argv("ethtool", "-K", Device, "tx", "off", "rx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off"))
		}
	}
	for _, e := range []End{p.A, p.B} {
		steps = append(steps, []string{"ip", "-n", e.Namespace, "link", "set", Device, "up"})
	}
	for _, argv := range steps {
		if err := run("", argv); err != nil {
			return err
		}
	}
	if o.RPS != 0 {
		for q := range max(o.Queues, 1) {
			path := fmt.Sprintf("/sys/class/net/%s/queues/rx-%d/rps_cpus", Device, q)
			// tee inside of ip netns exec, because only there /sys shows the namespace's devices.
			if err := run(strconv.FormatUint(o.RPS, 16), p.B.argv("tee", path)); err != nil {
				return err
			}
		}
	}
	for _, e := range []*End{&p.A, &p.B} {
		if err := e.waitUp(Device); err != nil {
			return err
		}
	}
	return nil
}

// Close removes both namespaces and with them the interfaces. It may be called more than once.
func (p *Pair) Close() error { return errors.Join(remove(p.A.Namespace), remove(p.B.Namespace)) }

// waitUp waits for the carrier of a device and notes its index and address.
func (e *End) waitUp(device string) error {
	deadline := time.Now().Add(upTimeout)
	for {
		var ifi *net.Interface
		err := e.Do(func() (err error) {
			ifi, err = net.InterfaceByName(device)
			return err
		})
		if err != nil {
			return fmt.Errorf("lab: %s in %s: %w", device, e.Namespace, err)
		}
		if ifi.Flags&net.FlagRunning != 0 {
			e.Index, e.MAC = ifi.Index, ifi.HardwareAddr
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: %s in %s has no carrier after %v", device, e.Namespace, upTimeout)
		}
		time.Sleep(time.Millisecond)
	}
}

// run runs a command with in as its standard input; the error holds what it printed.
func run(in string, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("lab: %s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
