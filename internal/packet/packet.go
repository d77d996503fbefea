// Package packet builds TCP packets byte by byte for tests and benchmarks. It is written
// independently of package parse, which has to understand what comes out of it.
package packet

import (
	"encoding/binary"
	"net/netip"
)

// Control bits of a TCP header (RFC 9293 section 3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// TCP describes one segment.
type TCP struct {
	Src, Dst  netip.AddrPort
	Seq, Ack  uint32
	Flags     uint8
	Window    uint16
	Options   []byte // a multiple of 4 bytes
	IPOptions []byte // IPv4 only, a multiple of 4 bytes
	ID        uint16 // IPv4 only
	Payload   int    // bytes, all zero
}

// IP returns the packet from the IP header on.
func (p TCP) IP() []byte {
	tcp := make([]byte, 20+len(p.Options)+p.Payload)
	binary.BigEndian.PutUint16(tcp[0:], p.Src.Port())
	binary.BigEndian.PutUint16(tcp[2:], p.Dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], p.Seq)
	binary.BigEndian.PutUint32(tcp[8:], p.Ack)
	tcp[12] = uint8(5+len(p.Options)/4) << 4
	tcp[13] = p.Flags
	binary.BigEndian.PutUint16(tcp[14:], p.Window)
	copy(tcp[20:], p.Options)

	if p.Src.Addr().Is6() {
		ip := make([]byte, 40, 40+len(tcp))
		ip[0] = 0x60
		binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
		ip[6], ip[7] = 6, 64
		src, dst := p.Src.Addr().As16(), p.Dst.Addr().As16()
		copy(ip[8:], src[:])
		copy(ip[24:], dst[:])
		return append(ip, tcp...)
	}
	ihl := 20 + len(p.IPOptions)
	ip := make([]byte, ihl, ihl+len(tcp))
	ip[0] = 0x40 | uint8(ihl/4)
	binary.BigEndian.PutUint16(ip[2:], uint16(ihl+len(tcp)))
	binary.BigEndian.PutUint16(ip[4:], p.ID)
	ip[8], ip[9] = 64, 6
	src, dst := p.Src.Addr().As4(), p.Dst.Addr().As4()
	copy(ip[12:], src[:])
	copy(ip[16:], dst[:])
	copy(ip[20:], p.IPOptions)
	return append(ip, tcp...)
}

// Ethernet returns the packet in an Ethernet frame, behind the given VLAN tags (TPID and TCI in
// one number, outermost first).
func (p TCP) Ethernet(tags ...uint32) []byte {
	b := make([]byte, 12)
	b[5], b[11] = 2, 1
	for _, t := range tags {
		b = binary.BigEndian.AppendUint32(b, t)
	}
	typ := uint16(0x0800)
	if p.Src.Addr().Is6() {
		typ = 0x86dd
	}
	return append(binary.BigEndian.AppendUint16(b, typ), p.IP()...)
}

// Fragments returns the packet in two Ethernet frames (RFC 791, RFC 8200 section 4.5): the first has the
// first n bytes behind the IP header, a multiple of 8.
func (p TCP) Fragments(n int) (first, second []byte) {
	const id = 0x1234
	b, header := p.Ethernet(), 14+20+len(p.IPOptions)
	if p.Src.Addr().Is6() {
		header = 14 + 40
	}
	of := func(payload []byte, offset int, more uint16) []byte {
		f := append([]byte(nil), b[:header]...)
		ip := f[14:]
		if p.Src.Addr().Is6() {
			binary.BigEndian.PutUint16(ip[4:], uint16(8+len(payload)))
			ip[6] = 44 // a fragment header comes next
			f = append(f, 6, 0)
			f = binary.BigEndian.AppendUint16(f, uint16(offset)|more)
			f = binary.BigEndian.AppendUint32(f, id)
			return append(f, payload...)
		}
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(payload)))
		binary.BigEndian.PutUint16(ip[4:], id)
		binary.BigEndian.PutUint16(ip[6:], uint16(offset/8)|more<<13)
		return append(f, payload...)
	}
	return of(b[header:header+n], 0, 1), of(b[header+n:], n, 0)
}
