package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// series are the runs of one reader at one number of streams.
type series struct {
	reader  string
	streams int
	runs    []*outcome

	cleanRate float64 // highest rate without drops, packets per second; 0: none of those tried
	limited   bool    // cleanRate is the generator's limit, not the reader's
}

func (s *series) values(of func(*outcome) float64) []float64 {
	all := make([]float64, len(s.runs))
	for i, o := range s.runs {
		all[i] = of(o)
	}
	return all
}

func (s *series) median(of func(*outcome) float64) float64 { return median(s.values(of)) }

func (s *series) dropped() (n uint64) {
	for _, o := range s.runs {
		n += o.dropped
	}
	return n
}

func (s *series) droppedShare() float64 {
	var sent uint64
	for _, o := range s.runs {
		sent += o.sent
	}
	return float64(s.dropped()) / float64(max(sent, 1))
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return math.NaN()
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// ratios divides run by run: what disturbs both runs of a pair cancels out.
func ratios(a, b *series) []float64 {
	var all []float64
	for i := range min(len(a.runs), len(b.runs)) {
		all = append(all, a.runs[i].nsPerPacket()/b.runs[i].nsPerPacket())
	}
	return all
}

// cheaper returns the runs of the walk, Go's or C's, that cost less, run by run; nil if neither was made. What makes
// the one dearer in a run is no part of what a ring costs.
func cheaper(walk, cwalk *series) *series {
	if walk == nil || cwalk == nil {
		return cmp.Or(walk, cwalk)
	}
	s := &series{streams: walk.streams}
	for i := range min(len(walk.runs), len(cwalk.runs)) {
		o := walk.runs[i]
		if cwalk.runs[i].nsPerPacket() < o.nsPerPacket() {
			o = cwalk.runs[i]
		}
		s.runs = append(s.runs, o)
	}
	return s
}

// print writes tables in Markdown.
func print(w io.Writer, c *config, all []*series) error {
	var b strings.Builder
	low, high, share := math.Inf(1), 0.0, 1.0
	for _, s := range all {
		for _, o := range s.runs {
			low, high, share = min(low, o.probe.GHz), max(high, o.probe.GHz), min(share, o.probe.Share)
		}
	}
	fmt.Fprintf(&b, "Medians of %d runs (lowest to highest), %v each, the readers in turn; payload %d bytes", c.runs, c.duration, c.payload)
	if c.burst > 1 {
		fmt.Fprintf(&b, ", bursts of %d", c.burst)
	}
	fmt.Fprintf(&b, ".\nGenerator on CPU %d, reader on CPU %d. Probes of it before each run: %.1f to %.1f GHz, %.0f %% or more of its time.\n\n",
		generatorCPU, readerCPU, low, high, 100*share)

	b.WriteString("| streams | reader | packets/s offered | ns of CPU per packet | dropped | packets/s without drops | resident | without the ring |\n")
	b.WriteString("|---:|---|---:|---:|---:|---:|---:|---:|\n")
	for _, s := range all {
		ns := s.values((*outcome).nsPerPacket)
		fmt.Fprintf(&b, "| %d | %s | %s | %.0f (%.0f to %.0f) | %s | %s | %.0f MiB | %.0f MiB |\n",
			s.streams, s.reader, count(s.median(func(o *outcome) float64 { return o.pps })),
			median(ns), slices.Min(ns), slices.Max(ns), s.dropText(), s.rateText(),
			s.median(func(o *outcome) float64 { return float64(o.memory.All) / (1 << 20) }),
			s.median(func(o *outcome) float64 { return float64(o.memory.Rest()) / (1 << 20) }))
	}

	b.WriteString("\n| streams | CPU per packet | median | from | to |\n|---:|---|---:|---:|---:|\n")
	for _, streams := range c.streams {
		for _, of := range []struct{ name, above, below string }{
			{"exporter / cheaper bare walk", "exporter", cheaperWalk}, {"exporter / walk that waits for each block", "exporter", "walk-poll"},
			{"gopacket / exporter", "gopacket", "exporter"},
			{"gopacket-packet / exporter", "gopacket-packet", "exporter"},
			{"gopacket-lazy / exporter", "gopacket-lazy", "exporter"}, {"gopacket-parser / exporter", "gopacket-parser", "exporter"},
		} {
			above, below := find(all, of.above, streams), find(all, of.below, streams)
			if of.below == cheaperWalk {
				below = cheaper(find(all, "walk", streams), find(all, "cwalk", streams))
			}
			if above == nil || below == nil {
				continue
			}
			r := ratios(above, below)
			fmt.Fprintf(&b, "| %d | %s | %.2f | %.2f | %.2f |\n", streams, of.name, median(r), slices.Min(r), slices.Max(r))
		}
	}

	b.WriteString("\n| streams | packets in a run | allocations of the exporter during it | in as long a silence |\n|---:|---:|---:|---:|\n")
	for _, streams := range c.streams {
		if s := find(all, "exporter", streams); s != nil {
			fmt.Fprintf(&b, "| %d | %s | %.0f | %.0f |\n", streams, count(s.median(func(o *outcome) float64 { return float64(o.packets) })),
				s.median(func(o *outcome) float64 { return o.mallocsRun }), s.runs[0].mallocsSilent)
		}
	}

	for _, s := range all {
		for i, o := range s.runs {
			if o.packets+o.dropped != o.sent {
				fmt.Fprintf(&b, "\nNot all arrived: %s, %d streams, run %d: %d sent, %d taken, %d dropped.\n", s.reader, s.streams, i+1, o.sent, o.packets, o.dropped)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cheaperWalk stands for the cheaper of walk and cwalk.
const cheaperWalk = "cheaper walk"

func find(all []*series, reader string, streams int) *series {
	for _, s := range all {
		if s.reader == reader && s.streams == streams {
			return s
		}
	}
	return nil
}

func (s *series) dropText() string {
	if s.dropped() == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f %%", 100*s.droppedShare())
}

func (s *series) rateText() string {
	switch {
	case s.limited:
		return "all, ≥ " + count(s.cleanRate)
	case s.cleanRate == 0:
		return "none of those tried"
	}
	return count(s.cleanRate)
}

// count writes a number with three significant digits, and commas.
func count(v float64) string {
	if v >= 1000 {
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		v = math.Round(v/unit) * unit
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
