package lab

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics is one scrape: series, as Key writes them, to values. Of summaries and histograms it has
// _sum and _count.
type Metrics map[string]float64

// Key names a series: the family's name and its labels sorted by name, or the bare name without
// labels. labels are pairs: name, value, name, value.
func Key(name string, labels ...string) string {
	if len(labels) == 0 {
		return name
	}
	pairs := make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+"="+strconv.Quote(labels[i+1]))
	}
	slices.Sort(pairs)
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// ParseMetrics reads the text format with Prometheus' own parser. A series that comes twice is an
// error, which the parser alone would let pass, and so is whatever else a Checker finds.
func ParseMetrics(r io.Reader) (Metrics, error) {
	now := time.Now()
	answer := new(Checker).Answer(now, now)
	m, err := parse(io.TeeReader(r, answer))
	if err != nil {
		return nil, err
	}
	return m, answer.Close()
}

func parse(r io.Reader) (Metrics, error) {
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(r)
	if err != nil {
		return nil, err
	}
	m := make(Metrics)
	for name, family := range families {
		for _, series := range family.GetMetric() {
			if err := m.add(name, series); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m Metrics) add(name string, s *dto.Metric) error {
	labels := make([]string, 0, 2*len(s.GetLabel()))
	for _, l := range s.GetLabel() {
		labels = append(labels, l.GetName(), l.GetValue())
	}
	set := func(name string, v float64) error {
		key := Key(name, labels...)
		if _, twice := m[key]; twice {
			return fmt.Errorf("series %s comes twice", key)
		}
		m[key] = v
		return nil
	}
	switch {
	case s.Counter != nil:
		return set(name, s.Counter.GetValue())
	case s.Gauge != nil:
		return set(name, s.Gauge.GetValue())
	case s.Untyped != nil:
		return set(name, s.Untyped.GetValue())
	case s.Summary != nil:
		set(name+"_sum", s.Summary.GetSampleSum())
		return set(name+"_count", float64(s.Summary.GetSampleCount()))
	case s.Histogram != nil:
		set(name+"_sum", s.Histogram.GetSampleSum())
		return set(name+"_count", float64(s.Histogram.GetSampleCount()))
	}
	return fmt.Errorf("series %s of an unknown type", Key(name, labels...))
}

// Flow is one direction of a connection.
type Flow struct{ Src, Dst netip.AddrPort }

// Reverse returns the other direction.
func (f Flow) Reverse() Flow { return Flow{Src: f.Dst, Dst: f.Src} }

func (f Flow) String() string { return f.Src.String() + ">" + f.Dst.String() }

// Key names the series of a per-stream family for this flow in the given state.
func (f Flow) Key(name, state string) string {
	return Key(name,
		"src_ip", f.Src.Addr().String(), "src_port", strconv.Itoa(int(f.Src.Port())),
		"dst_ip", f.Dst.Addr().String(), "dst_port", strconv.Itoa(int(f.Dst.Port())),
		"state", state)
}

// Of returns the families that a flow has in a state, by name.
func (m Metrics) Of(f Flow, state string) map[string]float64 {
	_, labels, _ := strings.Cut(f.Key("", state), "{")
	found := make(map[string]float64)
	for key, v := range m {
		if name, l, ok := strings.Cut(key, "{"); ok && l == labels {
			found[name] = v
		}
	}
	return found
}

// On returns the series of streams that were seen on an interface, without that label, as a capture of that interface
// alone shows them. Other series are left out.
func (m Metrics) On(iface string) Metrics {
	on := Metrics{}
	label := `,` + strings.TrimSuffix(strings.TrimPrefix(Key("", "interface", iface), "{"), "}")
	for key, v := range m {
		if strings.Contains(key, `src_ip="`) && strings.Contains(key, label+",") {
			on[strings.Replace(key, label, "", 1)] = v
		}
	}
	return on
}

// sum adds up all series of a family.
func (m Metrics) sum(name string) float64 {
	sum := 0.0
	for key, v := range m {
		if family, _, _ := strings.Cut(key, "{"); family == name {
			sum += v
		}
	}
	return sum
}
