package expositiontest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The Content-Types of the two formats.
const (
	TextType        = "text/plain; version=0.0.4; charset=utf-8"
	OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// ProtobufType is the Content-Type of the protobuf format, which answers without streams may have.
const ProtobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// Exposition holds what a parser reads from a text.
type Exposition struct {
	Types  map[string]string // by family
	Helps  map[string]string
	Values map[string]float64 // by series: name{labels}, the labels sorted
}

// Parse reads a text of the text format.
func Parse(t testing.TB, text []byte) Exposition {
	t.Helper()
	return ParseAs(t, text, TextType)
}

// ParseAs reads a text of the given Content-Type with the parser of prometheus/common. It fails the test
// also on what that lets pass: a series or a TYPE that comes twice, a timestamp, and labels of a stream
// that are not the five, perhaps with the two of its origin, or not in their order. The names of families are those of their series: OpenMetrics has the header of a
// counter under the name without _total.
//
// OpenMetrics, which the parser does not know, is turned into the text format first. The module in
// collector/scrapetest has Prometheus' own parsers read both formats.
func ParseAs(t testing.TB, text []byte, contentType string) Exposition {
	t.Helper()
	e := Exposition{map[string]string{}, map[string]string{}, map[string]float64{}}
	if strings.HasPrefix(contentType, "application/vnd.google.protobuf") {
		for _, f := range Families(t, text) {
			name := f.GetName()
			if _, twice := e.Types[name]; twice {
				t.Fatalf("%s twice", name)
			}
			e.Types[name], e.Helps[name] = strings.ToLower(f.GetType().String()), f.GetHelp()
			for _, m := range f.Metric {
				e.add(t, name, m)
			}
		}
		return e
	}
	if strings.HasPrefix(contentType, "application/openmetrics-text") {
		text = fromOpenMetrics(t, text)
	}
	for _, m := range header.FindAllSubmatch(text, -1) {
		into, name := e.Types, string(m[2])
		if string(m[1]) == "HELP" {
			into = e.Helps
		}
		if _, twice := into[name]; twice {
			t.Fatalf("%s of %s twice", m[1], name)
		}
		into[name] = string(m[3])
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("the parser of prometheus/common: %v", err)
	}
	for name, f := range families {
		for _, m := range f.Metric {
			e.add(t, name, m)
		}
	}
	return e
}

// Families reads messages of the protobuf format.
func Families(t testing.TB, messages []byte) (all []*dto.MetricFamily) {
	t.Helper()
	decoder := expfmt.NewDecoder(bytes.NewReader(messages), expfmt.FmtProtoDelim)
	for {
		f := new(dto.MetricFamily)
		if err := decoder.Decode(f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("the decoder of prometheus/common: %v", err)
		}
		all = append(all, f)
	}
}

// header matches a line of HELP or TYPE.
var header = regexp.MustCompile(`(?m)^# (HELP|TYPE) (\S+) (.*)$`)

// fromOpenMetrics returns a text of OpenMetrics in the text format: without the mark of its end, and with
// the suffix of counters in their headers.
func fromOpenMetrics(t testing.TB, text []byte) []byte {
	t.Helper()
	text, ended := bytes.CutSuffix(text, []byte("# EOF\n"))
	if !ended || len(text) > 0 && text[len(text)-1] != '\n' || bytes.Contains(text, []byte("# EOF")) {
		t.Fatalf("the text does not end with its only # EOF: ...%q", text[max(0, len(text)-100):])
	}
	counters := map[string]bool{}
	for _, m := range header.FindAllSubmatch(text, -1) {
		if string(m[1]) == "TYPE" && string(m[3]) == "counter" {
			counters[string(m[2])] = true
		}
	}
	return header.ReplaceAllFunc(text, func(line []byte) []byte {
		m := header.FindSubmatch(line)
		if counters[string(m[2])] {
			return fmt.Appendf(nil, "# %s %s_total %s", m[1], m[2], m[3])
		}
		return line
	})
}

// add adds the series of one metric.
func (e *Exposition) add(t testing.TB, name string, m *dto.Metric) {
	t.Helper()
	if m.TimestampMs != nil {
		t.Fatalf("%s has a timestamp", name)
	}
	if labels := names(m); slices.Contains(labels, "src_ip") {
		more := func(name string) bool { return name == "interface" || name == "vlan" }
		if !slices.IsSorted(labels) || !slices.Equal(slices.DeleteFunc(slices.Clone(labels), more), []string{"dst_ip", "dst_port", "src_ip", "src_port", "state"}) {
			t.Fatalf("%s has the labels %v, want the five of a stream, perhaps with an interface and VLANs", name, labels)
		}
		if state := m.Label[slices.Index(labels, "state")].GetValue(); state != "active" && state != "finalized" {
			t.Fatalf("%s has state %q", name, state)
		}
	}
	series := func(suffix string, x float64, labels ...string) {
		for _, l := range m.Label {
			labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
		}
		slices.Sort(labels)
		s := name + suffix
		if len(labels) > 0 {
			s += "{" + strings.Join(labels, ",") + "}"
		}
		if _, twice := e.Values[s]; twice {
			t.Fatalf("%s twice", s)
		}
		e.Values[s] = x
	}
	switch {
	case m.Counter != nil:
		series("", m.Counter.GetValue())
	case m.Gauge != nil:
		series("", m.Gauge.GetValue())
	case m.Histogram != nil:
		for _, b := range m.Histogram.Bucket {
			series("_bucket", float64(b.GetCumulativeCount()), fmt.Sprintf("le=%q", fmt.Sprint(b.GetUpperBound())))
		}
		if n := len(m.Histogram.Bucket); n > 0 && !math.IsInf(m.Histogram.Bucket[n-1].GetUpperBound(), 1) { // protobuf leaves it out
			series("_bucket", float64(m.Histogram.GetSampleCount()), `le="+Inf"`)
		}
		series("_sum", m.Histogram.GetSampleSum())
		series("_count", float64(m.Histogram.GetSampleCount()))
	case m.Summary != nil:
		for _, q := range m.Summary.Quantile {
			series("", q.GetValue(), fmt.Sprintf("quantile=%q", fmt.Sprint(q.GetQuantile())))
		}
		series("_sum", m.Summary.GetSampleSum())
		series("_count", float64(m.Summary.GetSampleCount()))
	default:
		t.Fatalf("%s has no type that the exporter writes: %v", name, m)
	}
}

// names returns the names of a metric's labels, in the order of the text.
func names(m *dto.Metric) []string {
	var all []string
	for _, l := range m.Label {
		all = append(all, l.GetName())
	}
	return all
}
