package capture

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"tcp-stream-exporter/ring"
)

// Whatever is added to Stats later must be brought together too.
func TestTotalsOfAllWorkersAreSums(t *testing.T) {
	worst := map[string]bool{"MaxTurn": true, "MaxTurnWork": true, "MaxFrameAge": true, "MaxExpiryLag": true, "IfIndex": true}
	filled := func(n int64) (s Stats) {
		fill(reflect.ValueOf(&s).Elem(), n)
		s.InterfaceUp, s.Reopened = true, uint64(n)
		return s
	}
	var all Stats
	for i, n := range []int64{3, 5, 4} {
		s := filled(n)
		s.IfIndex = 5
		all.add(&s, i == 0)
	}
	var check func(name string, v reflect.Value)
	check = func(name string, v reflect.Value) {
		want := int64(12)
		if worst[name] || name == "Stats.Reopened" {
			want = 5
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				field := v.Type().Field(i).Name
				if field == "Reopened" && v.Type() == reflect.TypeFor[Stats]() {
					field = "Stats.Reopened"
				}
				check(field, v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				check(name, v.Index(i))
			}
		case reflect.Bool:
			if !v.Bool() {
				t.Errorf("%s is false", name)
			}
		default:
			got := int64(0)
			if v.CanInt() {
				got = v.Int()
			} else {
				got = int64(v.Uint())
			}
			if got != want {
				t.Errorf("%s is %d, want %d", name, got, want)
			}
		}
	}
	check("", reflect.ValueOf(all))
	down := filled(1)
	down.InterfaceUp = false
	if all.add(&down, false); all.InterfaceUp || all.IfIndex != NoInterface {
		t.Errorf("one worker's interface is away: %v, %d", all.InterfaceUp, all.IfIndex)
	}
}

// fill sets every number in v to n.
func fill(v reflect.Value, n int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Bool:
	default:
		if v.CanInt() {
			v.SetInt(n)
		} else {
			v.SetUint(uint64(n))
		}
	}
}

// The first worker that lost its ring opens those of all; a worker that loses it again before another
// one has taken its own gets a new one, and so does the other.
func TestRingsOfAGroupAreOpenedTogether(t *testing.T) {
	opened := 0
	failing := errors.New("not yet")
	var fails bool
	rings := make(chan []*ring.Ring, 2)
	rings <- loRings(t, 3)
	rings <- loRings(t, 3)
	var workers []*Worker
	for range 3 {
		workers = append(workers, newWorker(t, Config{StreamAge: time.Minute, FinalizedAge: time.Minute}))
	}
	g := NewGroup(workers, nil, func(context.Context) ([]*ring.Ring, error) {
		if fails {
			return nil, failing
		}
		opened++
		return <-rings, nil
	}, testClock, func(Change) {})
	take := func(i, want int) *ring.Ring {
		t.Helper()
		r, err := g.take(i)
		if err != nil || r == nil || opened != want {
			t.Fatalf("worker %d: ring %v, %v; opened %d times, want %d", i, r, err, opened, want)
		}
		return r
	}
	if a, b := take(0, 1), take(1, 1); a == b {
		t.Error("two workers have the same ring")
	}
	take(0, 2) // the third never took its first one
	take(2, 2)
	take(1, 2)
	fails = true
	if r, err := g.take(1); r != nil || !errors.Is(err, failing) {
		t.Errorf("%v, %v; want %v", r, err, failing)
	}
}

// Of many workers the operator hears once.
func TestAGroupTellsOfTheInterfaceOnce(t *testing.T) {
	var told []bool
	g := &Group{captures: make([]*Capture, 3), report: func(c Change) { told = append(told, c.Up) }}
	for _, up := range []bool{false, false, false, true, true, true, false, true} {
		g.told(Change{Up: up})
	}
	if !reflect.DeepEqual(told, []bool{false, true, false, true}) {
		t.Errorf("%v", told)
	}
}
