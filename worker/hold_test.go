package worker

import "testing"

func TestHoldsAreCountedByTheirLength(t *testing.T) {
	var h, sum Holds
	for _, ns := range []int64{0, 10_000, 10_001, 50_000, 50_001, 10_000_000, 10_000_001, 1 << 60} {
		h.NoteRun(ns, 1)
	}
	if want := [...]uint64{2, 1, 1, 1, 0, 0, 0, 1, 2}; h.Counts != want {
		t.Errorf("%v, want %v", h.Counts, want)
	}
	sum.add(&h)
	sum.add(&h)
	var run Holds
	if run.NoteRun(80_001, 4); run.Counts != [...]uint64{1: 4, 8: 0} || run.Sum != 80_001 {
		t.Errorf("a run of 4 pieces: %+v", run)
	}
	if sum.Sum != 2*h.Sum || sum.Counts[0] != 4 || sum.Counts[8] != 4 {
		t.Errorf("%+v", sum)
	}
}
