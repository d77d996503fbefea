package parse

import (
	"fmt"
	"strings"
)

// Tunnels is a set of encapsulations, those whose inner packets a Decoder decodes. The zero value is the empty set.
type Tunnels uint8

// The encapsulations. A packet in one of those that are not in the set is skipped with the reason of its protocol.
const (
	TunnelGRE    Tunnels = 1 << iota // IPv4, IPv6 and Ethernet in GRE, RFC 2784 and RFC 2890
	TunnelIPIP                       // IPv4 in IPv4 (RFC 2003), and in IPv6 (RFC 2473)
	TunnelSIT                        // IPv6 in IPv4 (RFC 4213), and IPv6 and IPv4 in IPv6 (RFC 2473)
	TunnelVXLAN                      // RFC 7348
	TunnelGENEVE                     // RFC 8926
	TunnelGTPU                       // user data of mobile networks, 3GPP TS 29.281
	TunnelERSPAN                     // mirrored frames in GRE, types I to III, draft-foschiano-erspan-03
)

// tunnels holds for each encapsulation its name in a list, and how its outer packets are told: by their IP
// protocols, or by their UDP destination ports.
var tunnels = [...]struct {
	name      string
	set       Tunnels
	protocols []uint8
	ports     []uint16
}{
	{"gre", TunnelGRE, []uint8{protoGRE}, nil},
	{"ipip", TunnelIPIP, []uint8{protoIPv4}, nil},
	{"sit", TunnelSIT, []uint8{protoIPv6, protoIPv4}, nil},
	{"vxlan", TunnelVXLAN, nil, []uint16{portVXLAN, portVXLANLinux}},
	{"geneve", TunnelGENEVE, nil, []uint16{portGENEVE}},
	{"gtpu", TunnelGTPU, nil, []uint16{portGTPU}},
	{"erspan", TunnelERSPAN, []uint8{protoGRE}, nil},
}

// TunnelNames returns the names that ParseTunnels knows, with commas between.
func TunnelNames() string {
	names := make([]string, 0, len(tunnels))
	for _, t := range tunnels {
		names = append(names, t.name)
	}
	return strings.Join(names, ",")
}

// ParseTunnels returns the set that a list of names stands for, with commas between them: gre,vxlan. An empty text is
// the empty set. The error names what is unknown, and what there is.
func ParseTunnels(list string) (set Tunnels, err error) {
	if list == "" {
		return 0, nil
	}
next:
	for name := range strings.SplitSeq(list, ",") {
		for _, t := range tunnels {
			if t.name == name {
				set |= t.set
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no tunnel: choose from %s", name, TunnelNames())
	}
	return set, nil
}

// String returns the names of the encapsulations in t as ParseTunnels takes them, nothing for the empty set.
func (t Tunnels) String() string {
	var names []string
	for _, all := range tunnels {
		if t&all.set != 0 {
			names = append(names, all.name)
		}
	}
	return strings.Join(names, ",")
}

// Outer returns how the outer packets of t are told: by the IP protocols of some, and by the UDP destination ports of
// the others. Each stands there once.
func (t Tunnels) Outer() (protocols []uint8, ports []uint16) {
	seen := map[uint8]bool{}
	for _, one := range tunnels {
		if t&one.set == 0 {
			continue
		}
		for _, p := range one.protocols {
			if !seen[p] {
				protocols = append(protocols, p)
			}
			seen[p] = true
		}
		ports = append(ports, one.ports...)
	}
	return protocols, ports
}
