//go:build !invariants

package table

// checking is false, so the compiler leaves out what stands behind "if checking", and the linker
// checkInvariants: see TestChecksAreLinkedOnlyWithTheTag.
const checking = false

// checks takes no memory in a Table.
type checks struct{}

func (*checks) everyNth(int) bool { return false }

func (*checks) scratch(groups, records int) (passed []uint32, seen []bool) {
	return make([]uint32, groups), make([]bool, records)
}
