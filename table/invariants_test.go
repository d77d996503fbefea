package table

import (
	"fmt"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/linked"
)

// Each way to break a table is found by the whole check, and with the tag by the next change of the table.
func TestInvariantsBite(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *Table)
		want string
	}{
		{"a record's key is overwritten", func(t *Table) { t.records[3].Key = numbered(7000) }, "control byte"},
		{"a group is emptied", func(t *Table) { t.groups[home(t, 3)].ctrl = 0 }, "slots are full"},
		{"a record stands in two slots", func(t *Table) {
			g := &t.groups[home(t, 3)]
			s := first(empties(g.ctrl))
			g.slots[s] = 3
			g.ctrl |= h2(t.Hash(&t.records[3].Key)) & (0xff << (8 * s))
		}, "record 3 stands in slots"},
		{"an empty slot leads outside", func(t *Table) { t.groups[0].slots[7] = 1 << 20 }, "slot 7: record 1048576, of"},
		{"a group counts one too many", func(t *Table) { t.groups[1].overflow++ }, "group 1 has an overflow of 1, and 0 entries passed it"},
		{"a record too many is free", func(t *Table) { t.free = append(t.free, t.free[0]) }, "18 of 64 slots are full, with 17 connections"},
		{"a record is free twice", func(t *Table) { t.free[0] = t.free[1] }, "is free twice"},
		{"a record in use is free", func(t *Table) { t.free[0] = 3 }, "record 3 is free and has a key"},
		{"a free record has a key", func(t *Table) { t.records[t.free[0]].Key = numbered(7000) }, "is free and has a key"},
		{"a free record was never used", func(t *Table) { t.free[0] = 39 }, "record 39 is free, and only 20 were ever used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, err := newSeeded(40, Seeds{1, 3, 5, 7, 9, 11})
			if err != nil {
				t.Fatal(err)
			}
			defer tab.Close()
			for n := range uint32(20) {
				k := numbered(n)
				tab.Insert(&k, tab.Hash(&k))
			}
			tab.Remove(10)
			tab.Remove(11)
			if err := tab.invariants(); err != nil {
				t.Fatal(err)
			}
			c.harm(tab)
			if err := tab.invariants(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, want %q", err, c.want)
			}
			k := numbered(1000)
			switch said := panicOf(func() { tab.Insert(&k, tab.Hash(&k)) }); {
			case checking && !strings.HasPrefix(said, "table: invariant broken: "):
				t.Errorf("the next Insert panicked with %q, want the broken invariant", said)
			case !checking && said != "":
				t.Errorf("the next Insert panicked without the tag: %s", said)
			default:
				t.Logf("the next Insert: %q", said)
			}
		})
	}
}

// home returns the group that record i stands in, its first one in a table that is nearly empty.
func home(t *Table, i uint32) uint64 { return t.Hash(&t.records[i].Key) & t.mask }

// panicOf returns what f panics with, or "".
func panicOf(f func()) (said string) {
	defer func() {
		if p := recover(); p != nil {
			said = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

// What Insert's callers promise is checked with the tag, too.
func TestBadInsertIsRefusedWithTheTag(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  func(t *Table, known, fresh *Key)
		want string
	}{
		{"another key's hash", func(t *Table, known, fresh *Key) { t.Insert(fresh, ^t.Hash(fresh)) }, "record 1"},
		{"a key twice", func(t *Table, known, fresh *Key) { t.Insert(known, t.Hash(known)) }, "record 1: a look-up of its key finds record 0"},
	} {
		tab := newTable(t, 10)
		known, fresh := numbered(1), numbered(2)
		tab.Insert(&known, tab.Hash(&known))
		said := panicOf(func() { c.bad(tab, &known, &fresh) })
		if checking != strings.Contains(said, c.want) || checking != (said != "") {
			t.Errorf("%s: with the tag %v; panicked with %q", c.name, checking, said)
		}
	}
}

// Without the tag nothing calls the checks, or the linker would have kept them.
func TestChecksAreLinkedOnlyWithTheTag(t *testing.T) {
	if got := linked.Has(t, "tcp-stream-exporter/table.(*Table).checkInvariants"); got != checking {
		t.Errorf("checkInvariants is in the program: %v, want %v", got, checking)
	}
	if !linked.Has(t, "tcp-stream-exporter/table.(*Table).invariants") {
		t.Error("invariants, which these tests call, was not found in the program")
	}
}
