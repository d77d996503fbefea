//go:build invariants

package wheel

// checking turns on checkInvariants: see invariants.go.
const checking = true

// checks holds for each index the slot that it was armed for last, and counts the changes of a wheel,
// for checks that are too slow to be made at each.
type checks struct {
	slots   []slot
	changes int
}

func newChecks(n int) checks { return checks{slots: make([]slot, n)} }

func (c *checks) note(i uint32, s slot) { c.slots[i] = s }

// noted returns the slot that index i was armed for, if this build knows it.
func (c *checks) noted(i uint32) (s slot, ok bool) { return c.slots[i], true }

// everyNth reports whether this change is an n-th one.
func (c *checks) everyNth(n int) bool {
	c.changes++
	return c.changes%n == 0
}
