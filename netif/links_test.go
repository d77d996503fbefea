package netif

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func bridge(index int, name string) Interface {
	return Interface{Index: index, Name: name, Hatype: 1, MTU: 1500}
}

func TestChanges(t *testing.T) {
	a, b := bridge(1, "a"), bridge(2, "b")
	renamed, up := a, a
	renamed.Name, up.Up = "c", true
	counted := a
	counted.HasStats, counted.Stats.RxDropped = true, 7
	for _, c := range []struct {
		name string
		do   func(l *links) // after a alone was announced
		want []Change
	}{
		{"nothing", func(l *links) {}, nil},
		{"the same again", func(l *links) { l.set(&a) }, nil},
		{"other statistics", func(l *links) { l.set(&counted) }, nil},
		{"added", func(l *links) { l.set(&b) }, []Change{{New: b}}},
		{"gone", func(l *links) { l.remove(1) }, []Change{{Old: a}}},
		{"another one that nobody knew is gone", func(l *links) { l.remove(3) }, nil},
		{"renamed", func(l *links) { l.set(&renamed) }, []Change{{a, renamed}}},
		{"up", func(l *links) { l.set(&up) }, []Change{{a, up}}},
		{"up and renamed back and forth", func(l *links) { l.set(&up); l.set(&renamed); l.set(&a) }, nil},
		{"up, then gone", func(l *links) { l.set(&up); l.remove(1) }, []Change{{Old: a}}},
		{"made and deleted", func(l *links) { l.set(&b); l.remove(2) }, nil},
		{"made, deleted and made", func(l *links) { l.set(&b); l.remove(2); l.set(&b) }, []Change{{New: b}}},
		{"deleted and made again, the same", func(l *links) { l.remove(1); l.set(&a) }, []Change{{Old: a}, {New: a}}},
		{"deleted, made again, deleted", func(l *links) { l.remove(1); l.set(&a); l.remove(1) }, []Change{{Old: a}}},
		{"its name taken by another", func(l *links) { l.remove(1); l.set(&Interface{Index: 9, Name: "a"}); l.set(&b) },
			[]Change{{Old: a}, {New: b}, {New: Interface{Index: 9, Name: "a"}}}},
		{"not in a whole list", func(l *links) { l.beginList(); l.setListed(&b); l.endList(true) }, []Change{{Old: a}, {New: b}}},
		{"not in a list with gaps", func(l *links) { l.beginList(); l.setListed(&b); l.endList(false) }, []Change{{New: b}}},
		{"in the list", func(l *links) { l.beginList(); l.setListed(&up); l.endList(true) }, []Change{{a, up}}},
		{"made while a list is read", func(l *links) { l.beginList(); l.set(&b); l.setListed(&a); l.endList(true) }, []Change{{New: b}}},
		{"changed before a part of the list is queued", func(l *links) { l.beginList(); l.set(&up); l.setListed(&a); l.endList(true) }, []Change{{a, up}}},
		{"deleted before a part of the list is queued", func(l *links) { l.beginList(); l.remove(1); l.setListed(&a); l.endList(true) }, []Change{{Old: a}}},
		{"changed after the list, and before the next", func(l *links) {
			l.beginList()
			l.setListed(&a)
			l.endList(true)
			l.set(&up)
			l.beginList()
			l.setListed(&renamed)
			l.endList(true)
		}, []Change{{a, renamed}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLinks()
			l.set(&a)
			if got := l.changes(); !slices.Equal(got, []Change{{New: a}}) {
				t.Fatalf("at first %+v", got)
			}
			c.do(l)
			if got := l.changes(); !slices.Equal(got, c.want) {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			if got := l.changes(); len(got) != 0 || l.pending() {
				t.Errorf("once more: %+v", got)
			}
		})
	}
}

func TestKindsOfChange(t *testing.T) {
	a, b := bridge(1, "a"), bridge(1, "b")
	for _, c := range []struct {
		Change
		added, gone, renamed bool
	}{
		{Change{New: a}, true, false, false},
		{Change{Old: a}, false, true, false},
		{Change{a, b}, false, false, true},
		{Change{a, a}, false, false, false},
	} {
		if c.Added() != c.added || c.Gone() != c.gone || c.Renamed() != c.renamed {
			t.Errorf("%+v: added %v, gone %v, renamed %v", c, c.Added(), c.Gone(), c.Renamed())
		}
	}
}

// Whoever goes by the announcements alone has the same interfaces, whatever happens.
func TestChangesAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l, truth, heard := newLinks(), map[int]Interface{}, listener{}
	for range 200_000 {
		i := bridge(1+random.IntN(8), strconv.Itoa(random.IntN(3)))
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			l.set(&i)
			truth[i.Index] = i
		case 4, 5, 6:
			l.remove(i.Index)
			delete(truth, i.Index)
		case 7:
			l.beginList()
			for _, i := range truth {
				l.setListed(&i)
			}
			l.endList(true)
		default:
			heard.hear(t, l.changes())
			if !maps.Equal(heard, truth) {
				t.Fatalf("heard of %v, want %v", heard, truth)
			}
		}
		if all := l.all(); len(all) != len(truth) || !slices.IsSortedFunc(all, func(a, b Interface) int { return a.Index - b.Index }) {
			t.Fatalf("%+v, want %v", all, truth)
		}
	}
}

// listener is the interfaces as announcements have them.
type listener map[int]Interface

// hear checks the changes against what was heard before.
func (h listener) hear(t *testing.T, changes []Change) {
	t.Helper()
	for _, c := range changes {
		if c.Old == c.New {
			t.Errorf("%+v is no change", c)
		}
		index := max(c.Old.Index, c.New.Index)
		if h[index] != c.Old {
			t.Errorf("%+v: before that it was %+v", c, h[index])
		}
		if c.Gone() {
			delete(h, index)
		} else {
			h[index] = c.New
		}
	}
}

func TestMoreInterfacesThanAreKept(t *testing.T) {
	const more = 5
	l, heard := newLinks(), listener{}
	list := func(from int) (enough bool) {
		l.beginList()
		for n := from; n <= MaxInterfaces+more; n++ {
			i := bridge(n, strconv.Itoa(n))
			l.setListed(&i)
		}
		return l.endList(true)
	}
	is := func(when string, beyond int) {
		t.Helper()
		heard.hear(t, l.changes())
		if len(l.all()) != MaxInterfaces || l.tooMany() != beyond || len(heard) != MaxInterfaces {
			t.Errorf("%s: %d kept, %d announced, %d beyond; want %d, %[5]d and %d", when, len(l.all()), len(heard), l.tooMany(), MaxInterfaces, beyond)
		}
	}
	if !list(1) {
		t.Error("another list is asked for while all places are taken")
	}
	is("at first", more)
	l.remove(1)
	list(2)
	is("one less, by a message", more-1)
	if list(more + 1) {
		t.Error("there is room, and no other list is asked for")
	}
	if !list(more + 1) {
		t.Error("another list is asked for while all have a place")
	}
	is("five less, by a list", 0)
	late := bridge(1, "late")
	l.set(&late)
	is("one more, by a message", 1)
}

// A list during which more interfaces change than are noted is not taken for whole.
func TestTooManyChangesDuringAList(t *testing.T) {
	l := newLinks()
	for changes, whole := range map[int]bool{maxHeard: true, maxHeard + 1: false} {
		l.beginList()
		for n := range changes {
			l.remove(1 + n)
		}
		if l.endList(true) != whole {
			t.Errorf("%d changes: the list is whole: %v, want %v", changes, !whole, whole)
		}
	}
}
