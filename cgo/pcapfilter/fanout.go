package pcapfilter

import "golang.org/x/net/bpf"

// maxOpened is how many encapsulations within one another the program of Fanout opens. Package parse opens four.
const maxOpened = 2

// Fanout returns the program by which the sockets of a fanout group share out packets (PACKET_FANOUT_CBPF of packet(7),
// fanout_demux_bpf in net/packet/af_packet.c). It returns a hash that is the same for both directions of a TCP connection:
// that of Sample, with its upper bits taken to the lower ones, because the kernel divides by the number of sockets and
// because those of a sample have few upper bits. One program is for interfaces of all kinds:
//
//	packet                                           it returns a hash of
//	TCP where the program of "tcp" finds it          addresses and ports
//	the same in up to two encapsulations (tunnels)   the innermost addresses and ports
//	later fragments, which have no ports             the addresses of the IP header that says so
//	other IP, and what is nested deeper              the innermost addresses that it gets to
//	all else, and what ends before a field           nothing: 0
//
// The encapsulations are those of package parse: GRE, IPIP, SIT, VXLAN, GENEVE, GTP-U with up to two extension headers, and
// ERSPAN, over IPv4 and IPv6. Those that are not to be decoded do no harm.
//
// The kernel hands over a packet from its network header on where it arrives, without what it has taken out (the link
// header, the outer VLAN tag), and from its link header on where it is sent (dev_queue_xmit_nit in net/core/dev.c of Linux
// 6.18). No load is relative to the link header (SKF_LL_OFF): on older kernels those reach no page fragments
// (bpf_internal_load_pointer_neg_helper in kernel/bpf/core.c).
//
// A segment without options that arrives executes 51 instructions in IPv4, 70 in IPv6 (TestFanoutInstructions). The program has
// 430, with tunnels 1,160.
func Fanout(tunnels bool) ([]bpf.RawInstruction, error) {
	t := fanoutAssembler{tcpAssembler: tcpAssembler{header: 0}}
	t.segment, t.addresses, t.ports = t.label(), t.label(), t.label()
	depth := 0
	if tunnels {
		depth = maxOpened
	}
	levels := make([]fanoutLevel, depth+1)
	for i := range levels {
		levels[i] = fanoutLevel{t.label(), t.label(), t.label(), t.label()}
	}
	t.begin(levels[0])
	for i, l := range levels {
		t.reject, t.version = t.label(), t.label()
		t.link(l)
		t.place(t.version)
		t.add(bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
		t.ip(l)
		t.transport(levels[i+1:])
	}
	t.end()
	return t.runnable()
}

// Scratch memory of Fanout's program. The index register holds where a header is; what is kept across a load that needs
// another one is here, and what follows too.
const (
	memIP      = memIPv6 // where the innermost IP header is
	memVersion = 7       // of that header: 4 or 6
	memType    = 8       // EtherType, IP protocol or type of an extension header
	memFlags   = 9       // of a GRE header
	memTCP     = 10      // where the TCP header is; 0: there is none
)

// fanoutLevel holds the entries to the headers of a packet, the frame's own or one in an encapsulation. The index register
// holds where the header begins.
type fanoutLevel struct {
	etherType label // the accumulator holds it, and the index register where what follows begins
	version   label // IP, whose header has its version
	ipv4      label
	ipv6      label
}

// fanoutAssembler builds the parts of Fanout's program. The offsets of all loads are relative to the index register, but for
// the first ones.
type fanoutAssembler struct {
	tcpAssembler
	segment   label // the index register holds where a TCP header is
	addresses label // there is none
	ports     label // the addresses are hashed, the accumulator holds the source port and memPort the other one
}

// goIf goes to a label, however far it is, if the accumulator holds a value.
func (t *fanoutAssembler) goIf(value uint32, to label) {
	other := t.label()
	t.jumpIf(bpf.JumpEqual, value, next, other)
	t.jump(to)
	t.place(other)
}

// begin finds the network header, and hashes ordinary segments.
func (t *fanoutAssembler) begin(l fanoutLevel) {
	const (
		outgoing    = 4 // PACKET_OUTGOING, linux/if_packet.h
		etherTypeAt = 12
		etherLen    = 14
	)
	sent, isEthernet, isRaw := t.label(), t.label(), t.label()
	t.add(bpf.LoadExtension{Num: bpf.ExtType})
	t.goIf(outgoing, sent)
	t.ordinary(bpf.LoadExtension{Num: bpf.ExtProto}, 0)
	t.jump(l.etherType)

	t.place(sent)
	t.add(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	for _, hatype := range ethernetTypes {
		t.jumpIf(bpf.JumpEqual, hatype, isEthernet, next)
	}
	for _, hatype := range rawTypes {
		t.jumpIf(bpf.JumpEqual, hatype, isRaw, next)
	}
	t.add(bpf.RetConstant{Val: 0})
	t.place(isRaw)
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.jump(l.version)
	t.place(isEthernet)
	t.ordinary(bpf.LoadAbsolute{Off: etherTypeAt, Size: 2}, etherLen)
	t.jump(l.etherType)
}

// ordinary goes to ports with a segment in IPv4 without options, or in IPv6 without extension headers, whose header is at
// an offset. The kernel makes its loads a few instructions of the processor's, where those relative to the index register
// are calls (convert_bpf_ld_abs in net/core/filter.c of Linux 6.18). Of all else the accumulator holds the EtherType, which
// load gets, and the index register the offset.
func (t *fanoutAssembler) ordinary(load bpf.Instruction, at uint32) {
	const ipv4Len = 20
	notIPv4, other, other4, other6 := t.label(), t.label(), t.label(), t.label()
	word := func(off uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: at + off, Size: 4} }
	loadPorts := func(headers uint32) {
		t.add(
			bpf.LoadAbsolute{Off: at + headers + 2, Size: 2},
			bpf.StoreScratch{Src: bpf.RegA, N: memPort},
			bpf.LoadAbsolute{Off: at + headers, Size: 2})
		t.jump(t.ports)
	}
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: at}, load)
	t.jumpIf(bpf.JumpEqual, etherIPv4, next, notIPv4)
	t.add(bpf.LoadAbsolute{Off: at, Size: 1})
	t.jumpIf(bpf.JumpEqual, 0x45, next, other4) // version 4, 5 words
	t.add(bpf.LoadAbsolute{Off: at + ipv4Fragment, Size: 2})
	t.jumpIf(bpf.JumpBitsSet, ipv4FragmentOffset, other4, next)
	t.add(bpf.LoadAbsolute{Off: at + ipv4Protocol, Size: 1})
	t.jumpIf(bpf.JumpEqual, protoTCP, next, other4)
	t.ipv4AddressesBy(word)
	loadPorts(ipv4Len)

	t.place(notIPv4)
	t.jumpIf(bpf.JumpEqual, etherIPv6, next, other)
	t.add(bpf.LoadAbsolute{Off: at + ipv6NextHeader, Size: 1})
	t.jumpIf(bpf.JumpEqual, protoTCP, next, other6)
	t.ipv6AddressesBy(func() {}, word)
	loadPorts(ipv6Len)

	t.place(other4)
	t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: etherIPv4})
	t.jump(other)
	t.place(other6)
	t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: etherIPv6})
	t.place(other)
}

// link goes from an EtherType to the IP header, through tags, PPPoE and MPLS. It ends where the version is read, with the
// length of what came last in the accumulator.
func (t *fanoutAssembler) link(l fanoutLevel) {
	noTag, pppoe, mpls := t.label(), t.label(), t.label()
	t.place(l.etherType)
	for range maxTags {
		tag := t.label()
		t.goIf(etherIPv4, l.ipv4)
		t.goIf(etherIPv6, l.ipv6)
		t.jumpIf(bpf.JumpEqual, etherVLAN, tag, next)
		t.jumpIf(bpf.JumpEqual, etherQinQ, tag, next)
		t.jumpIf(bpf.JumpEqual, etherQinQ1, tag, noTag)
		t.place(tag)
		t.etherTypeAt(2, tagLen)
	}
	t.goIf(etherIPv4, l.ipv4)
	t.goIf(etherIPv6, l.ipv6)
	t.place(noTag)
	t.jumpIf(bpf.JumpEqual, etherPPPoE, pppoe, next)
	t.jumpIf(bpf.JumpEqual, etherMPLS, mpls, t.reject)
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})
	t.reject = t.label() // for what follows: jumps only lead forwards
	t.place(pppoe)
	t.pppoe()
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})
	t.reject = t.label()
	t.place(mpls)
	t.mpls()
}

// etherTypeAt loads an EtherType, and has the index register skip the header that it is in, of n bytes.
func (t *fanoutAssembler) etherTypeAt(off, n uint32) {
	t.add(
		bpf.LoadIndirect{Off: off, Size: 2},
		bpf.StoreScratch{Src: bpf.RegA, N: memType})
	t.skip(n)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
}

// skip adds n to the index register, and loses the accumulator.
func (t *fanoutAssembler) skip(n uint32) {
	t.add(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{})
}

// skipMore adds the accumulator and n to the index register.
func (t *fanoutAssembler) skipMore(n uint32) {
	t.add(bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{})
}

// ip goes from an IP header to what follows it. It ends with the protocol's number in the accumulator and where its header
// begins in the index register.
func (t *fanoutAssembler) ip(l fanoutLevel) {
	whole, done, later := t.label(), t.label(), t.label()
	t.place(l.version)
	t.add(
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: ipVersion})
	t.jumpIf(bpf.JumpEqual, ipVersion6, l.ipv6, next)
	t.jumpIf(bpf.JumpEqual, ipVersion4, l.ipv4, t.reject)
	t.place(t.reject)
	t.add(bpf.RetConstant{Val: 0})

	header := func(version uint32) {
		t.add(
			bpf.StoreScratch{Src: bpf.RegX, N: memIP},
			bpf.LoadConstant{Dst: bpf.RegA, Val: version},
			bpf.StoreScratch{Src: bpf.RegA, N: memVersion})
	}
	t.place(l.ipv4)
	header(4)
	t.add(bpf.LoadIndirect{Off: ipv4Fragment, Size: 2})
	t.jumpIf(bpf.JumpBitsSet, ipv4FragmentOffset, later, whole)
	t.place(whole)
	t.add(
		bpf.LoadIndirect{Off: ipv4Protocol, Size: 1},
		bpf.StoreScratch{Src: bpf.RegA, N: memType},
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f}, // header length in words
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
	t.skipMore(0)
	t.jump(done)

	t.place(l.ipv6)
	header(6)
	t.add(
		bpf.LoadIndirect{Off: ipv6NextHeader, Size: 1},
		bpf.StoreScratch{Src: bpf.RegA, N: memType})
	t.skip(ipv6Len)
	for range maxExtensions {
		options, fragment, auth, skip := t.label(), t.label(), t.label(), t.label()
		t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
		for _, p := range []uint32{protoHopByHop, protoRouting, protoDestination, protoMobility} {
			t.jumpIf(bpf.JumpEqual, p, options, next)
		}
		t.jumpIf(bpf.JumpEqual, protoFragment, fragment, next)
		t.jumpIf(bpf.JumpEqual, protoAuth, auth, done)
		// As in tcpAssembler.ipv6.
		t.place(fragment)
		t.add(bpf.LoadIndirect{Off: 2, Size: 2})
		t.jumpIf(bpf.JumpBitsSet, 0xfff8, later, next)
		t.add(bpf.LoadConstant{Dst: bpf.RegA, Val: fragmentLen})
		t.jump(skip)
		t.place(auth)
		t.add(
			bpf.LoadIndirect{Off: 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 2},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
		t.jump(skip)
		t.place(options)
		t.add(
			bpf.LoadIndirect{Off: 1, Size: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})
		t.place(skip)
		t.add(
			bpf.StoreScratch{Src: bpf.RegA, N: memFlags}, // the length
			bpf.LoadIndirect{Off: 0, Size: 1},
			bpf.StoreScratch{Src: bpf.RegA, N: memType},
			bpf.LoadScratch{Dst: bpf.RegA, N: memFlags})
		t.skipMore(0)
	}
	t.jump(done)
	t.place(later)
	t.jump(t.addresses)
	t.place(done)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
}

// transport goes by an IP protocol to the segment, or into the encapsulation that it is, if there is a level left.
func (t *fanoutAssembler) transport(inner []fanoutLevel) {
	t.goIf(protoTCP, t.segment)
	if len(inner) == 0 {
		t.jump(t.addresses)
		return
	}
	const (
		protoIPv4 = 4 // IANA
		protoIPv6 = 41
		protoGRE  = 47
	)
	in := inner[0]
	t.goIf(protoIPv4, in.ipv4)
	t.goIf(protoIPv6, in.ipv6)
	gre, udp, closed := t.label(), t.label(), t.label()
	t.jumpIf(bpf.JumpEqual, protoGRE, gre, next)
	t.jumpIf(bpf.JumpEqual, protoUDP, udp, closed)
	t.place(gre)
	t.gre(in, closed)
	t.place(closed)
	t.jump(t.addresses)
	closed = t.label()
	t.place(udp)
	t.datagram(in, closed)
	t.place(closed)
	t.jump(t.addresses)
}

// Protocol types of GRE and GENEVE, as in package parse.
const (
	etherBridged = 0x6558
	etherERSPAN  = 0x88be
	etherERSPAN3 = 0x22eb
)

// ethernet goes into an Ethernet frame.
func (t *fanoutAssembler) ethernet(in fanoutLevel) {
	t.etherTypeAt(12, 14)
	t.jump(in.etherType)
}

// gre goes into what a GRE header has behind it. Package parse has the sources.
func (t *fanoutAssembler) gre(in fanoutLevel, closed label) {
	const (
		greLen   = 4
		fieldLen = 4
		routing  = 0x4000
		version  = 0x0007
		sequence = 0x1000
	)
	optional := func(flag, shift uint32) { // the flag becomes the length of its field
		t.add(
			bpf.LoadScratch{Dst: bpf.RegA, N: memFlags},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flag},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: shift})
		t.skipMore(0)
	}
	frame, erspan, erspan3 := t.label(), t.label(), t.label()
	t.add(bpf.LoadIndirect{Off: 0, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: memFlags})
	t.jumpIf(bpf.JumpBitsSet, routing|version, closed, next)
	t.add(bpf.LoadIndirect{Off: 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: memType})
	t.skip(greLen)
	optional(0x8000, 13) // checksum
	optional(0x2000, 11) // key
	optional(sequence, 10)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
	t.goIf(etherIPv4, in.ipv4)
	t.goIf(etherIPv6, in.ipv6)
	t.jumpIf(bpf.JumpEqual, etherBridged, frame, next)
	t.jumpIf(bpf.JumpEqual, etherERSPAN, erspan, next)
	t.jumpIf(bpf.JumpEqual, etherERSPAN3, erspan3, closed)

	t.place(erspan)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memFlags})
	type2 := t.label()
	t.jumpIf(bpf.JumpBitsSet, sequence, type2, frame) // type I has no header of its own
	t.place(type2)
	t.erspanVersion(1, closed)
	t.skip(8)
	t.jump(frame)

	t.place(erspan3)
	t.erspanVersion(2, closed)
	t.add(
		bpf.LoadIndirect{Off: 10, Size: 1}, // P, FT and half of the hardware's number
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x7c},
		bpf.StoreScratch{Src: bpf.RegA, N: memType},
		bpf.LoadIndirect{Off: 11, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 1}, // O: there is a subheader of 8 bytes
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})
	t.skipMore(12)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
	t.goIf(2<<2, in.version) // FT: an IP packet
	t.jumpIf(bpf.JumpEqual, 0, frame, closed)

	t.place(frame)
	t.ethernet(in)
}

func (t *fanoutAssembler) erspanVersion(version uint32, closed label) {
	t.add(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	t.jumpIf(bpf.JumpEqual, version, next, closed)
}

// datagram goes into the encapsulation that a UDP datagram is by its destination port. Package parse has the sources.
func (t *fanoutAssembler) datagram(in fanoutLevel, closed label) {
	const (
		portVXLAN, portVXLANLinux = 4789, 8472
		portGENEVE, portGTPU      = 6081, 2152
		udpLen                    = 8
		maxGTPExtensions          = 2
	)
	vxlan, geneve, gtpu, frame := t.label(), t.label(), t.label(), t.label()
	t.add(bpf.LoadIndirect{Off: 2, Size: 2})
	t.jumpIf(bpf.JumpEqual, portVXLAN, vxlan, next)
	t.jumpIf(bpf.JumpEqual, portVXLANLinux, vxlan, next)
	t.jumpIf(bpf.JumpEqual, portGENEVE, geneve, next)
	t.jumpIf(bpf.JumpEqual, portGTPU, gtpu, closed)

	t.place(gtpu)
	optional, extended, done := t.label(), t.label(), t.label()
	t.add(bpf.LoadIndirect{Off: udpLen, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0})
	t.jumpIf(bpf.JumpEqual, 0x30, next, closed) // version 1, protocol type GTP
	t.add(bpf.LoadIndirect{Off: udpLen + 1, Size: 1})
	t.jumpIf(bpf.JumpEqual, 255, next, closed) // G-PDU
	t.add(bpf.LoadIndirect{Off: udpLen, Size: 1})
	t.jumpIf(bpf.JumpBitsSet, 0x07, optional, next)
	t.skip(udpLen + 8)
	t.jump(in.version)
	t.place(optional)
	t.jumpIf(bpf.JumpBitsSet, 0x04, extended, next)
	t.skip(udpLen + 12)
	t.jump(in.version)
	t.place(extended)
	t.add(bpf.LoadIndirect{Off: udpLen + 11, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: memType})
	t.skip(udpLen + 12)
	for range maxGTPExtensions {
		t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
		t.jumpIf(bpf.JumpEqual, 0, done, next)
		t.add(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
		t.jumpIf(bpf.JumpEqual, 0, closed, next)
		t.add(bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: 1}, bpf.TAX{})
		t.add(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: memType}) // its last byte
		t.skip(1)
	}
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
	t.jumpIf(bpf.JumpEqual, 0, done, closed)
	t.place(done)
	t.jump(in.version)

	t.place(geneve)
	t.add(bpf.LoadIndirect{Off: udpLen, Size: 2})
	t.jumpIf(bpf.JumpBitsSet, 0xc080, closed, next) // another version, or a control message
	t.add(
		bpf.LoadIndirect{Off: udpLen + 2, Size: 2},
		bpf.StoreScratch{Src: bpf.RegA, N: memType},
		bpf.LoadIndirect{Off: udpLen, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x3f}, // length of the options in words
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2})
	t.skipMore(udpLen + 8)
	t.add(bpf.LoadScratch{Dst: bpf.RegA, N: memType})
	t.goIf(etherIPv4, in.ipv4)
	t.goIf(etherIPv6, in.ipv6)
	t.jumpIf(bpf.JumpEqual, etherBridged, frame, closed)

	t.place(vxlan)
	t.add(bpf.LoadIndirect{Off: udpLen, Size: 1})
	t.jumpIf(bpf.JumpBitsSet, 0x08, next, closed)
	t.skip(udpLen + 8)
	t.place(frame)
	t.ethernet(in)
}

// end hashes the addresses of the innermost IP header and the ports, if there are any, and returns the hash.
func (t *fanoutAssembler) end() {
	six, hashed, none := t.label(), t.label(), t.label()
	t.place(t.addresses)
	t.add(bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	t.place(t.segment)
	t.add(
		bpf.StoreScratch{Src: bpf.RegX, N: memTCP},
		bpf.LoadScratch{Dst: bpf.RegA, N: memVersion})
	t.jumpIf(bpf.JumpEqual, 6, six, next)
	t.add(bpf.LoadScratch{Dst: bpf.RegX, N: memIP})
	t.ipv4Addresses()
	t.jump(hashed)
	t.place(six)
	t.ipv6Addresses()
	t.place(hashed)
	t.add(
		bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: memPort},
		bpf.LoadScratch{Dst: bpf.RegA, N: memTCP})
	t.jumpIf(bpf.JumpEqual, 0, none, next)
	t.add(bpf.LoadScratch{Dst: bpf.RegX, N: memTCP})
	t.loadPorts()
	t.place(none)
	t.place(t.ports)
	t.mixPorts()
	t.xorShifted(16)
	t.add(bpf.RetA{})
}
