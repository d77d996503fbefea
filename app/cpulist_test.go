package app

import (
	"slices"
	"strings"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	for _, c := range []struct {
		list string
		want []int
	}{
		{"0", []int{0}}, {"3,1", []int{3, 1}}, {"0,2-5", []int{0, 2, 3, 4, 5}}, {"7-7", []int{7}}, {"1023", []int{1023}},
	} {
		if got, err := parseCPUs(c.list); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.list, got, err, c.want)
		}
	}
	for _, list := range []string{"", ",", "1,", "a", "1-", "-1", "3-1", "1024", "0-9999999999999999999", "1 2"} {
		if got, err := parseCPUs(list); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v; want an error of one line", list, got, err)
		}
	}
}
