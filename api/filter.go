package api

import (
	"encoding/binary"
	"net/netip"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// state says whether streams of one state are wanted, or of both.
type state uint8

const (
	anyState state = iota
	active
	finalized
)

// filter says which streams are wanted. The zero value lets all pass.
type filter struct {
	either, src, dst prefix
	byEnds           bool // something beside the port and the figures is asked for
	byPort           bool
	port             uint16
	group, service   *string // nil: any
	iface            *string
	byVLAN           bool
	vlan             parse.VLANs
	state            state
	minBytes         uint64
}

// matches reports whether stream v of s passes. What costs least comes first.
func (f *filter) matches(s *exposition.Streams, v *stream.View, o *Options) bool {
	if v.Bytes < f.minBytes || f.state != anyState && (f.state == finalized) != v.Finalized {
		return false
	}
	if f.byPort && v.SrcPort != f.port && v.DstPort != f.port {
		return false
	}
	if !f.byEnds {
		return true
	}
	e := v.Ends(s.Wide)
	if !f.src.has(e.Src) || !f.dst.has(e.Dst) || !f.either.has(e.Src) && !f.either.has(e.Dst) {
		return false
	}
	if f.byVLAN && e.VLANs != f.vlan {
		return false
	}
	if f.iface != nil && (e.IfIndex == 0 && !e.Shared || s.Interface(&e.Origin) != *f.iface) {
		return false
	}
	if f.service != nil && o.Service(v) != *f.service {
		return false
	}
	return f.group == nil || o.Group(e.Src) == *f.group || o.Group(e.Dst) == *f.group
}

// needsEnds reports whether addresses, origin, group or service are asked for, which cost a look-up each.
func (f *filter) needsEnds() bool {
	return f.either != prefix{} || f.src != prefix{} || f.dst != prefix{} || f.byVLAN || f.iface != nil || f.service != nil || f.group != nil
}

// prefix is a set of addresses: those whose bits under the mask are the address'. The zero value is all.
type prefix struct{ addr, mask parse.Addr }

// prefixOf returns the addresses of p, whose bits behind the prefix are ignored.
func prefixOf(p netip.Prefix) prefix {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96 // mapped, as addresses stand in parse.Addr
	}
	var mask [16]byte
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	m := parse.Addr{Hi: binary.BigEndian.Uint64(mask[:8]), Lo: binary.BigEndian.Uint64(mask[8:])}
	a := parse.AddrFrom(p.Addr())
	return prefix{parse.Addr{Hi: a.Hi & m.Hi, Lo: a.Lo & m.Lo}, m}
}

func (p *prefix) has(a parse.Addr) bool {
	return a.Hi&p.mask.Hi == p.addr.Hi && a.Lo&p.mask.Lo == p.addr.Lo
}
