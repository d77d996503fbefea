package tsharkcmp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Direction is one direction of a four-tuple.
type Direction struct{ Src, Dst netip.AddrPort }

func (d Direction) String() string { return fmt.Sprintf("%v > %v", d.Src, d.Dst) }

// Reverse returns the other direction.
func (d Direction) Reverse() Direction { return Direction{d.Dst, d.Src} }

func (d Direction) compare(o Direction) int {
	return cmp.Or(d.Src.Compare(o.Src), d.Dst.Compare(o.Dst))
}

// Figures holds the compared figures of one direction. Totals go over all connections that used the
// four-tuple; Window is the last one's.
type Figures struct {
	Packets, Bytes  uint64
	Retransmissions uint64
	OutOfOrder      uint64
	Gaps            uint64 // tshark: lost_segment
	DuplicateACKs   uint64
	ZeroWindows     uint64
	Resets          uint64
	Window          uint64 // bytes, scaled
	RTT             Samples

	Connections uint64    // tshark's streams, or the exporter's incarnations
	Each        []Figures // of each connection in turn, where there are several and they are known
	// Of tshark alone: frames put together from IP fragments, frames without a usable length, and the
	// sequence numbers of payload from the first that came to the highest, in bytes.
	FragmentFrames, NoLength, Span uint64
	// Of a live run of tshark alone: what differs by rules that its frames show to apply, see verdicts.
	MissedRepeats, MissedDuplicateACKs, EarlyACKs uint64
}

// merge adds the figures of a later connection on the same four-tuple.
func (f *Figures) merge(o *Figures) {
	f.Packets += o.Packets
	f.Bytes += o.Bytes
	f.Retransmissions += o.Retransmissions
	f.OutOfOrder += o.OutOfOrder
	f.Gaps += o.Gaps
	f.DuplicateACKs += o.DuplicateACKs
	f.ZeroWindows += o.ZeroWindows
	f.Resets += o.Resets
	f.Window = o.Window
	f.Connections += o.Connections
	f.FragmentFrames += o.FragmentFrames
	f.NoLength += o.NoLength
	f.Span += o.Span
	f.MissedRepeats += o.MissedRepeats
	f.MissedDuplicateACKs += o.MissedDuplicateACKs
	f.EarlyACKs += o.EarlyACKs
	f.RTT.merge(o.RTT)
}

// repeats returns the number of segments that were not next in order: sent again or out of order. tshark and
// the exporter distinguish the two by different rules.
func (f *Figures) repeats() uint64 { return f.Retransmissions + f.OutOfOrder }

// sameCounts compares without RTT.
func (f *Figures) sameCounts(o *Figures) bool {
	if f.Retransmissions != o.Retransmissions {
		return false
	}
	for _, c := range columns {
		if c.of(f) != c.of(o) {
			return false
		}
	}
	return true
}

// columns lists the figures that must be equal, but for what is explained by tshark's own frames: the
// exporter's is then more by added, or by up to doubtful less than that.
var columns = []struct {
	name            string
	of              func(*Figures) uint64
	added, doubtful func(*Figures) uint64 // of tshark's; nil: nothing
}{
	{name: "packets", of: func(f *Figures) uint64 { return f.Packets }},
	{name: "bytes", of: func(f *Figures) uint64 { return f.Bytes }},
	{
		name: "retransmissions + out of order", of: (*Figures).repeats,
		added:    func(f *Figures) uint64 { return f.MissedRepeats },
		doubtful: func(f *Figures) uint64 { return f.EarlyACKs },
	},
	{name: "gaps", of: func(f *Figures) uint64 { return f.Gaps }},
	{
		name: "duplicate ACKs", of: func(f *Figures) uint64 { return f.DuplicateACKs },
		added: func(f *Figures) uint64 { return f.MissedDuplicateACKs },
	},
	{name: "zero windows", of: func(f *Figures) uint64 { return f.ZeroWindows }},
	{name: "resets", of: func(f *Figures) uint64 { return f.Resets }},
	{name: "window", of: func(f *Figures) uint64 { return f.Window }},
}

// Samples holds RTT samples in seconds. The exporter does not export their number: N is 1 if it has
// any.
type Samples struct {
	N             int
	Avg, Min, Max float64
}

func (s *Samples) add(rtt float64) {
	if s.N == 0 || rtt < s.Min {
		s.Min = rtt
	}
	s.Max = max(s.Max, rtt)
	s.N++
	s.Avg += (rtt - s.Avg) / float64(s.N)
}

func (s *Samples) merge(o Samples) {
	switch {
	case o.N == 0:
	case s.N == 0:
		*s = o
	default:
		n := s.N + o.N
		s.Avg += (o.Avg - s.Avg) * float64(o.N) / float64(n)
		s.Min, s.Max, s.N = min(s.Min, o.Min), max(s.Max, o.Max), n
	}
}

// Table holds the figures of all directions in a file.
type Table map[Direction]*Figures

func (t Table) at(d Direction) *Figures {
	f := t[d]
	if f == nil {
		f = &Figures{}
		t[d] = f
	}
	return f
}

// directions returns the directions of both tables in order.
func directions(a, b Table) []Direction {
	var all []Direction
	for d := range a {
		all = append(all, d)
	}
	for d := range b {
		if a[d] == nil {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, Direction.compare)
	return all
}
