package wheel

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/linked"
)

func TestChunkIsTwoCacheLines(t *testing.T) {
	if size := reflect.TypeFor[chunk]().Size(); size != 128 {
		t.Errorf("a chunk is %d bytes, want 128", size)
	}
}

// check fails the test if the wheel contradicts itself.
func check(t testing.TB, w *Wheel) {
	t.Helper()
	if err := w.invariants(); err != nil {
		t.Fatal(err)
	}
}

// Each way to break a wheel is found by the whole check, and with the tag by the next change of the wheel.
func TestInvariantsBite(t *testing.T) {
	for _, c := range []struct {
		name    string
		harm    func(w *Wheel)
		want    string
		tagOnly bool
	}{
		{"two places say they have one list", func(w *Wheel) { w.listOf[5] = w.listOf[9] }, "place 5 has list 9", false},
		{"an occupied slot has no bit", func(w *Wheel) { w.occ[0] &^= 1 << 9 }, "place 9: occupancy bit false", false},
		{"an empty slot has a bit", func(w *Wheel) { w.occ[1] |= 1 << 40 }, "place 104: occupancy bit true", false},
		{"a fifth due place has a bit", func(w *Wheel) { w.occ[levels] |= 1 << 40 }, "due places", false},
		{"a list is a loop", func(w *Wheel) {
			last := w.head[9]
			for w.chunks[last].next != 0 {
				last = w.chunks[last].next
			}
			w.chunks[last].next = w.chunks[w.head[9]].next
		}, "the list of place 9 is a loop", false},
		{"a chunk names another list", func(w *Wheel) { w.chunks[w.head[9]].list = 10 }, "hangs in list 9 and says list 10", false},
		{"an index stands where its pos does not say", func(w *Wheel) { w.chunks[w.head[9]].index[0]++ }, "sits in chunk", false},
		{"an armed index is in no list", func(w *Wheel) { w.pos[99] = w.pos[0] }, "indices, 41 are armed", false},
		{"a chunk is lost", func(w *Wheel) { w.free = 0 }, "0 free, but", false},
		{"an index is in another slot than its deadline's", func(w *Wheel) { w.swapLists(9, 10); w.occ[0] ^= 1<<9 | 1<<10 },
			"is at place 10, its slot of level 0 from tick 9 on is place 9", true},
		{"the wheel has moved past an index", func(w *Wheel) { w.cur = 20 }, "is at place 9, its slot of level 0 from tick 9 on is place 256", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := New(100)
			w.Reset(0)
			for i := range uint32(40) {
				w.Arm(i, 9) // two chunks
			}
			for i := range uint32(30) {
				w.Arm(50+i, 5000)
			}
			for i := range uint32(30) {
				w.Cancel(50 + i) // a free chunk
			}
			check(t, w)
			c.harm(w)
			err := w.invariants()
			if found := err != nil && strings.Contains(err.Error(), c.want); found != (checking || !c.tagOnly) {
				t.Errorf("found %v, want %q", err, c.want)
			}
			switch said := panicOf(func() { w.Arm(90, 300_000) }); {
			case checking && !strings.HasPrefix(said, "wheel: invariant broken: "):
				t.Errorf("the next Arm panicked with %q, want the broken invariant", said)
			case !checking && said != "":
				t.Errorf("the next Arm panicked without the tag: %s", said)
			default:
				t.Logf("the next Arm: %q", said)
			}
		})
	}
}

// Each operation that changes the wheel checks it.
func TestEveryChangeIsCheckedWithTheTag(t *testing.T) {
	for name, change := range map[string]func(w *Wheel){
		"Arm":     func(w *Wheel) { w.Arm(1, 100) },
		"Cancel":  func(w *Wheel) { w.Cancel(0) },
		"Advance": func(w *Wheel) { w.Advance(1, nil) },
		"Reset":   func(w *Wheel) { w.Reset(7) },
	} {
		w := New(10)
		w.Arm(0, 9)
		w.listOf[5] = w.listOf[20]
		if said := panicOf(func() { change(w) }); checking != strings.HasPrefix(said, "wheel: invariant broken: place 5") {
			t.Errorf("%s: with the tag %v; panicked with %q", name, checking, said)
		}
	}
}

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

// Without the tag nothing calls the checks, or the linker would have kept them.
func TestChecksAreLinkedOnlyWithTheTag(t *testing.T) {
	for _, name := range []string{"checkInvariants", "checkArmed"} {
		if got := linked.Has(t, "tcp-stream-exporter/wheel.(*Wheel)."+name); got != checking {
			t.Errorf("%s is in the program: %v, want %v", name, got, checking)
		}
	}
	if !linked.Has(t, "tcp-stream-exporter/wheel.(*Wheel).invariants") {
		t.Error("invariants, which these tests call, was not found in the program")
	}
}
