package tsharkcmp

import (
	"fmt"
	"io"
	"math"
)

// Difference is one figure of one direction that differs.
type Difference struct {
	Dir    Direction
	Column string
	Tshark string
	Ours   string
}

func (d Difference) String() string {
	return fmt.Sprintf("%v: %s: tshark %s, exporter %s", d.Dir, d.Column, d.Tshark, d.Ours)
}

// Share counts directions, and those of them that agree.
type Share struct{ Agree, Of int }

func (s *Share) count(agree bool) {
	s.Of++
	if agree {
		s.Agree++
	}
}

// Percent returns the share in percent, 100 of nothing.
func (s Share) Percent() float64 {
	if s.Of == 0 {
		return 100
	}
	return 100 * float64(s.Agree) / float64(s.Of)
}

func (s Share) String() string { return fmt.Sprintf("%d of %d (%.1f%%)", s.Agree, s.Of, s.Percent()) }

// Report holds the outcome of a comparison.
type Report struct {
	Directions  int
	Differences []Difference // of figures that are to be equal
	Explained   []Difference // of those, what a rule explains that tshark's frames show to apply
	Totals      [2]Figures   // tshark's, ours
	// RTT within rttTolerance, of the directions in which tshark's frames give samples; the average
	// only where there are no more than recentSamples, because it follows the recent ones then.
	Min, Max, Avg Share
	RTT           []Difference // RTT figures beyond it
}

const (
	rttTolerance  = 0.05
	recentSamples = 100
	// clockTick is the largest difference in seconds by two roundings to microseconds.
	clockTick = 1.5e-6
	// longest is the longest time in seconds that the exporter takes for a round trip: 2³¹ units of 64 ns.
	// Only a clock that is set shows longer ones.
	longest = 1 << 31 * 64e-9
)

// Compare holds the exporter's figures against tshark's.
func Compare(tshark, ours Table) *Report {
	r := &Report{}
	for _, d := range directions(tshark, ours) {
		r.Directions++
		t, o := tshark[d], ours[d]
		if t == nil || o == nil {
			r.Differences = append(r.Differences, Difference{d, "direction", present(t), present(o)})
			continue
		}
		r.Totals[0].merge(t)
		r.Totals[1].merge(o)
		if len(t.Each) == len(o.Each) && len(t.Each) > 1 {
			for i := range t.Each {
				r.equal(d, fmt.Sprintf(" of connection %d", i+1), &t.Each[i], &o.Each[i])
				r.rtt(d, &t.Each[i], &o.Each[i])
			}
			continue
		}
		r.equal(d, "", t, o)
		r.rtt(d, t, o)
	}
	return r
}

func present(f *Figures) string {
	if f == nil {
		return "none"
	}
	return fmt.Sprintf("%d packets", f.Packets)
}

func (r *Report) equal(d Direction, which string, t, o *Figures) {
	for _, c := range columns {
		a, b := c.of(t), c.of(o)
		most, doubtful := a, uint64(0)
		if c.added != nil {
			most += c.added(t)
		}
		if c.doubtful != nil {
			doubtful = c.doubtful(t)
		}
		to := &r.Differences
		if b <= most && b+doubtful >= most {
			if a == b {
				continue
			}
			to = &r.Explained
		}
		*to = append(*to, Difference{d, c.name + which, fmt.Sprint(a), fmt.Sprint(b)})
	}
}

func (r *Report) rtt(d Direction, t, o *Figures) {
	if t.RTT.Min < 0 || t.RTT.Max > longest {
		return // stored figures are wrong where a clock was set
	}
	if t.RTT.N == 0 {
		if o.RTT.N > 0 {
			r.RTT = append(r.RTT, Difference{d, "RTT", "no samples", seconds(o.RTT.Avg)})
		}
		return
	}
	one := func(s *Share, name string, a, b float64) {
		agree := o.RTT.N > 0 && math.Abs(a-b) <= max(rttTolerance*a, clockTick)
		s.count(agree)
		if !agree {
			ours := "no samples"
			if o.RTT.N > 0 {
				ours = seconds(b)
			}
			r.RTT = append(r.RTT, Difference{d, fmt.Sprintf("RTT %s of %d", name, t.RTT.N), seconds(a), ours})
		}
	}
	one(&r.Min, "minimum", t.RTT.Min, o.RTT.Min)
	one(&r.Max, "maximum", t.RTT.Max, o.RTT.Max)
	// Of several connections on one four-tuple the exporter's averages cannot be put together.
	if t.RTT.N <= recentSamples && o.Connections <= 1 {
		one(&r.Avg, "average", t.RTT.Avg, o.RTT.Avg)
	}
}

func seconds(x float64) string { return fmt.Sprintf("%.6f s", x) }

// Add takes another file's outcome in.
func (r *Report) Add(o *Report) {
	r.Directions += o.Directions
	r.Differences = append(r.Differences, o.Differences...)
	r.Explained = append(r.Explained, o.Explained...)
	r.RTT = append(r.RTT, o.RTT...)
	for i := range r.Totals {
		r.Totals[i].merge(&o.Totals[i])
	}
	for _, s := range [][2]*Share{{&r.Min, &o.Min}, {&r.Max, &o.Max}, {&r.Avg, &o.Avg}} {
		s[0].Agree += s[1].Agree
		s[0].Of += s[1].Of
	}
}

// Print writes the outcome as a table: totals, then what differs, at most limit lines of each kind.
func (r *Report) Print(w io.Writer, limit int) {
	fmt.Fprintf(w, "%d directions\n\n", r.Directions)
	row := func(name string, of ...any) { fmt.Fprintf(w, "%-30s %14v %14v\n", append([]any{name}, of...)...) }
	row("total", "tshark", "exporter")
	a, b := &r.Totals[0], &r.Totals[1]
	row("retransmissions", a.Retransmissions, b.Retransmissions)
	row("out of order", a.OutOfOrder, b.OutOfOrder)
	for _, c := range columns {
		if c.name != "window" {
			row(c.name, c.of(a), c.of(b))
		}
	}
	fmt.Fprintf(w, "\nRTT within %.0f%%: minimum %v, maximum %v, average %v of up to %d samples\n",
		100*rttTolerance, r.Min, r.Max, r.Avg, recentSamples)
	for _, part := range []struct {
		what string
		all  []Difference
	}{{"differences", r.Differences}, {"explained by tshark's frames", r.Explained}, {"RTT figures beyond that", r.RTT}} {
		fmt.Fprintf(w, "\n%s: %d\n", part.what, len(part.all))
		for _, d := range part.all[:min(limit, len(part.all))] {
			fmt.Fprintf(w, "  %v\n", d)
		}
		if len(part.all) > limit {
			fmt.Fprintf(w, "  and %d more\n", len(part.all)-limit)
		}
	}
}
