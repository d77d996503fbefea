package gen

import "encoding/binary"

// Offsets and lengths in a frame, in bytes.
const (
	etherLen      = 14
	ipv4Len       = 20 // without options, RFC 791
	tcpLen        = 20 // without options, RFC 9293 section 3.1
	tcpChecksumAt = 16 // from tcpAt
	ipv4At        = etherLen
	tcpAt         = ipv4At + ipv4Len
	headersLen    = tcpAt + tcpLen
	synOptionsLen = 12
	maxTotalLen   = 65535 // the IPv4 total length is a 16-bit field
)

// TCP flags, RFC 9293 section 3.1.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagPSH = 0x08
	flagACK = 0x10
)

const (
	etherTypeIPv4 = 0x0800
	protocolTCP   = 6
	ttl           = 64
	window        = 65535 // as on the wire
	windowShift   = 7     // RFC 7323 section 2.2: after the handshake the window is window<<windowShift bytes
	minMSS        = 1460
)

// segment holds the fields that differ from one frame to the next.
type segment struct {
	src, dst         uint32
	srcPort, dstPort uint16
	seq, ack         uint32
	flags            uint8
	payload          int  // bytes behind the TCP header, all of them zero
	burst            bool // the kernel cuts the payload into segments and completes their checksums
	totalLen         int  // IPv4 total length if it is to differ from the true one, else 0
}

// putEther writes an Ethernet header.
func putEther(b []byte, dst, src [6]byte) {
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	binary.BigEndian.PutUint16(b[12:14], etherTypeIPv4)
}

// put writes the IPv4 and TCP headers of s behind the Ethernet header that b already holds and
// returns the length of all headers in bytes. The payload is not written: b, if it holds one, is
// zero there from the start, and put keeps it so. b must have room for the options of a SYN.
//
// Because the payload is zero, it adds nothing to the TCP checksum (RFC 9293 section 3.1: the
// ones' complement sum of all 16-bit words): each checksum is a handful of additions whatever the
// length, cheaper than updating the old one (RFC 1624), which would have to read it first.
func put(b []byte, s *segment, mss uint16, tcpChecksum bool) int {
	b = b[:len(b):len(b)]
	_ = b[headersLen+synOptionsLen-1] // proves the constant offsets below

	dataOff, options := uint32(tcpLen), uint64(0)
	if s.flags&flagSYN != 0 {
		dataOff += synOptionsLen
		// Maximum segment size; NOP, window scale; NOP, NOP, SACK permitted.
		o0 := 0x02040000 | uint32(mss)
		const o1, o2 = 0x01030300 | windowShift, 0x01010402
		binary.BigEndian.PutUint32(b[headersLen:], o0)
		binary.BigEndian.PutUint32(b[headersLen+4:], o1)
		binary.BigEndian.PutUint32(b[headersLen+8:], o2)
		options = uint64(o0) + o1 + o2
	} else {
		// Wipes the options of a SYN that was in this buffer before.
		binary.BigEndian.PutUint64(b[headersLen:], 0)
		binary.BigEndian.PutUint32(b[headersLen+8:], 0)
	}
	tcpTotal := int(dataOff) + s.payload
	totalLen := ipv4Len + tcpTotal
	if s.totalLen != 0 {
		totalLen = s.totalLen
		tcpTotal = totalLen - ipv4Len
	}
	addrs := uint64(s.src) + uint64(s.dst)

	const dontFragment = 0x4000
	ip0 := 0x45000000 | uint32(totalLen)
	const ip2 = ttl<<24 | protocolTCP<<16
	binary.BigEndian.PutUint32(b[ipv4At:], ip0)
	binary.BigEndian.PutUint32(b[ipv4At+4:], dontFragment) // identification 0: RFC 6864 section 4.1
	binary.BigEndian.PutUint32(b[ipv4At+8:], ip2|uint32(fold(uint64(ip0)+dontFragment+ip2+addrs)))
	binary.BigEndian.PutUint32(b[ipv4At+12:], s.src)
	binary.BigEndian.PutUint32(b[ipv4At+16:], s.dst)

	ports := uint32(s.srcPort)<<16 | uint32(s.dstPort)
	tcp3 := dataOff<<26 | uint32(s.flags)<<16 | window
	binary.BigEndian.PutUint32(b[tcpAt:], ports)
	binary.BigEndian.PutUint32(b[tcpAt+4:], s.seq)
	binary.BigEndian.PutUint32(b[tcpAt+8:], s.ack)
	binary.BigEndian.PutUint32(b[tcpAt+12:], tcp3)
	var sum uint16
	switch {
	case s.burst:
		// What the kernel starts from: the sum over the pseudo-header, not complemented.
		sum = ^fold(addrs + protocolTCP + uint64(tcpTotal))
	case tcpChecksum:
		sum = fold(addrs + protocolTCP + uint64(tcpTotal) + uint64(ports) +
			uint64(s.seq) + uint64(s.ack) + uint64(tcp3) + options)
	}
	binary.BigEndian.PutUint32(b[tcpAt+16:], uint32(sum)<<16) // urgent pointer 0
	return etherLen + ipv4Len + int(dataOff)
}

// fold turns a sum of big-endian 32-bit words into the Internet checksum of those words: ones'
// complement addition does not care about the width it is done in (RFC 1071 section 2).
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum)
}
