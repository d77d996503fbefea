package benchflag

import (
	"slices"
	"testing"
)

func TestCounts(t *testing.T) {
	var c Counts
	if err := c.Set("1000,33554432"); err != nil || !slices.Equal(c, Counts{1000, 33_554_432}) || c.String() != "1000,33554432" {
		t.Errorf("two numbers: %v, %q, %v", []int(c), c.String(), err)
	}
	for _, text := range []string{"", "0", "3", "2,", "x", "33554434", "-2", "2, 4"} {
		if err := c.Set(text); err == nil {
			t.Errorf("-streams %q was taken as %v", text, []int(c))
		}
	}
}
