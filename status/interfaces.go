package status

import (
	"fmt"
	"slices"

	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
)

// kinds has words for the hardware types (ARPHRD_ in linux/if_arp.h of Linux 6.18) whose frames are decoded.
var kinds = map[uint16]string{
	1: "Ethernet", 772: "loopback", 512: "PPP", 519: "raw IP", 768: "IPIP tunnel", 769: "IPv6 tunnel", 776: "SIT tunnel",
	778: "GRE tunnel", 823: "GRE tunnel over IPv6", 0xfffe: "raw IP (tun, WireGuard)", 0xffff: "no link layer",
}

// kindOf returns what an interface is in words.
func kindOf(hatype uint16) string {
	if kind, known := kinds[hatype]; known {
		return kind
	}
	return fmt.Sprintf("hardware type %d", hatype)
}

// stateOf returns the state of an interface. k is nil if the kernel knows none of that name.
func stateOf(i *Interface, k *netif.Interface) string {
	switch {
	case i.Up:
		return "captured"
	case !i.Exists:
		return "absent"
	case k != nil && k.Up && parse.LinkFromARPHRD(k.Hatype) == parse.LinkUnknown:
		return "not_decoded"
	}
	return "down"
}

// offloads has the features that make packets of several segments, or take tags out of them, by the kernel's names
// (netdev_features_strings in net/ethtool/common.c of Linux 6.18).
var offloads = []string{
	"rx-gro", "rx-gro-hw", "rx-gro-list", "rx-lro", "rx-vlan-hw-parse", "tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-vlan-hw-insert",
}

// offloadsOf returns those that are switched on, by name; nil: not known.
func offloadsOf(d *netif.Device) []string {
	if d.Features == nil {
		return nil
	}
	on := []string{}
	for _, name := range offloads {
		if d.Features[name] {
			on = append(on, name)
		}
	}
	slices.Sort(on)
	return on
}
