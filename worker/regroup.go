package worker

import (
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// pieceMoves is the most records that one Regroup looks at: 5 µs of work where none of them moves.
const pieceMoves = 32

// regrouping is a walk over all records after the groups have changed.
type regrouping struct {
	to    *group.Set // the latest set that a walk began for
	pos   int
	going bool
}

// SetGroups has connections counted by another list of groups: new ones at once, others as Regroup comes to them. What
// they have counted stays with their groups of before. It may be called from any goroutine.
func (w *Worker) SetGroups(s *group.Set) {
	if w.groups != nil {
		w.groups.set.Store(s)
	}
}

// Regroup does one piece of moving connections to their groups after SetGroups, and reports whether more is left.
func (w *Worker) Regroup() (more bool) {
	g := w.groups
	if g == nil {
		return false
	}
	set, m := g.set.Load(), &g.moves
	if set != m.to {
		*m = regrouping{to: set, going: true}
	}
	if !m.going {
		return false
	}
	w.flush()
	used := w.table.Used()
	end := min(m.pos+pieceMoves, used)
	for ; m.pos < end; m.pos++ {
		i := uint32(m.pos)
		r := w.table.At(i)
		if streams, _ := r.Live(); streams != 0 {
			w.regroup(i, r, uint32(*g.of(i)&clientDir), set)
		}
	}
	m.going = end < used
	return m.going
}

// regroup moves the connection of record i to the combination that it belongs to, if that is another one, or its client
// is the other side.
func (w *Worker) regroup(i uint32, r *table.Record, client uint32, set *group.Set) {
	g := w.groups
	old := *g.of(i)
	n, ok := g.number(w.groupKey(r, client, set))
	v := old&flags | groupingOf(n, client)
	if v == old {
		return
	}
	if !ok {
		g.overflow++
	}
	var counted [2]stream.Counts
	for dir := range counted {
		r.AddCounts(dir, &counted[dir])
		old.clip(&counted[dir])
	}
	from := g.sink(i)
	for dir := range counted {
		fold(&from[old.role(uint32(dir))], &counted[dir])
	}
	*g.of(i) = v
	to := g.sink(i)
	for dir := range counted {
		unfold(&to[v.role(uint32(dir))], &counted[dir])
	}
}
