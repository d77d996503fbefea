package parse

import (
	"encoding/binary"
	"net/netip"
)

// Addr holds an IP address as two words in network order. An IPv4 address has its IPv4-mapped form,
// ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that one key type serves both families.
type Addr struct{ Hi, Lo uint64 }

// v4Mapped is the ::ffff:0:0/96 prefix as it stands in Addr.Lo.
const v4Mapped = 0xffff << 32

// AddrFrom4 returns the mapped form of an IPv4 address in host order.
func AddrFrom4(v4 uint32) Addr { return Addr{Lo: v4Mapped | uint64(v4)} }

// AddrFrom converts a. It maps IPv4, and drops a zone.
func AddrFrom(a netip.Addr) Addr {
	b := a.As16()
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Is4 reports whether a is an IPv4 address in its mapped form.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Netip converts a. It returns a mapped IPv4 address as plain IPv4.
func (a Addr) Netip() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b).Unmap()
}

// Flags holds the control bits of a TCP header (RFC 9293 section 3.1), and some that are not on the wire.
type Flags uint16

const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	// LenUnknown marks a meaningless Segment.Len: the data offset lies beyond the segment, or the packet
	// is the first of several IP fragments. Such a segment is counted, not analysed.
	LenUnknown
	// Fragmented marks a packet that is the first of several IP fragments. LenUnknown is set, too. Such a
	// segment opens no connection.
	Fragmented
	// OverIPv6 marks an IPv6 packet.
	OverIPv6
	// Timestamped marks a segment with a timestamps option: see Options.
	Timestamped
)

// Segment holds one TCP segment as the analysis sees it, in one cache line. It can be reused for many frames:
// each successful decode writes every field.
type Segment struct {
	Flow
	// Ack comes before Seq, and Window before Flags, so that one store writes both.
	Ack, Seq Seq
	// Len is the length of the TCP payload in bytes by the IP header, bounded by the length on the wire,
	// never by the captured length. 0 if Flags has LenUnknown.
	Len uint32
	// WireLen is the frame's length on the wire in bytes, link header and encapsulations included.
	WireLen uint32
	// Window is the advertised window as in the header, unscaled.
	Window uint16
	Flags  Flags
	// Options holds those TCP options that are read.
	Options Options
}
