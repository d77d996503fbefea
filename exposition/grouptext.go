package exposition

import (
	"io"
	"slices"
	"strconv"
)

// GroupSeries is one series of a family of groups, or one histogram.
type GroupSeries struct {
	Of    *Combination // nil: the figure is of all combinations together
	Value string       // of the family's Label
	X     uint64
	// Distribution is there instead of X if the family is a histogram.
	Distribution *Distribution

	at int // Of is Combinations.All[at]
}

// has reports whether a combination has series in f.
func (f *GroupFamily) has(of *Combination) bool { return !f.bothWays || of.Totals.BothWays() }

// Series calls yield for each series of f, until that returns false. A GroupSeries is valid until yield returns.
func (c *Combinations) Series(f *GroupFamily, yield func(*GroupSeries) bool) {
	var s GroupSeries
	n := max(len(f.Values), 1)
	each := func() bool {
		for v := range n {
			if len(f.Values) > 0 {
				s.Value = f.Values[v]
			}
			switch {
			case f.whole != nil:
				s.X = f.whole(c.Reading, v)
			case f.distribution != nil:
				f.distribution(s.Of.Totals, v, &c.distribution)
				s.Distribution = &c.distribution
			default:
				s.X = f.value(s.Of.Totals, v)
			}
			if !yield(&s) {
				return false
			}
		}
		return true
	}
	if f.whole != nil {
		each()
		return
	}
	for s.at = range c.All {
		s.Of = &c.All[s.at]
		if !f.has(s.Of) {
			continue
		}
		if !each() {
			return
		}
	}
}

// writeGroups writes a family of groups, as client_golang's encoders do.
func (t *Writer) writeGroups(w io.Writer, f *GroupFamily, c *Combinations, format Format) (err error) {
	if f.whole == nil && !slices.ContainsFunc(c.All, func(of Combination) bool { return f.has(&of) }) {
		return nil
	}
	t.buf = appendHeader(t.buf, &f.Header, format)
	c.Series(f, func(s *GroupSeries) bool {
		if s.Distribution != nil {
			t.buf = c.appendHistogram(t.buf, f, s, format)
		} else {
			t.buf = append(t.buf, f.Name...)
			t.buf = c.appendSeriesLabels(t.buf, f, s)
			t.buf = appendTotal(t.buf, float64(s.X), format)
			t.buf = append(t.buf, '\n')
		}
		if len(t.buf) >= PieceSize {
			err = t.flush(w)
		}
		return err == nil
	})
	return err
}

// appendSeriesLabels appends the labels of a series of f that is no histogram, and a space.
func (c *Combinations) appendSeriesLabels(b []byte, f *GroupFamily, s *GroupSeries) []byte {
	if s.Of != nil {
		return append(c.appendLabels(b, s.at, f.Label, s.Value), "} "...)
	}
	if f.Label == "" {
		return append(b, ' ')
	}
	b = append(append(append(b, '{'), f.Label...), `="`...)
	return append(append(b, s.Value...), `"} `...)
}

// appendHistogram appends the lines of one histogram: its classic buckets, sum and count.
func (c *Combinations) appendHistogram(b []byte, f *GroupFamily, s *GroupSeries, format Format) []byte {
	b = append(b, f.Name...)
	b = append(b, "_bucket"...)
	begin := len(b)
	b = c.appendLabels(b, s.at, f.Label, s.Value)
	labels, d := b[begin:], s.Distribution // they stand in each line
	for i, bound := range d.Bounds {
		b = append(b, `,le="`...)
		b = append(appendTotal(b, bound, format), `"} `...)
		b = append(appendCount(b, d.Counts[i], format), '\n')
		b = append(b, f.Name...)
		b = append(b, "_bucket"...)
		b = append(b, labels...)
	}
	b = append(b, `,le="+Inf"} `...)
	b = append(appendCount(b, d.Count, format), '\n')
	b = append(b, f.Name...)
	b = append(b, "_sum"...)
	b = append(b, labels...)
	b = append(b, "} "...)
	b = append(appendTotal(b, d.Sum, format), '\n')
	b = append(b, f.Name...)
	b = append(b, "_count"...)
	b = append(b, labels...)
	b = append(b, "} "...)
	return append(appendCount(b, d.Count, format), '\n')
}

// appendCount appends a count of a histogram, which OpenMetrics has as a whole number.
func appendCount(b []byte, n uint64, format Format) []byte {
	if format == OpenMetrics {
		return strconv.AppendUint(b, n, 10)
	}
	return appendTotal(b, float64(n), format)
}
