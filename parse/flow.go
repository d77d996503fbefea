package parse

import "math/bits"

// Flow is a connection's pair of endpoints in ascending order, A before B, and which of them sent
// this segment.
type Flow struct {
	A, B Addr
	tag  uint64
}

// Flow.tag: the ports as (A's << 16 | B's) in the lower half, and these bits.
const (
	flowDir  = 1 << 32 // B sent the segment
	flowWide = 1 << 33 // one of the addresses is not IPv4 in its mapped form
)

// FlowOf is the flow of a segment from src to dst.
func FlowOf(src, dst Addr, srcPort, dstPort uint16) (f Flow) {
	f.A, f.B = src, dst
	f.order(srcPort, dstPort)
	return f
}

// Conn is f without its direction: the same for both.
func (f *Flow) Conn() Flow { return Flow{f.A, f.B, f.tag &^ flowDir} }

// NoFlow is a flow that no segment has, for its ends stand in descending order.
func NoFlow() Flow { return Flow{A: Addr{^uint64(0), ^uint64(0)}, tag: flowWide} }

// Dir is the direction of the segment: 0 if A sent it, 1 if B did.
func (f *Flow) Dir() uint32 { return uint32(f.tag>>32) & 1 }

// Ports are A's port in the upper half and B's in the lower.
func (f *Flow) Ports() uint32 { return uint32(f.tag) }

// PortsHigh is Ports in the upper half of a word, and 0 below.
func (f *Flow) PortsHigh() uint64 { return f.tag << 32 }

// Wide reports whether one of the addresses is not IPv4 in its mapped form.
func (f *Flow) Wide() bool { return f.tag&flowWide != 0 }

// Same reports whether both are flows of the same connection. The upper halves of the addresses
// are 0 unless the flow is wide.
func (f *Flow) Same(o *Flow) bool {
	return (f.A.Lo^o.A.Lo)|(f.B.Lo^o.B.Lo)|(f.tag^o.tag)&^flowDir == 0 &&
		(f.tag&flowWide == 0 || f.A.Hi == o.A.Hi && f.B.Hi == o.B.Hi)
}

// Endpoints returns the source and destination of direction dir.
func (f *Flow) Endpoints(dir int) (src, dst Addr, srcPort, dstPort uint16) {
	if dir == 0 {
		return f.A, f.B, uint16(f.tag >> 16), uint16(f.tag)
	}
	return f.B, f.A, uint16(f.tag), uint16(f.tag >> 16)
}

// set4 makes f the flow of an IPv4 segment, without a branch: directions alternate too
// unpredictably for one. src and dst are addresses above ports, 48 bits.
func (f *Flow) set4(src, dst uint64) {
	a, b := min(src, dst), max(src, dst)
	tag := uint64(uint32(a)<<16 | uint32(uint16(b)))
	if src >= dst {
		tag |= flowDir
	}
	f.A.Hi, f.A.Lo = 0, v4Mapped|a>>16
	f.B.Hi, f.B.Lo = 0, v4Mapped|b>>16
	f.tag = tag
}

// order makes f the flow of a segment from f.A to f.B, any addresses.
func (f *Flow) order(srcPort, dstPort uint16) {
	_, less := bits.Sub64(uint64(srcPort), uint64(dstPort), 0)
	_, less = bits.Sub64(f.A.Lo, f.B.Lo, less)
	_, less = bits.Sub64(f.A.Hi, f.B.Hi, less)
	f.tag = uint64(srcPort)<<16 | uint64(dstPort)
	if less == 0 {
		f.A, f.B = f.B, f.A
		f.tag = uint64(dstPort)<<16 | uint64(srcPort) | flowDir
	}
	if !f.A.Is4() || !f.B.Is4() {
		f.tag |= flowWide
	}
}
