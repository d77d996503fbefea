package lab

import (
	"errors"
	"fmt"
	"os"

	"tcp-stream-exporter/internal/netns"
)

// Names of the router's interfaces.
const (
	RouterIn  = "in0"
	RouterOut = "out0"
)

// Router is three namespaces in a row: sender, router, receiver. The router's kernel forwards from RouterIn to
// RouterOut what the sender sends to the address of In: TCP of package gen, from 10.0.0.0/8 to 198.18.0.0/15. The
// receiver's kernel drops it at once, because the frames have another host's address.
//
//	sender              router               receiver
//	Device ──────── RouterIn  RouterOut ──────── Device
type Router struct {
	Sender, Receiver End
	In, Out          End // both in the router's namespace
}

// RouterOptions holds the settings of a router; the zero value has no offloads.
type RouterOptions struct {
	// SuperPackets turns on GRO where the router receives, and segmentation and checksum offloads where it sends, so
	// that it forwards segments of one burst as one super-packet. The sender's offloads stay off: its segments
	// arrive one by one.
	SuperPackets bool
}

// offloads is every offload that a veth device has, for ethtool -K.
var offloads = []string{"tx", "rx", "sg", "tso", "gso", "gro"}

// receiverMAC is no interface's, so that the receiver takes the frames for another host's.
const receiverMAC = "02:00:5e:10:00:02"

// NewRouter makes a router and waits until all ends have a carrier. Nothing is left behind after an error.
func NewRouter(o RouterOptions) (*Router, error) {
	name := netns.NewName()
	router := End{Namespace: name + "-r"}
	r := &Router{Sender: End{Namespace: name + "-a"}, Receiver: End{Namespace: name + "-b"}, In: router, Out: router}
	if err := r.setUp(o); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close removes the namespaces and with them the interfaces. It may be called more than once.
func (r *Router) Close() error {
	return errors.Join(remove(r.Sender.Namespace), remove(r.Receiver.Namespace), remove(r.In.Namespace))
}

func (r *Router) setUp(o RouterOptions) error {
	ends := []struct {
		*End
		device string
		super  bool
	}{
		{&r.Sender, Device, false}, {&r.In, RouterIn, o.SuperPackets}, {&r.Out, RouterOut, o.SuperPackets}, {&r.Receiver, Device, o.SuperPackets},
	}
	var steps [][]string
	for _, namespace := range []string{r.Sender.Namespace, r.In.Namespace, r.Receiver.Namespace} {
		steps = append(steps, []string{"ip", "netns", "add", namespace}, []string{"ip", "-n", namespace, "link", "set", "lo", "up"})
	}
	steps = append(steps,
		[]string{"ip", "-n", r.Sender.Namespace, "link", "add", Device, "type", "veth", "peer", "name", RouterIn, "netns", r.In.Namespace},
		[]string{"ip", "-n", r.Receiver.Namespace, "link", "add", Device, "type", "veth", "peer", "name", RouterOut, "netns", r.Out.Namespace})
	for _, e := range ends {
		setting := "off"
		if e.super {
			setting = "on"
		}
		argv := e.argv("ethtool", "-K", e.device)
		for _, offload := range offloads {
			argv = append(argv, offload, setting)
		}
		steps = append(steps, argv,
			[]string{"ip", "-n", e.Namespace, "link", "set", e.device, "arp", "off", "multicast", "off", "addrgenmode", "none"})
	}
	for _, e := range ends {
		steps = append(steps, []string{"ip", "-n", e.Namespace, "link", "set", e.device, "up"})
	}
	const nextHop = "192.0.2.2" // RFC 5737
	ip := []string{"ip", "-n", r.In.Namespace}
	for _, args := range [][]string{
		{"addr", "add", "10.0.0.1/8", "dev", RouterIn},
		{"addr", "add", "192.0.2.1/24", "dev", RouterOut},
		{"neigh", "add", nextHop, "lladdr", receiverMAC, "nud", "permanent", "dev", RouterOut},
		{"route", "add", "198.18.0.0/15", "via", nextHop},
	} {
		steps = append(steps, append(ip[:len(ip):len(ip)], args...))
	}
	for _, argv := range steps {
		if err := run("", argv); err != nil {
			return err
		}
	}
	// /proc/sys/net shows the namespace of the thread that opens it.
	if err := r.In.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }); err != nil {
		return fmt.Errorf("lab: forwarding: %w", err)
	}
	for _, e := range ends {
		if err := e.waitUp(e.device); err != nil {
			return err
		}
	}
	return nil
}
