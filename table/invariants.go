package table

import "fmt"

// The build tag invariants has every Insert and Remove check the table, and panic at the first thing
// that is wrong: go test -tags invariants ./table. Without the tag none of this is in the program.

// checkInvariants panics if the table contradicts itself after record i was inserted into, or removed
// from, the probe sequence of hash h.
//
// It looks at the first groups of that sequence after every change. It looks at the whole table after every
// change if the capacity is at most 43, and else less often, in proportion to the number of groups: the cost
// of a change then does not grow with the table.
//
//go:noinline
func (t *Table) checkInvariants(i uint32, h uint64) {
	err := t.checkProbe(i, h)
	if err == nil && t.checks.everyNth(max(1, len(t.groups)/8)) {
		err = t.invariants()
	}
	if err != nil {
		panic("table: invariant broken: " + err.Error())
	}
}

// checkProbe returns what is wrong with record i and the first groups of the probe sequence of hash h.
func (t *Table) checkProbe(i uint32, h uint64) error {
	at := h
	for step := range min(t.mask+1, 16) {
		g := int(at & t.mask)
		if err := t.checkGroup(g); err != nil {
			return err
		}
		if t.groups[g].overflow == 0 {
			break
		}
		at += step + 1
	}
	r := &t.records[i]
	if r.Key == noKey {
		if t.distance(i, h) != 0 {
			return fmt.Errorf("record %d was removed and a slot still leads to it", i)
		}
		return nil
	}
	if own := t.Hash(&r.Key); own != h {
		return fmt.Errorf("record %d was inserted with hash %#x, that of its key is %#x", i, h, own)
	}
	return t.checkFound(i, h)
}

// checkFound returns an error unless Find finds record i, whose key has hash h.
func (t *Table) checkFound(i uint32, h uint64) error {
	if got, ok := t.Find(&t.records[i].Key, h); !ok || got != i {
		return fmt.Errorf("record %d: a look-up of its key finds record %d (%v)", i, got, ok)
	}
	return nil
}

// checkGroup returns what is wrong with the slots of group g.
func (t *Table) checkGroup(g int) error {
	for s, i := range t.groups[g].slots {
		// Also that of an empty slot: Locate and Match follow it without a check.
		if i >= max(t.used, 1) {
			return fmt.Errorf("group %d, slot %d: record %d, of %d ever used", g, s, i, t.used)
		}
		ctrl := byte(t.groups[g].ctrl >> (8 * s))
		if ctrl == 0 {
			continue
		}
		r := &t.records[i]
		if r.Key == noKey {
			return fmt.Errorf("group %d, slot %d: leads to record %d, which is free", g, s, i)
		}
		if h := t.Hash(&r.Key); ctrl != byte(h2(h)) {
			return fmt.Errorf("group %d, slot %d: control byte %#x, record %d has %#x", g, s, ctrl, i, byte(h2(h)))
		}
	}
	return nil
}

// invariants returns the first thing that is wrong in the table:
//
//   - Each full slot has its record's control byte and is where a look-up of the record's key ends.
//   - Each group's overflow is the number of entries that stand in a later group of their probe sequence.
//   - At least one slot is empty, so an Insert that has a record finds a slot.
//   - Each record that was ever used is in one slot, or on the free list once, under noKey. Keys are the
//     records' own, so no two have the same.
func (t *Table) invariants() error {
	if n := len(t.groups); n&(n-1) != 0 || t.mask != uint64(n-1) {
		return fmt.Errorf("%d groups with mask %#x", n, t.mask)
	}
	full := 0
	passed, seen := t.checks.scratch(len(t.groups), len(t.records))
	for g := range t.groups {
		if err := t.checkGroup(g); err != nil {
			return err
		}
		for s, i := range t.groups[g].slots {
			if byte(t.groups[g].ctrl>>(8*s)) == 0 {
				continue
			}
			full++
			if err := t.checkEntry(i, g, s, passed); err != nil {
				return err
			}
		}
	}
	for g, n := range passed {
		if t.groups[g].overflow != n {
			return fmt.Errorf("group %d has an overflow of %d, and %d entries passed it", g, t.groups[g].overflow, n)
		}
	}
	if full != t.Len() || full >= groupSlots*len(t.groups) {
		return fmt.Errorf("%d of %d slots are full, with %d connections", full, groupSlots*len(t.groups), t.Len())
	}
	return t.checkFree(seen)
}

// checkEntry follows the probe sequence of record i, which stands in slot s of group g, and counts in passed
// the groups before g.
func (t *Table) checkEntry(i uint32, g, s int, passed []uint32) error {
	h := t.Hash(&t.records[i].Key)
	if err := t.checkFound(i, h); err != nil {
		return err
	}
	n := t.distance(i, h)
	at := h
	for step := 1; step < n; step++ {
		passed[at&t.mask]++
		at += uint64(step)
	}
	if int(at&t.mask) != g {
		return fmt.Errorf("record %d stands in groups %d and %d", i, at&t.mask, g)
	}
	for other := range s {
		if t.groups[g].slots[other] == i && byte(t.groups[g].ctrl>>(8*other)) != 0 {
			return fmt.Errorf("record %d stands in slots %d and %d of group %d", i, other, s, g)
		}
	}
	return nil
}

// checkFree returns what is wrong with the free list. seen has an element for each record, all false.
func (t *Table) checkFree(seen []bool) error {
	for _, i := range t.free {
		switch {
		case i >= t.used:
			return fmt.Errorf("record %d is free, and only %d were ever used", i, t.used)
		case seen[i]:
			return fmt.Errorf("record %d is free twice", i)
		case t.records[i].Key != noKey:
			return fmt.Errorf("record %d is free and has a key", i)
		}
		seen[i] = true
	}
	return nil
}
