package pcapfilter

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/bpf"
)

// Outer says which packets carry others: by the protocol that their IP header names, or by their UDP destination port.
type Outer struct {
	Protocols []uint8
	Ports     []uint16
}

// OrOuter returns a program that accepts outer packets with snapLen bytes, and gives the rest to a program of Compile,
// CompileLive or HeadersOnly. Outer packets come first, so that whatever the program says of them they are not cut to
// its snap length.
//
// It finds them where the program of "tcp" finds TCP: in IPv4 and IPv6, also behind VLAN tags, PPPoE, MPLS and extension
// headers. For other link types than that knows it has libpcap's, which looks behind none of these. A later fragment of a
// UDP datagram has no port, and is no outer packet. One that ends before its protocol or port does is rejected.
//
// An ordinary TCP packet in IPv4 executes five instructions more (TestOuterInstructions).
func OrOuter(prog []bpf.RawInstruction, link LinkType, outer Outer, snapLen int) ([]bpf.RawInstruction, error) {
	if len(outer.Protocols) == 0 && len(outer.Ports) == 0 {
		return prog, nil
	}
	var first []bpf.RawInstruction
	var err error
	if l, known := ipInLink[link]; known {
		first, err = outerProgram(l, outer, snapLen)
	} else {
		first, err = compile(outer.text(), link, snapLen)
	}
	if err != nil {
		return nil, err
	}
	return orElse(first, prog)
}

// orElse returns a program that gives a packet which the first one rejects to the second one.
func orElse(first, second []bpf.RawInstruction) ([]bpf.RawInstruction, error) {
	const (
		retConstant = 0x06 // BPF_RET | BPF_K
		jumpAlways  = 0x05 // BPF_JMP | BPF_JA
	)
	out := slices.Concat(first, second)
	for at, in := range first {
		if in.Op == retConstant && in.K == 0 {
			out[at] = bpf.RawInstruction{Op: jumpAlways, K: uint32(len(first) - at - 1)}
		}
	}
	if err := checkRunnable(out); err != nil {
		return nil, err
	}
	return out, nil
}

// text returns the filter in libpcap's language.
func (o Outer) text() string {
	var alternatives []string
	for _, p := range o.Protocols {
		alternatives = append(alternatives, fmt.Sprintf("ip proto %d or ip6 proto %d", p, p))
	}
	for _, p := range o.Ports {
		alternatives = append(alternatives, fmt.Sprintf("udp dst port %d", p))
	}
	return strings.Join(alternatives, " or ")
}

// outerProgram returns the program that accepts outer packets alone. It goes the way of tcpProgram.
func outerProgram(l ipIn, outer Outer, snapLen int) ([]bpf.RawInstruction, error) {
	var protocols, ports []uint32
	for _, p := range outer.Protocols {
		protocols = append(protocols, uint32(p))
	}
	for _, p := range outer.Ports {
		ports = append(ports, uint32(p))
	}
	t := newTCPAssembler(l, protocols, ports)
	rejectFirst := t.label()
	notIPv4, notIP := t.label(), rejectFirst
	if l.etherTypes {
		notIP = t.label()
	}
	t.loadProtocol(l)
	t.jumpIf(bpf.JumpEqual, l.ipv4, next, notIPv4)
	t.add(bpf.LoadAbsolute{Off: l.header + ipv4Protocol, Size: 1})
	t.jumpIf(bpf.JumpEqual, protoTCP, rejectFirst, next)
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(t.protocol)

	t.place(notIPv4)
	t.jumpIf(bpf.JumpEqual, l.ipv6, next, notIP)
	t.add(
		bpf.LoadAbsolute{Off: l.header + ipv6NextHeader, Size: 1},
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(t.extensions)
	t.place(rejectFirst)
	t.add(bpf.RetConstant{Val: 0})

	if l.etherTypes {
		t.place(notIP)
		t.betweenEtherTypes()
	} else {
		t.place(t.protocol)
		t.decide(t.intoIPv4, t.reject)
	}
	t.ipv6()
	if len(ports) > 0 {
		t.udp()
	}
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})
	t.place(t.accept)
	t.add(bpf.RetConstant{Val: uint32(snapLen)})
	return t.assemble()
}

// udp looks at the destination port of a UDP datagram. The index register holds the shift of the IPv4 header, or of what
// follows the IPv6 headers.
func (t *tcpAssembler) udp() {
	const destination = 2 // in a UDP header
	port := t.label()
	t.place(t.intoIPv4)
	t.add(bpf.LoadIndirect{Off: t.header + ipv4Fragment, Size: 2})
	t.jumpIf(bpf.JumpBitsSet, ipv4FragmentOffset, t.reject, next)
	t.add(
		bpf.LoadIndirect{Off: t.header, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f}, // header length in words
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
	t.jump(port)
	t.place(t.intoIPv6)
	t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: ipv6Len})
	t.place(port)
	t.add(
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadIndirect{Off: t.header + destination, Size: 2})
	for i, p := range t.ports {
		no := next
		if i == len(t.ports)-1 {
			no = t.reject
		}
		t.jumpIf(bpf.JumpEqual, p, t.accept, no)
	}
}
