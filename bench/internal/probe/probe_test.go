package probe

import "testing"

func TestProbeTellsAPossibleClockRate(t *testing.T) {
	r, err := CPU(0)
	if err != nil {
		t.Fatal(err)
	}
	if r.GHz < 0.1 || r.GHz > 8 || r.Share <= 0 || r.Share > 1 {
		t.Errorf("probe of CPU 0: %+v", r)
	}
	if _, err := CPU(1000); err == nil {
		t.Error("CPU 1000 was probed")
	}
}
