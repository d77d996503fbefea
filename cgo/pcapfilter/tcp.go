package pcapfilter

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// ipIn describes how a link type's packets distinguish IPv4 from IPv6, and where the IP header begins.
type ipIn struct {
	load       bpf.LoadAbsolute // loads the protocol
	mask       uint32           // its bits that count
	ipv4, ipv6 uint32
	header     uint32 // offset of the IP header in bytes
}

var ipInLink = map[LinkType]ipIn{
	EN10MB:    {bpf.LoadAbsolute{Off: 12, Size: 2}, 0xffff, 0x0800, 0x86dd, 14}, // EtherType
	LinuxSLL:  {bpf.LoadAbsolute{Off: 14, Size: 2}, 0xffff, 0x0800, 0x86dd, 16}, // sll_protocol, pcap/sll.h
	LinuxSLL2: {bpf.LoadAbsolute{Off: 0, Size: 2}, 0xffff, 0x0800, 0x86dd, 20},  // sll2_protocol
	Raw:       {bpf.LoadAbsolute{Off: 0, Size: 1}, 0xf0, 0x40, 0x60, 0},         // IP version
}

// tcpProgram returns the filter "tcp", assembled by hand. The BPF machine rejects packets that are too short
// for a load.
func tcpProgram(link LinkType, snapLen int) ([]bpf.RawInstruction, error) {
	l, ok := ipInLink[link]
	if !ok {
		return nil, fmt.Errorf("this build has no libpcap and knows no link type %d: "+
			"build with CGO_ENABLED=1 and libpcap's headers (Debian: libpcap-dev)", link)
	}
	const (
		protocol   = 9  // in the IPv4 header, RFC 791
		nextHeader = 6  // in the IPv6 header, RFC 8200
		ipv6Len    = 40 // of the IPv6 header; a fragment header begins with its own next header
		tcp        = 6
		fragment   = 44
	)
	return bpf.Assemble([]bpf.Instruction{
		l.load,
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: l.mask},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: l.ipv4, SkipFalse: 2},
		bpf.LoadAbsolute{Off: l.header + protocol, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: tcp, SkipTrue: 6, SkipFalse: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: l.ipv6, SkipFalse: 4},
		bpf.LoadAbsolute{Off: l.header + nextHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: fragment, SkipFalse: 1},
		bpf.LoadAbsolute{Off: l.header + ipv6Len, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: tcp, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: uint32(snapLen)},
	})
}
