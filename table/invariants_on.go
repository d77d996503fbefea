//go:build invariants

package table

// checking turns on checkInvariants: see invariants.go.
const checking = true

// checks counts the changes of a table, for checks that are too slow to be made at each, and holds their
// memory, so that tests which count allocations pass.
type checks struct {
	changes int
	passed  []uint32
	seen    []bool
}

// scratch returns zeroed memory for a check of so many groups and records, which never change for a table.
func (c *checks) scratch(groups, records int) (passed []uint32, seen []bool) {
	if c.passed == nil {
		c.passed, c.seen = make([]uint32, groups), make([]bool, records)
	}
	clear(c.passed)
	clear(c.seen)
	return c.passed, c.seen
}

// everyNth reports whether this change is an n-th one.
func (c *checks) everyNth(n int) bool {
	c.changes++
	return c.changes%n == 0
}
