package wheel

import (
	"fmt"
	"math"
	"math/bits"
)

const (
	levels   = 4
	slotBits = 6
	slots    = 1 << slotBits

	// MaxAhead is the number of ticks that an index can be armed ahead of the wheel. A deadline farther ahead
	// is armed here, pops early, and is armed again by the caller.
	MaxAhead = 1<<(levels*slotBits) - 1
)

// A place has a list of indices. Places 64*level+slot are the slots. Behind them each level has a due
// place, for the list of the slot that has fallen due and is being popped. It is apart from the slot because
// an index armed a whole lap ahead goes to the slot at the level's pointer, even while that slot's earlier
// list is only half popped.
const (
	duePlace = levels * slots
	places   = duePlace + levels
)

// Wheel holds armed indices by the slot of their deadline. Make one with New; see the package
// comment for how it is used.
type Wheel struct {
	// cur is the tick at which the wheel stands: every slot up to it has been moved to a due place.
	cur uint32

	// occ has a bit for each place that holds an index: one word per level, and a last one for the due
	// places.
	//
	// The pointer of level l is (cur >> 6l) & 63. The slot k places ahead of it is due when the pointer has
	// moved k times, k being 1 to 64: the slot at the pointer is a whole lap ahead.
	occ [levels + 1]uint64

	checks checks // of builds with the tag invariants

	store
}

// New returns a wheel at tick 0 for the indices 0 to n-1. It panics if n is negative or above
// math.MaxInt32.
func New(n int) *Wheel {
	if n < 0 || n > math.MaxInt32 {
		panic(fmt.Sprintf("wheel: New(%d): the number of indices must be 0 to %d", n, math.MaxInt32))
	}
	return &Wheel{store: newStore(n), checks: newChecks(n)}
}

// Reset disarms every index and sets the wheel to tick now.
func (w *Wheel) Reset(now uint32) {
	w.clear()
	w.occ = [levels + 1]uint64{}
	w.cur = now
	if checking {
		w.checkInvariants()
	}
}

// Arm arms index i at tick, or moves it there if it is armed already. A tick that is not ahead of the wheel
// is due at the wheel's next one. It panics if i is not below the n of New.
func (w *Wheel) Arm(i, tick uint32) {
	place := w.slotFor(tick)
	if w.pos[i] != 0 {
		if w.placeHolding(i) == place {
			return
		}
		w.Cancel(i)
	}
	w.put(i, place)
	w.occ[place>>slotBits] |= 1 << (place & (slots - 1))
	if checking { // at the end: default.pgo knows the calls above by their distance from the first line
		w.checkArmed(i, tick)
	}
}

// slotFor returns the place of the slot for a deadline at tick.
func (w *Wheel) slotFor(tick uint32) uint32 {
	ahead := int32(tick - w.cur)
	if ahead <= 0 {
		ahead = 1
	} else if ahead > MaxAhead {
		ahead = MaxAhead
	}
	level := uint32(bits.Len32(uint32(ahead))-1) / slotBits
	return level<<slotBits | (w.cur+uint32(ahead))>>(level*slotBits)&(slots-1)
}

// Cancel disarms index i; it does nothing if i is not armed. It panics if i is not below the n of
// New.
func (w *Wheel) Cancel(i uint32) {
	if w.pos[i] == 0 {
		return
	}
	if place, empty := w.take(i); empty {
		w.vacate(place)
	}
	if checking {
		w.checkInvariants()
	}
}

// Armed reports whether index i is armed. It panics if i is not below the n of New.
func (w *Wheel) Armed(i uint32) bool { return w.pos[i] != 0 }

// vacate clears the bit of a place whose list became empty.
func (w *Wheel) vacate(place uint32) {
	w.occ[place>>slotBits] &^= 1 << (place & (slots - 1))
}

// Advance moves the wheel on towards tick now and pops indices whose slot is due into out, earlier slots
// first. It disarms them: the caller expires each, or arms it again at its deadline.
//
// more reports that out was too short for all that is due by now. The wheel then stands at the slot that it
// has reached: deadlines up to now can still be armed ahead of it, and the next call carries on. Without more
// the wheel stands at now. A now behind the wheel pops only what an earlier call has left over.
func (w *Wheel) Advance(now uint32, out []uint32) (n int, more bool) {
	if checking {
		defer w.checkInvariants()
	}
	for {
		for w.occ[levels] != 0 {
			if n == len(out) {
				return n, true
			}
			place := uint32(duePlace + bits.TrailingZeros64(w.occ[levels]))
			popped, empty := w.pop(place, out[n:])
			if n += popped; empty {
				w.vacate(place)
			}
		}
		ahead := int32(now - w.cur)
		if ahead <= 0 {
			return n, false
		}
		step, ok := w.Next()
		if !ok || step > uint32(ahead) {
			w.cur = now
			return n, false
		}
		if n == len(out) {
			return n, true
		}
		w.cur += step
		w.moveDue()
	}
}

// Behind returns how many ticks the wheel stands behind tick now: 0 after an Advance to now without more.
func (w *Wheel) Behind(now uint32) uint32 { return uint32(max(int32(now-w.cur), 0)) }

// Next returns how many ticks ahead of the wheel the earliest occupied slot begins, 1 to 2^24, and false if
// every slot is empty. What an Advance has left over is due before that.
func (w *Wheel) Next() (step uint32, ok bool) {
	for level := range levels {
		if w.occ[level] == 0 {
			continue
		}
		shift := level * slotBits
		pointer := w.cur >> shift
		lap := bits.RotateLeft64(w.occ[level], -int((pointer+1)&(slots-1)))
		moves := uint32(bits.TrailingZeros64(lap)) + 1
		if ticks := (pointer+moves)<<shift - w.cur; !ok || ticks < step {
			step, ok = ticks, true
		}
	}
	return step, ok
}

// moveDue moves the lists of the slots that fall due at cur to the due places, which are all empty.
//
// The wheel has just moved to cur, and no occupied slot lay before. So a pointer that has just moved, the bits
// of cur below it being zero, finds the slot of this tick: one of the next lap would have been more than 64
// moves ahead.
func (w *Wheel) moveDue() {
	for level := range uint32(levels) {
		shift := level * slotBits
		if w.cur&(1<<shift-1) != 0 {
			return
		}
		slot := w.cur >> shift & (slots - 1)
		if w.occ[level]>>slot&1 == 0 {
			continue
		}
		w.swapLists(level<<slotBits|slot, duePlace+level)
		w.vacate(level<<slotBits | slot)
		w.occ[levels] |= 1 << level
	}
}
