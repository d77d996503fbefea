package perfdata

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

const file = `# build 0123abc, 2026-11-28
# machine AMD EPYC; 2 CPUs
# command make perf
# trial run: small sizes, figures that say nothing
streams	median (ns/packet)	note
1000	28.1	
100000	59.44	some text
`

func TestAFileIsReadAsItWasWritten(t *testing.T) {
	written := &Table{
		Origin:  Origin{Build: "0123abc, 2026-11-28", Machine: "AMD EPYC; 2 CPUs", Command: "make perf", Trial: true},
		Columns: []string{"streams", "median (ns/packet)", "note"},
	}
	written.Add(1000, 28.1, "")
	written.Add(100_000, 59.4449, "some text")
	if got := string(written.Encode()); got != file {
		t.Errorf("written:\n%s\nwant:\n%s", got, file)
	}
	read, err := Decode([]byte(file))
	if err != nil || !reflect.DeepEqual(read, written) {
		t.Errorf("read %+v, %v; want %+v", read, err, written)
	}
	if v, err := read.Number(1, "median"); v != 59.44 || err != nil {
		t.Errorf("the median of the second row is %v, %v", v, err)
	}
	if v, err := read.Number(0, "note"); err == nil {
		t.Errorf("an empty value is the number %v", v)
	}
	if v, err := read.Number(0, "none"); err == nil {
		t.Errorf("a column that is not there has %v", v)
	}
}

func TestAFileThatIsNoneIsRefused(t *testing.T) {
	for _, row := range []struct{ says, old, new, want string }{
		{"a row too short", "100000\t59.44\tsome text", "100000", "line 7: 1 values under 3 columns"},
		{"an unknown comment", "# machine", "# computer", `line 2: comment "# computer`},
		{"no build", "# build 0123abc, 2026-11-28\n", "", "want comments that name build"},
		{"no rows", "1000\t28.1\t\n100000\t59.44\tsome text\n", "", "a row of figures"},
	} {
		if _, err := Decode([]byte(strings.Replace(file, row.old, row.new, 1))); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v, want %q", row.says, err, row.want)
		}
	}
}

func TestNumbersHaveFourDigitsAndNoExponent(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1_140_000_000: "1140000000", 28.1234: "28.12", 1234.56: "1235", 98765.4: "98770", 0.000123456: "0.0001235"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, row := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{3}, Spread{1, 3, 3, 3}}, {[]float64{9, 1, 5}, Spread{3, 5, 1, 9}}, {[]float64{4, 1, 2, 100}, Spread{4, 3, 1, 100}},
	} {
		if got := Of(row.values); got != row.want {
			t.Errorf("%v: %+v, want %+v", row.values, got, row.want)
		}
	}
	if got := Of(nil); !math.IsNaN(got.Median) {
		t.Errorf("nothing has the median %v", got.Median)
	}
}
