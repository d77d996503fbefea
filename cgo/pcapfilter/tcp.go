package pcapfilter

import "golang.org/x/net/bpf"

// ipIn describes how a link type's packets distinguish IPv4 from IPv6, and where the IP header begins.
type ipIn struct {
	load       bpf.LoadAbsolute // loads the protocol
	mask       uint32           // its bits that count
	ipv4, ipv6 uint32
	header     uint32 // offset of the IP header in bytes
	etherTypes bool   // the protocol is an EtherType: tags, PPPoE and MPLS may come first
}

var ipInLink = map[LinkType]ipIn{
	EN10MB:    {bpf.LoadAbsolute{Off: 12, Size: 2}, 0xffff, etherIPv4, etherIPv6, 14, true},
	LinuxSLL:  {bpf.LoadAbsolute{Off: 14, Size: 2}, 0xffff, etherIPv4, etherIPv6, 16, true}, // sll_protocol, pcap/sll.h
	LinuxSLL2: {bpf.LoadAbsolute{Off: 0, Size: 2}, 0xffff, etherIPv4, etherIPv6, 20, true},  // sll2_protocol
	Raw:       {bpf.LoadAbsolute{Off: 0, Size: 1}, ipVersion, ipVersion4, ipVersion6, 0, false},
}

// Depth of what the program of "tcp" looks through. Package parse looks through eight of each.
const (
	maxTags       = 3 // VLAN tags
	maxLabels     = 4 // MPLS labels
	maxExtensions = 4 // IPv6 extension headers
)

// EtherTypes (IEEE 802 numbers), PPP and IP protocol numbers (IANA), and offsets in headers, in bytes.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100 // 802.1Q
	etherQinQ  = 0x88a8 // 802.1ad
	etherQinQ1 = 0x9100 // QinQ before 802.1ad
	etherPPPoE = 0x8864 // PPPoE session, RFC 2516
	etherMPLS  = 0x8847 // RFC 3032
	pppIPv4    = 0x0021
	pppIPv6    = 0x0057

	ipVersion  = 0xf0 // the bits of the first byte of an IP header that hold its version
	ipVersion4 = 0x40
	ipVersion6 = 0x60

	ipv4FragmentOffset = 0x1fff // the bits at ipv4Fragment that hold the offset

	ipv4Fragment   = 6 // RFC 791
	ipv4Protocol   = 9
	ipv6NextHeader = 6 // RFC 8200
	ipv6Len        = 40

	protoTCP         = 6
	protoUDP         = 17
	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoAuth        = 51 // RFC 4302
	protoDestination = 60
	protoMobility    = 135 // RFC 6275

	tagLen      = 4
	labelLen    = 4
	pppoeLen    = 6
	fragmentLen = 8
)

// tcpProgram returns the filter "tcp": TCP in IPv4 and IPv6, also behind VLAN tags, PPPoE, MPLS and IPv6
// extension headers. Like libpcap's program it takes every fragment of a TCP segment, and rejects packets that
// are too short for one of its loads.
//
// The ordinary packet comes first: five instructions for TCP in IPv4 over Ethernet, six in IPv6. Behind that
// the index register holds the shift: by how many bytes the IP header is farther back than in an ordinary
// packet. A program has no loops, so that each depth is written out.
func tcpProgram(l ipIn, snapLen int) ([]bpf.RawInstruction, error) {
	t := newTCPAssembler(l, []uint32{protoTCP}, nil)
	acceptFirst, rejectFirst := t.label(), t.label()
	notIPv4, notTCP, notIP := t.label(), t.label(), rejectFirst
	if l.etherTypes {
		notIP = t.label()
	}

	t.loadProtocol(l)
	t.jumpIf(bpf.JumpEqual, l.ipv4, next, notIPv4)
	t.add(bpf.LoadAbsolute{Off: l.header + ipv4Protocol, Size: 1})
	t.jumpIf(bpf.JumpEqual, protoTCP, acceptFirst, rejectFirst)

	t.place(notIPv4)
	t.jumpIf(bpf.JumpEqual, l.ipv6, next, notIP)
	t.add(bpf.LoadAbsolute{Off: l.header + ipv6NextHeader, Size: 1})
	t.jumpIf(bpf.JumpEqual, protoTCP, acceptFirst, notTCP)

	t.place(acceptFirst)
	t.add(bpf.RetConstant{Val: uint32(snapLen)})
	t.place(rejectFirst)
	t.add(bpf.RetConstant{Val: 0})

	t.place(notTCP)
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(t.extensions)
	if l.etherTypes {
		t.place(notIP)
		t.betweenEtherTypes()
	}
	t.ipv6()
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})
	t.place(t.accept)
	t.add(bpf.RetConstant{Val: uint32(snapLen)})
	return t.assemble()
}

// tcpAssembler builds the parts of tcpProgram, outerProgram and sampleProgram, which accept packets by their IP protocol,
// and those of one protocol by its header. header is where the IP header of an ordinary packet begins.
type tcpAssembler struct {
	assembler
	header                                        uint32
	protocols, ports                              []uint32 // to accept, and UDP destination ports
	into                                          uint32   // the protocol whose header decides; 0: none
	keepIPv6                                      bool     // memIPv6 gets the shift of the IPv6 header
	accept, reject                                label
	shiftedIPv4, shiftedIPv6, version, extensions label
	protocol                                      label // the accumulator holds that of an IPv4 header, the index register its shift
	intoIPv4, intoIPv6                            label // where the header of into is looked at
}

func newTCPAssembler(l ipIn, protocols, ports []uint32) *tcpAssembler {
	t := &tcpAssembler{header: l.header, protocols: protocols, ports: ports}
	if len(ports) > 0 {
		t.into = protoUDP
	}
	for _, l := range []*label{&t.accept, &t.reject, &t.shiftedIPv4, &t.shiftedIPv6, &t.version, &t.extensions,
		&t.protocol, &t.intoIPv4, &t.intoIPv6} {
		*l = t.label()
	}
	return t
}

// loadProtocol loads what tells IPv4 from IPv6.
func (t *tcpAssembler) loadProtocol(l ipIn) {
	t.add(l.load)
	if l.mask != 0xffff {
		t.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: l.mask})
	}
}

// decide goes by the IP protocol in the accumulator: to accept, to into or to no.
func (t *tcpAssembler) decide(into, no label) {
	for i, p := range t.protocols {
		if i == len(t.protocols)-1 && t.into == 0 {
			t.jumpIf(bpf.JumpEqual, p, t.accept, no)
			return
		}
		t.jumpIf(bpf.JumpEqual, p, t.accept, next)
	}
	t.jumpIf(bpf.JumpEqual, t.into, into, no)
}

// betweenEtherTypes goes from an EtherType in the accumulator to the IP header, whose shift it leaves in the
// index register.
func (t *tcpAssembler) betweenEtherTypes() {
	noTag, pppoe, mpls := t.label(), t.label(), t.label()
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	for i := range uint32(maxTags) {
		tag := t.label()
		t.jumpIf(bpf.JumpEqual, etherVLAN, tag, next)
		t.jumpIf(bpf.JumpEqual, etherQinQ, tag, next)
		t.jumpIf(bpf.JumpEqual, etherQinQ1, tag, noTag)
		t.place(tag)
		t.add(
			bpf.LoadConstant{Dst: bpf.RegX, Val: (i + 1) * tagLen},
			bpf.LoadAbsolute{Off: t.header + i*tagLen + 2, Size: 2})
		t.jumpIf(bpf.JumpEqual, etherIPv4, t.shiftedIPv4, next)
		t.jumpIf(bpf.JumpEqual, etherIPv6, t.shiftedIPv6, next)
	}
	t.place(noTag)
	t.jumpIf(bpf.JumpEqual, etherPPPoE, pppoe, next)
	t.jumpIf(bpf.JumpEqual, etherMPLS, mpls, t.reject)
	t.place(pppoe)
	t.pppoe()
	t.place(mpls)
	t.mpls()

	// The accumulator holds the length of what came last before the IP header.
	t.place(t.version)
	t.add(
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadIndirect{Off: t.header, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ipVersion})
	t.jumpIf(bpf.JumpEqual, ipVersion6, t.shiftedIPv6, next)
	t.jumpIf(bpf.JumpEqual, ipVersion4, t.shiftedIPv4, t.reject)
	t.place(t.shiftedIPv4)
	t.add(bpf.LoadIndirect{Off: t.header + ipv4Protocol, Size: 1})
	t.place(t.protocol)
	t.decide(t.intoIPv4, t.reject)
	t.place(t.shiftedIPv6)
	t.add(bpf.LoadIndirect{Off: t.header + ipv6NextHeader, Size: 1})
	// The extension headers come next.
}

// pppoe reads a session's PPP protocol field, which may be compressed to one byte (RFC 1661 section 6.5).
func (t *tcpAssembler) pppoe() {
	compressed, long, short := t.label(), t.label(), t.label()
	t.add(bpf.LoadIndirect{Off: t.header + pppoeLen, Size: 1})
	t.jumpIf(bpf.JumpBitsSet, 1, compressed, next)
	t.add(bpf.LoadIndirect{Off: t.header + pppoeLen, Size: 2})
	t.jumpIf(bpf.JumpEqual, pppIPv4, long, next)
	t.jumpIf(bpf.JumpEqual, pppIPv6, long, t.reject)
	t.place(long)
	t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: pppoeLen + 2})
	t.jump(t.version)
	t.place(compressed)
	t.jumpIf(bpf.JumpEqual, pppIPv4, short, next)
	t.jumpIf(bpf.JumpEqual, pppIPv6, short, t.reject)
	t.place(short)
	t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: pppoeLen + 1})
	t.jump(t.version)
}

// mpls looks for the bottom of the label stack (RFC 3032 section 2.1). It ends where the version is read.
func (t *tcpAssembler) mpls() {
	for i := range uint32(maxLabels) {
		bottom, deeper := t.label(), t.label()
		t.add(bpf.LoadIndirect{Off: t.header + i*labelLen + 2, Size: 1})
		if i == maxLabels-1 {
			deeper = t.reject
		}
		t.jumpIf(bpf.JumpBitsSet, 1, bottom, deeper)
		t.place(bottom)
		t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: (i + 1) * labelLen})
		if i < maxLabels-1 {
			t.jump(t.version)
			t.place(deeper)
		}
	}
}

// ipv6 walks the extension headers. The accumulator holds the next header's number, and the index register
// the shift of that header.
func (t *tcpAssembler) ipv6() {
	const kept = 0 // scratch memory
	at := t.header + ipv6Len
	t.place(t.extensions)
	if t.keepIPv6 {
		t.add(bpf.StoreScratch{Src: bpf.RegX, N: memIPv6})
	}
	for range maxExtensions {
		options, fragment, auth, skip := t.label(), t.label(), t.label(), t.label()
		t.decide(t.intoIPv6, next)
		t.jumpIf(bpf.JumpEqual, protoFragment, fragment, next)
		t.jumpIf(bpf.JumpEqual, protoHopByHop, options, next)
		t.jumpIf(bpf.JumpEqual, protoRouting, options, next)
		t.jumpIf(bpf.JumpEqual, protoDestination, options, next)
		t.jumpIf(bpf.JumpEqual, protoMobility, options, next)
		t.jumpIf(bpf.JumpEqual, protoAuth, auth, t.reject)
		t.place(options) // its length is in units of 8 bytes, without the first
		t.add(
			bpf.LoadIndirect{Off: at + 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})
		t.jump(skip)
		t.place(auth) // in units of 4 bytes, without the first two
		t.add(
			bpf.LoadIndirect{Off: at + 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
		t.jump(skip)
		t.place(fragment) // a later one holds no further header
		t.add(bpf.LoadIndirect{Off: at, Size: 1})
		for _, p := range t.protocols {
			t.jumpIf(bpf.JumpEqual, p, t.accept, next)
		}
		t.add(bpf.LoadIndirect{Off: at + 2, Size: 2})
		t.jumpIf(bpf.JumpBitsSet, 0xfff8, t.reject, next)
		t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: fragmentLen})
		t.place(skip)
		t.add(
			bpf.ALUOpX{Op: bpf.ALUOpAdd},
			bpf.StoreScratch{Src: bpf.RegA, N: kept},
			bpf.LoadIndirect{Off: at, Size: 1},
			bpf.LoadScratch{Dst: bpf.RegX, N: kept})
	}
	t.decide(t.intoIPv6, t.reject)
}
