//go:build invariants

package table

// checking turns on checkInvariants: see invariants.go.
const checking = true

// checks counts the changes of a table, for checks that are too slow to be made at each.
type checks struct{ changes int }

// everyNth reports whether this change is an n-th one.
func (c *checks) everyNth(n int) bool {
	c.changes++
	return c.changes%n == 0
}
