package packet

import "encoding/binary"

// IP protocols, and protocol types of GRE and GENEVE.
const (
	ProtoIPv4 = 4
	ProtoUDP  = 17
	ProtoIPv6 = 41
	ProtoGRE  = 47

	TypeIPv4     = 0x0800
	TypeIPv6     = 0x86dd
	TypeBridged  = 0x6558 // an Ethernet frame
	TypeERSPAN   = 0x88be // types I and II
	TypeERSPAN3  = 0x22eb
	GREChecksum  = 0x8000
	GREKey       = 0x2000
	GRESequence  = 0x1000
	GTPExtension = 0x04
	GTPSequence  = 0x02
)

// TypeOf returns the EtherType of an IP packet.
func TypeOf(ip []byte) uint16 {
	if ip[0]>>4 == 6 {
		return TypeIPv6
	}
	return TypeIPv4
}

// InEthernet returns an Ethernet frame with a payload, which has VLAN tags as in TCP.Ethernet.
func InEthernet(etherType uint16, payload []byte, tags ...uint32) []byte {
	b := make([]byte, 12)
	b[5], b[11] = 3, 4
	for _, t := range tags {
		b = binary.BigEndian.AppendUint32(b, t)
	}
	return append(binary.BigEndian.AppendUint16(b, etherType), payload...)
}

// InIPv4 returns an IPv4 packet from 192.0.2.1 to 192.0.2.2 with a payload of a protocol. Its checksum is right, so that
// a kernel takes it.
func InIPv4(protocol byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	copy(b[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	return append(b, payload...)
}

// InIPv6 returns an IPv6 packet from 2001:db8::1 to 2001:db8::2 with a payload that begins with a next header.
func InIPv6(next byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], []byte{0x20, 1, 0xd, 0xb8, 15: 1})
	copy(b[24:], []byte{0x20, 1, 0xd, 0xb8, 15: 2})
	return append(b, payload...)
}

// InUDP returns a datagram to a port with a payload, without a checksum.
func InUDP(port uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, 49152)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// InGRE returns a GRE packet (RFC 2784, RFC 2890) with the fields that its flags ask for.
func InGRE(flags, typ uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, flags)
	b = binary.BigEndian.AppendUint16(b, typ)
	for _, field := range []uint16{GREChecksum, GREKey, GRESequence} {
		if flags&field != 0 {
			b = append(b, 0, 0, 0, 7)
		}
	}
	return append(b, payload...)
}

// InERSPAN2 returns a mirrored frame behind the header of ERSPAN type II; GRE comes around it, with a sequence number.
func InERSPAN2(cut bool, frame []byte) []byte {
	b := []byte{0x10, 5, 0x18, 9, 0, 0, 0, 1} // version 1, VLAN 5, tag in the frame, session 9, index
	if cut {
		b[2] |= 4
	}
	return append(b, frame...)
}

// InERSPAN3 returns a mirrored frame, or an IP packet, behind the header of ERSPAN type III, which has a platform
// specific subheader if it is asked for.
func InERSPAN3(cut, subheader, ip bool, frame []byte) []byte {
	b := []byte{0x20, 5, 0, 9, 1, 2, 3, 4, 0, 0, 0x80, 0x08} // version 2, session 9, timestamp, SGT, P, direction
	if cut {
		b[2] |= 4
	}
	if ip {
		b[10] = 2 << 2
	}
	if subheader {
		b[11] |= 1
		b = append(b, 0x0c, 0, 0, 0, 0, 0, 0, 0) // platform 3
	}
	return append(b, frame...)
}

// InVXLAN returns a frame behind a VXLAN header (RFC 7348).
func InVXLAN(frame []byte) []byte { return append([]byte{8, 0, 0, 0, 0, 0, 42, 0}, frame...) }

// InGENEVE returns a payload behind a GENEVE header (RFC 8926) with so many bytes of options, a multiple of 4: 0, or 4 and
// more in one option each of at most 128 bytes.
func InGENEVE(typ uint16, options int, payload []byte) []byte {
	b := []byte{byte(options / 4), 0, byte(typ >> 8), byte(typ), 0, 0, 42, 0}
	for options > 0 {
		n := min(options, 128)
		b = append(b, 0xff, 0xff, 1, byte(n/4-1)) // an experimental class
		b = append(b, make([]byte, n-4)...)
		options -= n
	}
	return append(b, payload...)
}

// InGTPU returns an IP packet as a G-PDU (3GPP TS 29.281), with so many extension headers of 4 bytes.
func InGTPU(flags byte, extensions int, ip []byte) []byte {
	var more []byte
	if extensions > 0 {
		flags |= GTPExtension
	}
	if flags&7 != 0 {
		more = []byte{0, 1, 0, 0}
		for range extensions {
			more[len(more)-1] = 0x85 // PDU session container
			more = append(more, 1, 0, 1, 0)
		}
	}
	b := []byte{0x30 | flags, 255}
	b = binary.BigEndian.AppendUint16(b, uint16(len(more)+len(ip)))
	return append(append(append(b, 0, 0, 0, 9), more...), ip...)
}
