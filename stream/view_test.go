package stream

import "testing"

// A reader learns whether the other direction was seen: what one direction alone cannot show is left out then.
func TestViewTellsOfTheReverse(t *testing.T) {
	c, tally := fresh(), &Tally{}
	var v View
	play(c, tally, []step{{0, a, ack, 1, 1000, 1, 10, 0}})
	if !c.View(a, 1e9, &v) || v.Has&HasReverse != 0 {
		t.Errorf("one direction: has %b", v.Has)
	}
	play(c, tally, []step{{10, b, ack, 1, 0, 1001, 10, 0}})
	for _, dir := range []int{a, b} {
		if !c.View(dir, 1e9, &v) || v.Has&HasReverse == 0 {
			t.Errorf("both directions: %d has %b", dir, v.Has)
		}
	}
}
