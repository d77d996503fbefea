package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// Key is a connection's pair of endpoints in ascending order, the same for both directions.
type Key struct {
	A, B  parse.Addr // A:port <= B:port, compared as address, then port
	Ports uint32     // A's port in the upper half, B's in the lower
}

// noKey is the key of records that are not in the table: no packet has it, for its ends stand in
// descending order. A look-up may then compare a record that a slot points to without knowing
// whether the slot is in use.
var noKey = Key{A: parse.Addr{Hi: ^uint64(0), Lo: ^uint64(0)}}

// KeyOf returns the key of seg's connection and the direction of seg: 0 if A sent it, 1 if B did.
// The order is found without branches: directions alternate too unpredictably for one.
func KeyOf(seg *parse.Segment, k *Key) (dir uint32) {
	if src, dst, ok := narrow(seg); ok {
		return k.set(src, dst)
	}
	return keyOf6(seg, k)
}

// narrow returns both ends of seg, each in one word with the address above the port. That is so for
// IPv4, whose mapped form takes 48 bits.
func narrow(seg *parse.Segment) (src, dst uint64, ok bool) {
	return seg.Src.Lo<<16 | uint64(seg.SrcPort), seg.Dst.Lo<<16 | uint64(seg.DstPort),
		seg.Src.Hi|seg.Dst.Hi|(seg.Src.Lo|seg.Dst.Lo)>>48 == 0
}

// set makes k the key of two narrow ends.
func (k *Key) set(src, dst uint64) (dir uint32) {
	a, b := min(src, dst), max(src, dst)
	k.A.Hi, k.A.Lo = 0, a>>16
	k.B.Hi, k.B.Lo = 0, b>>16
	k.Ports = uint32(a)<<16 | uint32(uint16(b))
	if src >= dst {
		dir = 1
	}
	return dir
}

// keyOf6 is KeyOf for any addresses.
func keyOf6(seg *parse.Segment, k *Key) (dir uint32) {
	_, less := bits.Sub64(uint64(seg.SrcPort), uint64(seg.DstPort), 0)
	_, less = bits.Sub64(seg.Src.Lo, seg.Dst.Lo, less)
	_, less = bits.Sub64(seg.Src.Hi, seg.Dst.Hi, less)
	swap := less - 1 // all ones unless the source comes first
	lo := (seg.Src.Lo ^ seg.Dst.Lo) & swap
	hi := (seg.Src.Hi ^ seg.Dst.Hi) & swap
	port := uint32(seg.SrcPort^seg.DstPort) & uint32(swap)
	k.A.Lo, k.B.Lo = seg.Src.Lo^lo, seg.Dst.Lo^lo
	k.A.Hi, k.B.Hi = seg.Src.Hi^hi, seg.Dst.Hi^hi
	k.Ports = (uint32(seg.SrcPort)^port)<<16 | (uint32(seg.DstPort) ^ port)
	return uint32(1 - less)
}

// Endpoints returns the source and destination of direction dir.
func (k *Key) Endpoints(dir int) (src, dst parse.Addr, srcPort, dstPort uint16) {
	if dir == 0 {
		return k.A, k.B, uint16(k.Ports >> 16), uint16(k.Ports)
	}
	return k.B, k.A, uint16(k.Ports), uint16(k.Ports >> 16)
}

// same compares without a call and without a branch per word.
func (k *Key) same(o *Key) bool {
	return (k.A.Lo^o.A.Lo)|(k.B.Lo^o.B.Lo)|(k.A.Hi^o.A.Hi)|(k.B.Hi^o.B.Hi)|uint64(k.Ports^o.Ports) == 0
}

// Seeds key the hash. They must be random and secret.
type Seeds [5]uint64

// hash mixes the key with 64×64→128-bit multiplications of words masked by the seeds. Without the
// seeds nobody can tell which keys share a group.
func (s *Seeds) hash(k *Key) uint64 {
	if k.A.Hi|k.B.Hi|(k.A.Lo|k.B.Lo)>>48 == 0 {
		return s.narrow(k.A.Lo<<16|uint64(k.Ports>>16), k.B.Lo<<16|uint64(k.Ports&0xffff))
	}
	h := mix(k.A.Lo^s[0], k.B.Lo^s[1]) ^ mix(k.A.Hi^s[2], k.B.Hi^s[3])
	return mix(h^s[4], uint64(k.Ports)^s[2])
}

// narrow is hash for narrow ends, in ascending order.
func (s *Seeds) narrow(a, b uint64) uint64 { return mix(mix(a^s[0], b^s[1]), s[2]) }

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
