package exposition

import (
	"slices"

	"tcp-stream-exporter/stream"
)

// Picker picks the streams that rank first out of any number of parts, and keeps no more of them than it returns. Begin
// comes first. One goroutine at a time; its memory is used again.
type Picker struct {
	most   int
	best   best[ranked]
	picked Streams
	scores []uint64
}

// ranked is a stream that has been offered.
type ranked struct {
	score uint64
	view  stream.View
	identity
}

// Begin starts anew: the most streams with the highest scores are wanted.
func (p *Picker) Begin(most int) { p.most, p.best.items = most, p.best.items[:0] }

// Offer takes the stream in if it is one of the first so far. Of equal scores the stream with more bytes is in front, then
// the one with the lower addresses and ports, so that it is always the same one.
func (p *Picker) Offer(score uint64, v *stream.View, wide []stream.Ends) {
	if n := len(p.best.items); n > 0 && n == p.most { // as nearly always; most streams are not copied then
		last := &p.best.items[0]
		if score < last.score || score == last.score && v.Bytes < last.view.Bytes {
			return
		}
		id := identityOf(v, wide)
		if score == last.score && v.Bytes == last.view.Bytes && id.compare(&last.identity) > 0 {
			return
		}
	}
	p.best.offer(ranked{score, *v, identityOf(v, wide)}, p.most, (*ranked).below)
}

// Picked returns the streams, the first one first, and their scores. Both are valid until the next Begin.
func (p *Picker) Picked() (s *Streams, scores []uint64) {
	slices.SortFunc(p.best.items, func(a, b ranked) int {
		switch {
		case b.below(&a):
			return -1
		case a.below(&b):
			return 1
		}
		return 0
	})
	s = &p.picked
	s.Views, s.Wide, p.scores = s.Views[:0], s.Wide[:0], p.scores[:0]
	for i := range p.best.items {
		r := &p.best.items[i]
		s.Wide = r.view.SetEnds(r.Ends, s.Wide)
		s.Views, p.scores = append(s.Views, r.view), append(p.scores, r.score)
	}
	return s, p.scores
}

func (a *ranked) below(b *ranked) bool {
	if a.score != b.score {
		return a.score < b.score
	}
	if a.view.Bytes != b.view.Bytes {
		return a.view.Bytes < b.view.Bytes
	}
	return a.identity.compare(&b.identity) > 0
}
