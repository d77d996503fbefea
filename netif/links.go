package netif

import (
	"cmp"
	"slices"
	"sync"
)

// MaxInterfaces is how many interfaces a Monitor keeps: those that it hears of first.
const MaxInterfaces = 4096

// Change is what has become of one interface between two announcements of a Monitor. One that was changed
// and changed back in between is none, one that was made and deleted neither; one that was deleted and made
// again with the same index is two, gone and added. Statistics are in neither of the two.
type Change struct {
	Old Interface // the zero value: it was not there
	New Interface // the zero value: it is not there any more
}

// Added reports whether there was no interface of this index.
func (c Change) Added() bool { return c.Old.Index == 0 }

// Gone reports whether there is none of this index any more.
func (c Change) Gone() bool { return c.New.Index == 0 }

// Renamed reports whether the interface was there before and has another name now.
func (c Change) Renamed() bool { return !c.Added() && !c.Gone() && c.Old.Name != c.New.Name }

// links holds interfaces by index, and which of them have changed since changes was last called. One
// goroutine changes it; get and all may be called from any.
type links struct {
	mu      sync.RWMutex
	kept    map[int]kept
	beyond  int // interfaces that the last whole list had too many
	changed map[int]before

	// Of the list that is being read.
	reading bool
	list    uint32           // its number
	surplus int              // interfaces that it has too many so far
	heard   map[int]struct{} // changed since it was asked for
}

// kept is an interface, and the number of the latest list that it was in. What was set while a list was
// read counts as in it.
type kept struct {
	Interface
	list uint32
}

// before is an interface as it was announced last.
type before struct {
	Interface      // the zero value: it was not there
	deleted   bool // since
}

func newLinks() *links {
	return &links{kept: map[int]kept{}, changed: map[int]before{}, heard: map[int]struct{}{}}
}

func (l *links) get(index int) (Interface, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	k, ok := l.kept[index]
	return k.Interface, ok
}

func (l *links) all() []Interface {
	l.mu.RLock()
	all := make([]Interface, 0, len(l.kept))
	for _, k := range l.kept {
		all = append(all, k.Interface)
	}
	l.mu.RUnlock()
	slices.SortFunc(all, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

func (l *links) tooMany() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.beyond
}

// set enters an interface as a message of a change has it, and reports whether it is a new one.
func (l *links) set(i *Interface) (added bool) {
	l.hear(i.Index)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, there := l.kept[i.Index]
	if !l.enter(i) {
		l.beyond = max(l.beyond, 1)
		return false
	}
	return !there
}

// setListed enters an interface as the list has it, unless there was a message of a change since the list was
// asked for. The kernel makes a part of the list under its lock of all interfaces (rtnl_lock), and queues it when it
// has let go of the lock: the message of a later change may be queued before it (netlink_dump in
// net/netlink/af_netlink.c, read in the text of Linux 4.1 to 4.5). If the message is the older of the two, no harm is done: each change
// between it and the list has a message too, which is still to come.
func (l *links) setListed(i *Interface) {
	if _, heard := l.heard[i.Index]; heard {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.enter(i) {
		l.surplus++
	}
}

// hear notes that there was a message of a change.
func (l *links) hear(index int) {
	if l.reading && len(l.heard) <= maxHeard {
		l.heard[index] = struct{}{}
	}
}

// maxHeard is how many interfaces may change while a list is read; with more, it is not taken for whole.
const maxHeard = 2 * MaxInterfaces

// enter reports whether the interface has found a place.
func (l *links) enter(i *Interface) bool {
	k, there := l.kept[i.Index]
	if !there && len(l.kept) >= MaxInterfaces {
		return false
	}
	old := k.Interface
	k = kept{*i, l.list}
	k.HasStats, k.Stats = false, Stats{} // change all the time
	if !there || k.Interface != old {
		l.change(old, i.Index)
	}
	l.kept[i.Index] = k
	return true
}

// remove takes an interface out by the message that it was deleted.
func (l *links) remove(index int) {
	l.hear(index)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeLocked(index)
}

func (l *links) removeLocked(index int) {
	k, there := l.kept[index]
	if !there {
		return
	}
	delete(l.kept, index)
	l.change(k.Interface, index)
	if b := l.changed[index]; b.Index == 0 {
		delete(l.changed, index) // nobody has heard of it
	} else {
		b.deleted = true
		l.changed[index] = b
	}
}

// change notes that an interface is not what it was.
func (l *links) change(old Interface, index int) {
	if _, noted := l.changed[index]; !noted {
		l.changed[index] = before{Interface: old}
	}
}

// beginList says that a list of all interfaces has been asked for.
func (l *links) beginList() {
	l.reading = true
	l.list++
	l.surplus = 0
	clear(l.heard)
}

// endList says that the list has been read. If it is whole, what was not in it is gone. The result is false if another
// list is needed: this one has gaps, or there is room now for what it had too many.
func (l *links) endList(whole bool) bool {
	l.reading = false
	if !whole || len(l.heard) > maxHeard {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beyond = l.surplus
	for index, k := range l.kept {
		if k.list != l.list {
			l.removeLocked(index)
		}
	}
	return l.beyond == 0 || len(l.kept) >= MaxInterfaces
}

// pending reports whether there may be changes.
func (l *links) pending() bool { return len(l.changed) > 0 }

// changes returns what has changed since it was last called: what is gone first, so that no name has two
// interfaces, then the rest by index.
func (l *links) changes() (gone []Change) {
	var others []Change
	for index, b := range l.changed {
		now := l.kept[index].Interface
		switch {
		case b.Index != 0 && b.deleted:
			gone = append(gone, Change{Old: b.Interface})
			if now.Index != 0 {
				others = append(others, Change{New: now})
			}
		case now != b.Interface:
			others = append(others, Change{b.Interface, now})
		}
	}
	clear(l.changed)
	slices.SortFunc(gone, func(a, b Change) int { return cmp.Compare(a.Old.Index, b.Old.Index) })
	slices.SortFunc(others, func(a, b Change) int { return cmp.Compare(a.New.Index, b.New.Index) })
	return append(gone, others...)
}
