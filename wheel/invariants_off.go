//go:build !invariants

package wheel

// checking is false, so the compiler leaves out what stands behind "if checking", and the linker
// checkInvariants: see TestChecksAreLinkedOnlyWithTheTag.
const checking = false

// checks takes no memory in a Wheel.
type checks struct{}

func newChecks(int) checks                { return checks{} }
func (*checks) note(uint32, slot)         {}
func (*checks) noted(uint32) (slot, bool) { return slot{}, false }
func (*checks) everyNth(int) bool         { return false }
