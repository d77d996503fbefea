package wheel

import (
	"errors"
	"fmt"
)

// The build tag invariants has every Arm, Cancel, Advance and Reset check the wheel, and panic at the
// first thing that is wrong: go test -tags invariants ./wheel. Without the tag none of this is in the
// program.

// slot is a slot by the first tick that it spans, and its level.
type slot struct{ tick, level uint32 }

// slotOf returns the slot of a deadline at tick for a wheel that stands at cur: slotFor done in the slow,
// obvious way.
func slotOf(cur, tick uint32) slot {
	ahead := min(max(int64(int32(tick-cur)), 1), MaxAhead)
	level, span := uint32(0), int64(1)
	for ahead >= span*slots {
		level, span = level+1, span*slots
	}
	deadline := cur + uint32(ahead)
	return slot{deadline - deadline%uint32(span), level}
}

// checkArmed panics if Arm has not put index i into the slot of tick, or if the wheel contradicts itself.
//
//go:noinline
func (w *Wheel) checkArmed(i, tick uint32) {
	w.checks.note(i, slotOf(w.cur, tick))
	if err := w.checkPlace(i); err != nil {
		broken(err)
	}
	w.checkInvariants()
}

// checkInvariants panics if the wheel contradicts itself. It looks at the whole wheel after every change if
// that is for at most 511 indices, and else less often, in proportion to their number: the cost of a change
// then does not grow with the wheel.
//
//go:noinline
func (w *Wheel) checkInvariants() {
	if !w.checks.everyNth(max(1, len(w.pos)/256)) {
		return
	}
	if err := w.invariants(); err != nil {
		broken(err)
	}
}

// broken panics with what is wrong.
func broken(err error) { panic("wheel: invariant broken: " + err.Error()) }

// checkPlace returns an error unless index i, which is armed, is where its deadline belongs: in its slot
// while that lies ahead of the wheel, then in the due place of its level.
func (w *Wheel) checkPlace(i uint32) error {
	if w.pos[i] == 0 {
		return fmt.Errorf("index %d was armed and is in no list", i)
	}
	s, ok := w.checks.noted(i)
	if !ok {
		return nil
	}
	want := duePlace + s.level
	if ahead := int32(s.tick - w.cur); ahead > 0 {
		want = s.level*slots + s.tick>>(slotBits*s.level)%slots
		if lap := int64(slots) << (slotBits * s.level); int64(ahead) > lap {
			return fmt.Errorf("index %d: its slot begins %d ticks ahead, more than a lap of level %d", i, ahead, s.level)
		}
	}
	if got := w.placeHolding(i); got != want {
		return fmt.Errorf("index %d is at place %d, its slot of level %d from tick %d on is place %d (the wheel stands at %d)",
			i, got, s.level, s.tick, want, w.cur)
	}
	return nil
}

// invariants returns the first thing that is wrong in the wheel:
//
//   - A place and its list name each other. The place's bit is set if, and only if, the list has a chunk.
//   - Each chunk names the list that it hangs in. It is full unless it is the first, and never empty.
//   - Each entry of a chunk is where its index's pos says, and there is one for each index armed.
//   - Each index is where its deadline belongs (with the tag, which notes deadlines).
//   - Each chunk that was ever used is in one list, or on the free list.
func (w *Wheel) invariants() error {
	stored, inLists := 0, 0
	for place := range uint32(places) {
		l := w.listOf[place]
		if uint32(w.placeOf[l]) != place {
			return fmt.Errorf("place %d has list %d, but that list says place %d", place, l, w.placeOf[l])
		}
		first := w.head[l]
		if marked := w.occ[place>>slotBits]>>(place&(slots-1))&1 == 1; marked != (first != 0) {
			return fmt.Errorf("place %d: occupancy bit %v, first chunk %d", place, marked, first)
		}
		for c := first; c != 0; c = w.chunks[c].next {
			if inLists++; inLists >= len(w.chunks) {
				return fmt.Errorf("the list of place %d is a loop", place)
			}
			if err := w.checkChunk(c, l, c == first); err != nil {
				return err
			}
			stored += int(w.chunks[c].count)
		}
	}
	armed := 0
	for _, at := range w.pos {
		if at != 0 {
			armed++
		}
	}
	if stored != armed {
		return fmt.Errorf("the lists hold %d indices, %d are armed", stored, armed)
	}
	spare := 0
	for c := w.free; c != 0; c = w.chunks[c].next {
		if spare++; spare >= len(w.chunks) {
			return errors.New("the free list is a loop")
		}
	}
	if inLists+spare != int(w.fresh)-1 || int(w.fresh) > len(w.chunks) {
		return fmt.Errorf("%d chunks in lists and %d free, but %d of %d were ever used",
			inLists, spare, w.fresh-1, len(w.chunks)-1)
	}
	if w.occ[levels]>>levels != 0 {
		return fmt.Errorf("due places %b: there are only %d", w.occ[levels], levels)
	}
	return nil
}

// checkChunk returns what is wrong with chunk c of list l.
func (w *Wheel) checkChunk(c uint32, l uint16, first bool) error {
	ch := &w.chunks[c]
	if ch.list != l {
		return fmt.Errorf("chunk %d hangs in list %d and says list %d", c, l, ch.list)
	}
	if ch.count == 0 || ch.count > chunkLen || !first && ch.count != chunkLen {
		return fmt.Errorf("chunk %d of list %d (the first: %v) holds %d", c, l, first, ch.count)
	}
	for k, i := range ch.index[:ch.count] {
		if int(i) >= len(w.pos) {
			return fmt.Errorf("chunk %d holds index %d, of %d", c, i, len(w.pos))
		}
		if w.pos[i] != c<<posShift|uint32(k) {
			return fmt.Errorf("index %d sits in chunk %d entry %d, pos says %d entry %d",
				i, c, k, w.pos[i]>>posShift, w.pos[i]&posMask)
		}
		if err := w.checkPlace(i); err != nil {
			return err
		}
	}
	return nil
}
