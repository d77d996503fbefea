package tcpmodel

import (
	"slices"

	"tcp-stream-exporter/parse"
)

// span is the positions from from up to but without to.
type span struct{ from, to int64 }

// hole is a span that was neither seen nor acknowledged, though something behind it was seen.
// Everything below half.nxt that lies in no hole was seen or acknowledged; so was, by definition, what lies
// before the first segment.
type hole struct {
	span
	opening
}

// opening describes the segment that opened a hole.
type opening struct {
	opened  int64 // ns
	stamped bool  // it had a timestamp
	tsval   uint32
	id      uint16 // IP identification; 0: none
}

func (s *segment) opens() opening {
	return opening{s.now, s.stamped(), s.tsval(), s.id()}
}

// precedes reports whether timestamps show that s was sent after the opening.
func (o *opening) precedes(s *segment) bool {
	if s.Flags&parse.OverIPv6 == 0 { // 16 bits are kept
		return o.stamped && s.stamped() && int16(s.tsval()-o.tsval) > 0
	}
	return o.stamped && s.stamped() && int32(s.tsval()-o.tsval) > 0
}

// countedBefore reports whether the sender counts its packets, and has sent s after the opening.
func (o *opening) countedBefore(s *segment) bool {
	if o.id == 0 || s.id() == 0 {
		return false
	}
	later := (int(s.id()) - int(o.id) + 1<<16) % (1 << 16)
	return later >= 1 && later <= 512
}

func (s *segment) stamped() bool { return s.Flags&parse.Timestamped != 0 }

func (s *segment) tsval() uint32 {
	if s.Flags&parse.OverIPv6 == 0 {
		return uint32(s.Options) % (1 << 16)
	}
	return uint32(s.Options)
}

// id returns the segment's IP identification, or 0 if it has none or is a SYN, of which it is not kept.
func (s *segment) id() uint16 {
	if s.Flags&(parse.OverIPv6|parse.SYN) != 0 {
		return 0
	}
	return uint16(s.Options >> 16)
}

// holeAround returns the hole that all of a span lies in, nil if some of the span was seen.
func (f *half) holeAround(from, to int64) *hole {
	for i := range f.holes {
		if h := &f.holes[i]; h.from <= from && to <= h.to {
			return h
		}
	}
	return nil
}

// advance takes the bytes of a segment as seen, and opens the hole that it jumps over.
func (f *half) advance(s *segment) {
	if !f.nxtKnown {
		f.nxt, f.nxtKnown = int64(s.end), true
		f.firstEmpty = !s.takesSpace
		return
	}
	seq, end := f.at(s.Seq), f.at(s.end)
	if seq > f.nxt {
		f.holes = append(f.holes, hole{span{f.nxt, seq}, s.opens()})
		f.openings = append(f.openings, s.now)
	}
	f.fill(span{seq, end})
	f.nxt = max(f.nxt, end)
}

// arrived takes all positions before to as seen.
func (f *half) arrived(to int64) {
	for len(f.holes) > 0 && f.holes[0].to <= to {
		f.holes = f.holes[1:]
	}
	if len(f.holes) > 0 {
		f.holes[0].from = max(f.holes[0].from, to)
	}
}

// fill takes a span out of the holes.
func (f *half) fill(s span) {
	var left []hole
	for _, h := range f.holes {
		before := hole{span{h.from, min(h.to, s.from)}, h.opening}
		behind := hole{span{max(h.from, s.to), h.to}, h.opening}
		if s.to <= s.from || before.to == h.to || behind.from == h.from { // does not touch this hole
			left = append(left, h)
			continue
		}
		if before.to > before.from {
			left = append(left, before)
			f.openings = append(f.openings, h.opened)
		}
		if behind.to > behind.from {
			left = append(left, behind)
		}
	}
	f.holes = left
}

// openWithin counts the openings of less than limit ns ago. It forgets older ones, unless the clock may
// have gone back.
func (f *half) openWithin(now, limit int64) int {
	n := 0
	for _, t := range f.openings {
		if now-t < limit {
			n++
		}
	}
	f.openings = slices.DeleteFunc(f.openings, func(t int64) bool { return now-t > 300e9 })
	return n
}
