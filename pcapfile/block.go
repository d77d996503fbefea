package pcapfile

import "encoding/binary"

// The block types of pcapng (draft-ietf-opsawg-pcapng section 10.1) that the decoder needs.
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete, still written by old programs
	blockSimple    = 3
	blockEnhanced  = 6
)

// cutBlock cuts the next block of a pcapng file:
//
//	type │ total length │ … │ total length
func cutBlock(g *gate) error {
	const shortest, byteOrderMagic = 12, 0x1a2b3c4d
	if err := g.take(8, true); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(g.rec) == magicSection {
		if err := g.take(4, false); err != nil {
			return err
		}
		switch uint32(byteOrderMagic) {
		case binary.LittleEndian.Uint32(g.rec[8:]):
			g.order = binary.LittleEndian
		case binary.BigEndian.Uint32(g.rec[8:]):
			g.order = binary.BigEndian
		default:
			return g.damage("a section header with the byte order magic %x", g.rec[8:12])
		}
		g.begun = true
	}
	kind, total := g.order.Uint32(g.rec), g.order.Uint32(g.rec[4:])
	if total < shortest || total%4 != 0 {
		return g.damage("a block of type %d with a total length of %d bytes", kind, total)
	}
	if uint64(total) < uint64(len(g.rec)+4) {
		return g.damage("a section header of %d bytes", total)
	}
	// Bytes before the options or the packet, and the length at the end.
	var fixed uint32
	switch kind {
	case magicSection:
		fixed = 28
	case blockInterface:
		fixed = 20
	case blockPacket, blockEnhanced:
		fixed = 32
	case blockSimple:
		fixed = 16
	default:
		return g.drop(total)
	}
	if total > maxBlockLen {
		return g.damage("a block of type %d with %d bytes, and %d is the most", kind, total, maxBlockLen)
	}
	if err := g.take(int(total)-len(g.rec), false); err != nil {
		return err
	}
	if end := g.order.Uint32(g.rec[total-4:]); end != total {
		return g.mismatch(kind, total, end)
	}
	if total < fixed {
		return g.damage("a block of type %d with a total length of %d bytes", kind, total)
	}
	options := g.rec[fixed-4 : total-4]
	switch kind {
	case magicSection:
		if version := g.rec[12:16]; g.order.Uint16(version) == 1 && g.order.Uint16(version[2:]) == 2 {
			g.order.PutUint16(version[2:], 0) // 1.2 is to be read as 1.0 (section 4.1)
		}
	case blockSimple:
		g.packet(int(total-fixed), false)
		return nil
	case blockPacket, blockEnhanced:
		n := g.order.Uint32(g.rec[20:])
		if n > maxPacketLen || n > total-fixed {
			return g.damage("a packet of %d bytes in a block of %d", n, total)
		}
		g.packet(int(n), true)
		g.stamp = uint64(g.order.Uint32(g.rec[12:]))<<32 | uint64(g.order.Uint32(g.rec[16:]))
		if kind == blockPacket {
			return nil
		}
		options = options[(n+3)&^3:]
	}
	if !g.wellFormed(options) {
		return g.damage("a block of type %d whose options do not fit into it", kind)
	}
	return nil
}

// wellFormed reports whether options fit in b, each a code, a length and a value padded to 4 bytes. The
// decoder would follow a wrong length into the next block.
func (g *gate) wellFormed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		code, n := g.order.Uint16(b), int(g.order.Uint16(b[2:]))
		if code == 0 { // opt_endofopt
			return n == 0
		}
		n = (n + 3) &^ 3
		if n > len(b)-4 {
			return false
		}
		b = b[4+n:]
	}
	return true
}

// drop skips the rest of a block that the decoder does not need.
func (g *gate) drop(total uint32) error {
	kind := g.order.Uint32(g.rec)
	if err := g.skip(int64(total) - 12); err != nil {
		return err
	}
	g.rec = g.rec[:0]
	if err := g.take(4, false); err != nil {
		return err
	}
	if end := g.order.Uint32(g.rec); end != total {
		return g.mismatch(kind, total, end)
	}
	g.rec = g.rec[:0]
	return nil
}

// mismatch returns the error of a block whose two total lengths differ.
func (g *gate) mismatch(kind, total, end uint32) error {
	return g.damage("a block of type %d whose total length is %d bytes at its beginning and %d at its end", kind, total, end)
}
