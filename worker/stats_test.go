package worker

import (
	"reflect"
	"testing"
)

// Whatever is added to Stats later must be brought together too.
func TestTotalsOfAllWorkersAreSums(t *testing.T) {
	worst := map[string]bool{"MaxTurn": true, "MaxTurnWork": true, "MaxFrameAge": true, "MaxExpiryLag": true, "IfIndex": true, "LostUntil": true}
	filled := func(n int64) (s Stats) {
		fill(reflect.ValueOf(&s).Elem(), n)
		s.InterfaceUp, s.Reopened = true, uint64(n)
		return s
	}
	var all Stats
	for i, n := range []int64{3, 5, 4} {
		s := filled(n)
		s.IfIndex = 5
		all.Add(&s, i == 0)
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
		case reflect.Pointer: // Gone is no figure
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
	if all.Add(&down, false); all.InterfaceUp || all.IfIndex != NoInterface {
		t.Errorf("one worker's interface is away: %v, %d", all.InterfaceUp, all.IfIndex)
	}
}

// fill sets every number in v to n.
func fill(v reflect.Value, n int64) {
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Bool, reflect.Pointer: // Gone is no figure
	default:
		if v.CanInt() {
			v.SetInt(n)
		} else {
			v.SetUint(uint64(n))
		}
	}
}

func TestLost(t *testing.T) {
	var s Stats
	for i, count := range []*uint64{&s.Dropped, &s.Freezes, &s.NoRoom, &s.BadBlocks, &s.SharedOrigin, &s.Counters.Skipped[1], &s.Unselected, &s.Expired, &s.Tally.Recycled} {
		before := s.Lost()
		*count++
		if grown := s.Lost() != before; grown != (i < 5) {
			t.Errorf("row %d: a loss: %v", i, grown)
		}
	}
}
