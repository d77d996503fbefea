package check

import (
	"encoding/binary"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
)

// shape is what a frame is made of, by its outermost headers.
type shape struct {
	vlan, pppoe, mpls, ipv6, fragment bool
}

// shapeOf reads the headers of a frame that starts with one of kind link, as far as they were captured. tagged: the
// kernel has taken a VLAN tag out of it.
func shapeOf(link parse.Link, b []byte, tagged bool) shape {
	s := shape{vlan: tagged}
	kind := uint16(ethernetNone)
	if link == parse.LinkEthernet {
		if len(b) < 14 {
			return s
		}
		kind, b = binary.BigEndian.Uint16(b[12:]), b[14:]
	}
	for range maxLayers {
		switch kind {
		case ethernetVLAN, ethernetQinQ, ethernetQinQOld:
			if s.vlan = true; len(b) < 4 {
				return s
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		case ethernetPPPoE: // RFC 2516: version, type and code, session, length, then PPP's protocol
			if s.pppoe = true; len(b) < 8 {
				return s
			}
			proto := binary.BigEndian.Uint16(b[6:])
			if b = b[8:]; proto != pppIPv4 && proto != pppIPv6 {
				return s
			}
			kind = ethernetNone
		case ethernetMPLS, ethernetMPLSMulticast: // RFC 3032: a label, and a bit that says whether it is the last
			if s.mpls = true; len(b) < 4 {
				return s
			}
			if b[2]&1 != 0 {
				kind = ethernetNone
			}
			b = b[4:]
		case ethernetNone, ethernetIPv4, ethernetIPv6:
			s.ip(b)
			return s
		default:
			return s
		}
	}
	return s
}

// maxLayers bounds tags and labels.
const maxLayers = 8

// EtherTypes (linux/if_ether.h), and none for what only its version tells.
const (
	ethernetNone          = 0
	ethernetIPv4          = 0x0800
	ethernetIPv6          = 0x86dd
	ethernetVLAN          = 0x8100
	ethernetQinQ          = 0x88a8
	ethernetQinQOld       = 0x9100
	ethernetPPPoE         = 0x8864
	ethernetMPLS          = 0x8847
	ethernetMPLSMulticast = 0x8848
	pppIPv4               = 0x0021 // RFC 1332
	pppIPv6               = 0x0057 // RFC 5072
)

// ip reads an IP header: whether it is IPv6, and a fragment.
func (s *shape) ip(b []byte) {
	const (
		moreOrOffset = 0x3fff // RFC 791: MF and the fragment offset
		ipv6Len      = 40
		fragmentNext = 44 // RFC 8200 section 4.5
	)
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		s.fragment = binary.BigEndian.Uint16(b[6:])&moreOrOffset != 0
	case len(b) >= ipv6Len && b[0]>>4 == 6:
		s.ipv6 = true
		next, rest := b[6], b[ipv6Len:]
		for range maxLayers {
			if next == fragmentNext {
				s.fragment = true
				return
			}
			if next != 0 && next != 43 && next != 60 || len(rest) < 8 { // hop-by-hop, routing, destination options
				return
			}
			length := 8 + 8*int(rest[1])
			next, rest = rest[0], rest[min(length, len(rest)):]
		}
	}
}

// kinds counts the packets of a sample by what they are made of.
type kinds struct {
	packets, bytes, tcp, tcp6, super  int
	vlan, pppoe, mpls, ipv6, fragment int
	tunnels                           [8]int // TCP in an encapsulation, by the bit of parse.Tunnels
	vlans                             map[parse.VLANs]int
	flows                             map[flow]uint8 // TCP: which ways each direction of a connection was seen
}

// flow is one direction of a connection on one interface, or on all of them.
type flow struct {
	src, dst         parse.Addr
	srcPort, dstPort uint16
}

// How a flow was seen.
const (
	seenArriving = 1 << iota
	seenLeaving
)

const (
	maxVLANs = 256
	maxFlows = 1 << 15
)

func newKinds() *kinds { return &kinds{vlans: map[parse.VLANs]int{}, flows: map[flow]uint8{}} }

// note counts a frame. superAbove is the payload in bytes above which a segment is several in one.
func (k *kinds) note(f ring.Frame, superAbove uint32) {
	link := parse.LinkFromARPHRD(f.Hatype())
	var outer parse.VLANs
	tagged := f.Status()&ring.StatusVLANValid != 0
	if tagged {
		tci, _ := f.VLAN()
		outer = outer.Push(tci)
	}
	k.noteBytes(link, f.Data, f.WireLen(), tagged, outer, f.PktType() == packetOutgoing, superAbove)
}

// packetOutgoing is PACKET_OUTGOING (linux/if_packet.h).
const packetOutgoing = 4

func (k *kinds) noteBytes(link parse.Link, b []byte, wireLen uint32, tagged bool, outer parse.VLANs, leaving bool, superAbove uint32) {
	s := shapeOf(link, b, tagged)
	k.packets++
	k.bytes += int(wireLen)
	for _, c := range []struct {
		is    bool
		count *int
	}{{s.vlan, &k.vlan}, {s.pppoe, &k.pppoe}, {s.mpls, &k.mpls}, {s.ipv6, &k.ipv6}, {s.fragment, &k.fragment}} {
		if c.is {
			*c.count++
		}
	}
	var seg parse.Segment
	if why := parse.Frame(link, b, wireLen, &seg); why != parse.OK {
		k.noteTunnel(why, link, b, wireLen)
		return
	}
	k.tcp++
	if seg.Flags&parse.OverIPv6 != 0 {
		k.tcp6++
	}
	if seg.Flags&parse.LenUnknown == 0 && seg.Len > superAbove {
		k.super++
	}
	if v := parse.FrameVLANs(link, b, outer); len(k.vlans) < maxVLANs || k.vlans[v] > 0 {
		k.vlans[v]++
	}
	way := uint8(seenArriving)
	if leaving {
		way = seenLeaving
	}
	src, dst, srcPort, dstPort := seg.Endpoints(int(seg.Dir()))
	at := flow{src, dst, srcPort, dstPort}
	if seen := k.flows[at]; seen != 0 || len(k.flows) < maxFlows {
		k.flows[at] = seen | way
	}
}

// noteTunnel counts TCP in an encapsulation.
func (k *kinds) noteTunnel(why parse.Reason, link parse.Link, b []byte, wireLen uint32) {
	switch why {
	case parse.UDP, parse.GRE, parse.IPIP, parse.IPv6InIP:
	default:
		return
	}
	for bit := range k.tunnels {
		var seg parse.Segment
		if (parse.Decoder{Tunnels: 1 << bit}).Frame(link, b, wireLen, &seg) == parse.OK {
			k.tunnels[bit]++
			return
		}
	}
}

// inVLANs returns the tags that TCP packets had, those of no VLAN left out.
func (k *kinds) inVLANs() int {
	n := len(k.vlans)
	if k.vlans[0] > 0 {
		n--
	}
	return n
}

// twice returns how many flows both arrived and left, of how many.
func (k *kinds) twice() (both, all int) {
	for _, seen := range k.flows {
		if seen == seenArriving|seenLeaving {
			both++
		}
	}
	return both, len(k.flows)
}
