package table

import "math/bits"

// groupSlots is the number of slots in a group.
const groupSlots = 8

// group holds the control bytes and the record indices of eight slots, in one cache line. overflow counts
// the entries that passed the group because it was full. The package comment has a drawing.
//
// A control byte is 0 for an empty slot, so fresh zeroed memory is an empty table, and 0x80 | h2 for a full
// one, h2 being seven bits of the hash.
type group struct {
	ctrl     uint64
	overflow uint32
	slots    [groupSlots]uint32
	_        [5]uint32
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// h2 returns the control byte of hash h, in all eight bytes of a word.
func h2(h uint64) uint64 { return (h>>57 | 0x80) * lowBits }

// match returns the high bit of each byte of ctrl that equals want's. It is exact: a byte of the
// xor is zero if neither adding 0x7f to its low bits nor its own high bit sets the high bit.
func match(ctrl, want uint64) uint64 {
	x := ctrl ^ want
	return ^((x&^highBits + ^uint64(highBits)) | x) & highBits
}

// matchFirst returns a word whose lowest set bit is match's, or the highest bit alone where match
// has none: a byte above the first that is equal may be reported by a borrow, one below may not.
func matchFirst(ctrl, want uint64) uint64 {
	x := ctrl ^ want
	return (x-lowBits)&^x&highBits | 1<<63
}

// empties returns the high bit of each empty slot's byte.
func empties(ctrl uint64) uint64 { return ^ctrl & highBits }

// first returns the slot of the lowest set bit of a match.
func first(m uint64) int { return bits.TrailingZeros64(m) >> 3 & (groupSlots - 1) }
