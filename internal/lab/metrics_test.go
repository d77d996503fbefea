package lab

import (
	"net/netip"
	"strings"
	"testing"
)

const sample = `# TYPE a_total counter
a_total{src_ip="10.0.0.1",src_port="1",dst_ip="10.0.0.2",dst_port="2",state="active"} 5
a_total{dst_ip="10.0.0.1",dst_port="1",src_ip="10.0.0.2",src_port="2",state="active"} 6
# TYPE b gauge
b{src_ip="10.0.0.1",src_port="9",dst_ip="10.0.0.2",dst_port="2",state="finalized"} -0.5
plain 1
# TYPE s summary
s{quantile="0.5"} 1
s_sum 3
s_count 2
`

func TestParseMetrics(t *testing.T) {
	m, err := ParseMetrics(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	f := Flow{netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2")}
	ended := Flow{netip.MustParseAddrPort("10.0.0.1:9"), f.Dst}
	for key, want := range map[string]float64{
		f.Key("a_total", "active"):           5,
		f.Reverse().Key("a_total", "active"): 6,
		ended.Key("b", "finalized"):          -0.5,
		"plain":                              1,
		"s_sum":                              3,
		"s_count":                            2,
		`a_total{dst_ip="10.0.0.2",dst_port="2",src_ip="10.0.0.1",src_port="1",state="active"}`: 5,
	} {
		if got, ok := m[key]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", key, got, ok, want)
		}
	}
	if len(m) != 6 {
		t.Errorf("%d series, want 6: %v", len(m), m)
	}
	if got := m.sum("a_total"); got != 11 {
		t.Errorf("sum of a_total: %v, want 11", got)
	}
	if got := m.Of(f, "active"); len(got) != 1 || got["a_total"] != 5 {
		t.Errorf("families of the active flow: %v, want a_total 5 alone", got)
	}
	if got := m.Of(f.Reverse(), "finalized"); len(got) != 0 {
		t.Errorf("families of a flow in a state that it is not in: %v, want none", got)
	}
}

func TestParseMetricsRejects(t *testing.T) {
	for name, text := range map[string]string{
		"a series twice":                   "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\n",
		"a bare series twice":              "a 1\na 2\n",
		"a stream in two states":           "a{src_ip=\"x\",state=\"active\"} 1\na{src_ip=\"x\",state=\"finalized\"} 1\n",
		"no value":                         "a\n",
		"a name that old servers refuse":   "\"a b\" 1\n",
		"a body cut off in a series' name": "a{x=\"1",
	} {
		if m, err := ParseMetrics(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error but %v", name, m)
		}
	}
}
