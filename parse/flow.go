package parse

import "math/bits"

// Flow holds a connection's pair of endpoints in ascending order, a before b, and which of them sent the
// segment. Where addresses and ports alone do not tell connections apart, it has an identity beside them.
//
//	        a.Hi, b.Hi  a.Lo, b.Lo                           tag
//	narrow  0           16 zero bits │ IPv4 address │ port   32 zero bits       │ identity │ direction
//	wide    address     address                              a's port │ b's port │ identity │ wide, direction
//
// A flow between two IPv4 addresses, or IPv6 addresses that map them, is narrow. Its addresses and ports are
// as a little-endian load takes them from the wire: any order will do, and this one needs no bytes swapped.
type Flow struct {
	a, b Addr
	tag  uint64
}

// Bits of Flow.tag. Bits 2 to 31 hold the identity, the upper half the ports of a wide flow, a's << 16 | b's.
const (
	flowDir  = 1 << 0 // b sent the segment
	flowWide = 1 << 1

	flowIdentity = 2  // shift
	flowPorts    = 32 // shift
)

// MaxIdentity is the largest identity of a flow: 30 bits.
const MaxIdentity = 1<<(flowPorts-flowIdentity) - 1

// FlowOf returns the flow of a segment from src to dst.
func FlowOf(src, dst Addr, srcPort, dstPort uint16) (f Flow) {
	f.set(src, dst, srcPort, dstPort)
	return f
}

// Identity returns what tells f from flows of the same addresses and ports, 0 to MaxIdentity. 0: nothing does,
// as after every decode.
func (f *Flow) Identity() uint32 { return uint32(f.tag) >> flowIdentity }

// SetIdentity makes id f's identity: its lower 30 bits, the others are dropped. What it stands for is the caller's
// affair; both directions of a connection must have the same.
func (f *Flow) SetIdentity(id uint32) {
	f.tag = f.tag&^(MaxIdentity<<flowIdentity) | uint64(id&MaxIdentity)<<flowIdentity
}

// Identify is SetIdentity for a flow without an identity, as after a decode, and an id of at most MaxIdentity, which it
// does not check.
func (f *Flow) Identify(id uint32) { f.tag |= uint64(id) << flowIdentity }

// Plain reports whether f is narrow and has no identity, so that Narrow returns all of it but the direction.
func (f *Flow) Plain() bool { return f.tag&^flowDir == 0 }

// Conn returns f without its direction: the same for both. It keeps the identity.
func (f *Flow) Conn() Flow { return Flow{f.a, f.b, f.tag &^ flowDir} }

// NoFlow returns a flow that no segment has: its ends are in descending order.
func NoFlow() Flow { return Flow{a: Addr{^uint64(0), ^uint64(0)}, tag: flowWide} }

// Dir returns the direction of the segment: 0 if the lower end sent it, 1 if the higher did.
func (f *Flow) Dir() uint32 { return uint32(f.tag) & flowDir }

// Wide reports whether one of the addresses is neither IPv4 nor IPv4 in its mapped form.
func (f *Flow) Wide() bool { return f.tag&flowWide != 0 }

// Narrow returns both ends of a flow that is not wide.
func (f *Flow) Narrow() (a, b uint64) { return f.a.Lo, f.b.Lo }

// Words returns all of a flow but its direction, also of a narrow one, whose ends stand in a.Lo and b.Lo. The lower
// half of tags holds the ports of a wide flow, the upper half the identity.
func (f *Flow) Words() (a, b Addr, tags uint64) {
	return f.a, f.b, bits.RotateLeft64(f.tag&^(flowWide|flowDir), flowPorts)
}

// Same reports whether f and o belong to the same connection, which have the same identity. It compares the upper
// halves of the addresses in wide flows alone: elsewhere they are 0.
func (f *Flow) Same(o *Flow) bool {
	return (f.a.Lo^o.a.Lo)|(f.b.Lo^o.b.Lo)|(f.tag^o.tag)&^flowDir == 0 &&
		(f.tag&flowWide == 0 || f.a.Hi == o.a.Hi && f.b.Hi == o.b.Hi)
}

// Endpoints returns the source and destination of direction dir.
func (f *Flow) Endpoints(dir int) (src, dst Addr, srcPort, dstPort uint16) {
	src, dst, srcPort, dstPort = f.a, f.b, uint16(f.tag>>(flowPorts+16)), uint16(f.tag>>flowPorts)
	if !f.Wide() {
		src, srcPort = fromNarrow(f.a.Lo)
		dst, dstPort = fromNarrow(f.b.Lo)
	}
	if dir != 0 {
		return dst, src, dstPort, srcPort
	}
	return src, dst, srcPort, dstPort
}

// narrow returns one end of a narrow flow, and fromNarrow converts it back.
func narrow(a Addr, port uint16) uint64 {
	return uint64(bits.ReverseBytes32(uint32(a.Lo)))<<16 | uint64(bits.ReverseBytes16(port))
}

func fromNarrow(end uint64) (Addr, uint16) {
	return AddrFrom4(bits.ReverseBytes32(uint32(end >> 16))), bits.ReverseBytes16(uint16(end))
}

// setNarrow makes f the flow of an IPv4 segment. It has no branch, because directions alternate too
// unpredictably for one.
func (f *Flow) setNarrow(src, dst uint64) {
	tag := uint64(0)
	if src >= dst {
		tag = flowDir
	}
	f.a.Hi, f.a.Lo = 0, min(src, dst)
	f.b.Hi, f.b.Lo = 0, max(src, dst)
	f.tag = tag
}

// set makes f the flow of a segment from src to dst.
func (f *Flow) set(src, dst Addr, srcPort, dstPort uint16) {
	if src.Is4() && dst.Is4() {
		f.setNarrow(narrow(src, srcPort), narrow(dst, dstPort))
		return
	}
	_, less := bits.Sub64(uint64(srcPort), uint64(dstPort), 0)
	_, less = bits.Sub64(src.Lo, dst.Lo, less)
	_, less = bits.Sub64(src.Hi, dst.Hi, less)
	if less == 0 {
		*f = Flow{dst, src, uint64(dstPort)<<(flowPorts+16) | uint64(srcPort)<<flowPorts | flowWide | flowDir}
	} else {
		*f = Flow{src, dst, uint64(srcPort)<<(flowPorts+16) | uint64(dstPort)<<flowPorts | flowWide}
	}
}
