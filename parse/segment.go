package parse

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IP address as two words in network order. An IPv4 address has its IPv4-mapped form,
// ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that one key type serves both families.
type Addr struct{ Hi, Lo uint64 }

// v4Mapped is the ::ffff:0:0/96 prefix as it stands in Addr.Lo.
const v4Mapped = 0xffff << 32

// AddrFrom4 is the mapped form of an IPv4 address in host order.
func AddrFrom4(v4 uint32) Addr { return Addr{Lo: v4Mapped | uint64(v4)} }

// AddrFrom converts a; IPv4 is mapped, a zone is dropped.
func AddrFrom(a netip.Addr) Addr {
	b := a.As16()
	return Addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Is4 reports whether a is an IPv4 address in its mapped form.
func (a Addr) Is4() bool { return a.Hi == 0 && a.Lo>>32 == 0xffff }

// Netip converts a; a mapped IPv4 address comes back as plain IPv4.
func (a Addr) Netip() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.Hi)
	binary.BigEndian.PutUint64(b[8:], a.Lo)
	return netip.AddrFrom16(b).Unmap()
}

// Flags are the control bits of a TCP header (RFC 9293 section 3.1).
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
	// LenUnknown is not on the wire. It is set when Segment.Len means nothing: the data offset lies
	// beyond the segment, or the packet is the first of several IP fragments. Such a segment is
	// counted, not analysed.
	LenUnknown
	// Fragmented is not on the wire. It is set, beside LenUnknown, when the packet is the first of several
	// IP fragments. Such a segment opens no connection.
	Fragmented
	// OverIPv6 is not on the wire. It is set when the packet is one of IPv6.
	OverIPv6
	// Timestamped is not on the wire. It is set when the segment carries a timestamps option: see Options.
	Timestamped
)

// Segment is one TCP segment as the analysis sees it. One Segment is reused for many frames:
// every field is written by each successful decode. One cache line.
type Segment struct {
	Flow
	// Ack and Seq stand in this order, as do Window and Flags, so that one store writes both.
	Ack, Seq Seq
	// Len is the TCP payload in bytes by the IP header's lengths, bounded by the length on the
	// wire, never by the captured length. 0 if Flags has LenUnknown.
	Len uint32
	// WireLen is the frame's length on the wire in bytes, link header included.
	WireLen uint32
	// Window is the advertised window as it stands in the header, unscaled.
	Window uint16
	Flags  Flags
	// Options are what is read of the TCP options: of a SYN those that only a SYN may carry, of other
	// segments the timestamp.
	Options Options
}
