package scrape

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseAddsUpTheSeriesOfAFamilyAndForgetsTheRest(t *testing.T) {
	got, err := parse(strings.NewReader(`# HELP capture_a text
# TYPE capture_a counter
capture_a 1e+06
tcp_b{x="a b"} 2
capture_c{x="} 7"} 3
capture_c{x="2"} 4.5

`), []string{"capture_"})
	want := Values{"capture_a": 1e6, "capture_c": 7.5}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v, want %v", got, err, want)
	}
	if _, err := parse(strings.NewReader("capture_a x\n"), []string{"capture_"}); err == nil {
		t.Error("a value that is no number was taken")
	}
}
