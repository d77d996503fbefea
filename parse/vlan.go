package parse

import (
	"encoding/binary"
	"strconv"
)

// VLANs holds the VLAN identifiers of a frame, of its two outermost tags (IEEE 802.1Q). The zero value is that of a
// frame in no VLAN. Two values are equal only if they say the same.
//
//	bits 24-25          12-23             0-11
//	     how many: 0-2 │ the inner one  │ the outer one
type VLANs uint32

// VLANBits is how many bits of a VLANs are in use.
const VLANBits = 26

const (
	vlanID    = 0x0fff // of a tag control information: the VLAN identifier, below priority and drop eligibility
	vlanInner = 12     // shift
	vlanCount = 24     // shift
)

// Count returns how many identifiers there are, 0 to 2.
func (v VLANs) Count() int { return int(v >> vlanCount) }

// Outer returns the identifier of the outer tag, 1 to 4095; 0: there is none.
func (v VLANs) Outer() uint16 { return uint16(v) & vlanID }

// Inner returns the identifier of the second tag (QinQ), 1 to 4095; 0: there is none.
func (v VLANs) Inner() uint16 { return uint16(v>>vlanInner) & vlanID }

// Push returns v with one more tag inside of those that it has; tci is its tag control information. A third tag changes
// nothing, and neither does a tag with the identifier 0, which gives a frame a priority and puts it in no VLAN
// (IEEE 802.1Q, table 9-2): often only one direction has it.
func (v VLANs) Push(tci uint16) VLANs {
	id, n := VLANs(tci&vlanID), v.Count()
	if id == 0 || n >= 2 {
		return v
	}
	return v&(1<<vlanCount-1) | id<<(n*vlanInner) | VLANs(n+1)<<vlanCount
}

// AppendTo appends v as text: 10, or 10.20 for an outer and an inner identifier, nothing if there is none.
func (v VLANs) AppendTo(b []byte) []byte {
	if v.Count() > 0 {
		b = strconv.AppendUint(b, uint64(v.Outer()), 10)
	}
	if v.Count() > 1 {
		b = strconv.AppendUint(append(b, '.'), uint64(v.Inner()), 10)
	}
	return b
}

// FrameVLANs returns outer with the tags inside of it that stand in a frame, which starts with a header of kind link. b
// holds the captured bytes. The kernel hands the outer tag over beside the frame; in a capture file all stand in it. It
// looks at 8 tags at most, as Frame does, and takes a frame that is cut off for one without the rest.
//
// It is no part of Frame: only those who tell VLANs apart need it.
func FrameVLANs(link Link, b []byte, outer VLANs) VLANs {
	at := 0 // where the EtherType stands
	switch link {
	case LinkEthernet:
		at = 12
	case LinkSLL:
		at = 14
	case LinkSLL2:
		// The protocol stands first, and 20 bytes of header before what follows it.
		if len(b) < 20 {
			return outer
		}
		return pushVLANs(binary.BigEndian.Uint16(b), b[20:], outer)
	default:
		return outer
	}
	if len(b) < at+2 {
		return outer
	}
	return pushVLANs(binary.BigEndian.Uint16(b[at:]), b[at+2:], outer)
}

// pushVLANs pushes the tags that follow an EtherType: b starts behind it.
func pushVLANs(typ uint16, b []byte, v VLANs) VLANs {
	for tags := 0; tags < maxTags && (typ == etherVLAN || typ == etherQinQ || typ == etherQinQ1) && len(b) >= 4; tags++ {
		v = v.Push(binary.BigEndian.Uint16(b))
		typ, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	return v
}
