package worker

import (
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
)

// class ranks connections by their worth when the table is full.
type class uint8

const (
	live      class = iota // never recycled
	halfOpen               // nothing but SYNs: recycled first, the oldest before the others
	finalized              // every stream of it is finalized: recycled when nothing is half-open
	classes
)

func classOf(c *stream.Conn) class {
	if !c.Established() {
		return halfOpen
	}
	if streams, active := c.Live(); streams > 0 && active == 0 {
		return finalized
	}
	return live
}

// lists keeps the half-open and the finalized connections in the order in which they became so.
// The links stand apart from the records: only events touch them.
type lists struct {
	class      []class
	next, prev []uint32
	// head and tail of each class's list; none when it is empty.
	head, tail [classes]uint32
}

const none = ^uint32(0)

func newLists(n int) lists {
	l := lists{class: make([]class, n), next: make([]uint32, n), prev: make([]uint32, n)}
	for c := range l.head {
		l.head[c], l.tail[c] = none, none
	}
	return l
}

// file puts connection i at the end of its class's list, unless it stands in it already; renewed
// moves it to the end all the same.
func (l *lists) file(i uint32, c class, renewed bool) {
	if l.class[i] == c && !renewed {
		return
	}
	l.unfile(i)
	l.class[i] = c
	if c == live {
		return
	}
	last := l.tail[c]
	l.next[i], l.prev[i], l.tail[c] = none, last, i
	if last == none {
		l.head[c] = i
	} else {
		l.next[last] = i
	}
}

// unfile takes connection i out of its list.
func (l *lists) unfile(i uint32) {
	c := l.class[i]
	if c == live {
		return
	}
	l.class[i] = live
	before, after := l.prev[i], l.next[i]
	if before == none {
		l.head[c] = after
	} else {
		l.next[before] = after
	}
	if after == none {
		l.tail[c] = before
	} else {
		l.prev[after] = before
	}
}

// recycle frees the record of the connection that matters least, and reports false when all are
// live.
func (w *Worker) recycle() bool {
	i := w.lists.head[halfOpen]
	if i != none {
		w.Counters.RecycledHalfOpen++
	} else if i = w.lists.head[finalized]; i != none {
		w.Counters.RecycledFinalized++
	} else {
		return false
	}
	r := w.table.At(i)
	tally := w.tallyOf(&r.Key)
	tally.Recycled += tally.Drop(&r.Conn)
	if w.groups != nil {
		w.groups.settle(i, true, group.ClosedRecycled)
	}
	w.wheel.Cancel(i)
	w.remove(i)
	return true
}
