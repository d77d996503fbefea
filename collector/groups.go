package collector

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
)

// GroupSource is the capture's figures of combinations of groups as a scrape sees them.
type GroupSource interface {
	// Groups fills r with all combinations, reusing the memory of r.Rows. It returns early with ctx's error when ctx
	// ends. It may be called from several goroutines at once.
	Groups(ctx context.Context, r *group.Reading) error
}

// groupMetric is one series, or one histogram, of a family of groups, as client_golang has them.
type groupMetric struct {
	family *exposition.GroupFamily
	series *exposition.GroupSeries
	native group.Native // memory of Write
}

var _ prometheus.Metric = (*groupMetric)(nil)

// Desc returns the description of the family.
func (m *groupMetric) Desc() *prometheus.Desc {
	var names []string
	m.labels(func(name, _ *string) { names = append(names, *name) })
	return prometheus.NewDesc(m.family.Name, m.family.Help, names, nil)
}

// The names of labels, to be pointed at.
var (
	clientGroup, serverGroup, serviceLabel, interfaceLabel = "client_group", "server_group", "service", "interface"
)

// labels calls yield for each label, in alphabetical order.
func (m *groupMetric) labels(yield func(name, value *string)) {
	c, label := m.series.Of, m.family.Label
	before := "" // the label before
	next := func(name, value *string) {
		if label > before && (name == nil || label < *name) {
			yield(&m.family.Label, &m.series.Value)
		}
		if name != nil {
			yield(name, value)
			before = *name
		}
	}
	if c != nil {
		next(&clientGroup, &c.Client)
		if c.Interface != "" {
			next(&interfaceLabel, &c.Interface)
		}
		next(&serverGroup, &c.Server)
		next(&serviceLabel, &c.Service)
	}
	next(nil, nil)
}

// Write sets d to the series; of a histogram to its classic buckets and its native ones. It uses the memory of d
// again.
func (m *groupMetric) Write(d *dto.Metric) error {
	n := 0
	m.labels(func(name, value *string) {
		l := element(&d.Label, n)
		put(&l.Name, *name)
		put(&l.Value, *value)
		n++
	})
	d.Label = d.Label[:n]
	oldCounter, oldGauge, oldHistogram := d.Counter, d.Gauge, d.Histogram
	d.Counter, d.Gauge, d.Histogram = nil, nil, nil
	switch m.family.Type {
	case counter:
		d.Counter = orNew(oldCounter)
		put(&d.Counter.Value, float64(m.series.X))
	case gauge:
		d.Gauge = orNew(oldGauge)
		put(&d.Gauge.Value, float64(m.series.X))
	default:
		d.Histogram = orNew(oldHistogram)
		m.writeHistogram(d.Histogram)
	}
	return nil
}

func (m *groupMetric) writeHistogram(h *dto.Histogram) {
	from := m.series.Distribution
	put(&h.SampleCount, from.Count)
	put(&h.SampleSum, from.Sum)
	for i, bound := range from.Bounds {
		b := element(&h.Bucket, i)
		put(&b.UpperBound, bound)
		put(&b.CumulativeCount, from.Counts[i])
	}
	h.Bucket = h.Bucket[:len(from.Bounds)]
	if from.Times == nil {
		h.Schema, h.ZeroThreshold, h.ZeroCount, h.PositiveSpan, h.PositiveDelta = nil, nil, nil, nil, nil
		return
	}
	n := &m.native
	from.Times.Native(n)
	put(&h.Schema, n.Schema)
	put(&h.ZeroThreshold, n.ZeroThreshold)
	put(&h.ZeroCount, n.ZeroCount)
	for i := range n.Spans {
		s := element(&h.PositiveSpan, i)
		put(&s.Offset, n.Spans[i].Offset)
		put(&s.Length, n.Spans[i].Length)
	}
	h.PositiveSpan = h.PositiveSpan[:len(n.Spans)]
	h.PositiveDelta = append(h.PositiveDelta[:0], n.Deltas...)
}

// put sets *to to x, in the memory that it points to if there is any.
func put[T any](to **T, x T) {
	*to = orNew(*to)
	**to = x
}

func orNew[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

// element returns element i of *s, which it makes longer by one if need be: what was there before is used again.
func element[T any](s *[]*T, i int) *T {
	if i == len(*s) {
		if i == cap(*s) {
			*s = slices.Grow(*s, 1)
		}
		*s = (*s)[:i+1]
	}
	(*s)[i] = orNew((*s)[i])
	return (*s)[i]
}
