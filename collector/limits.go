package collector

import (
	"time"

	"tcp-stream-exporter/worker"
)

// Limits bound which streams are exported. tcp_stream_count counts all of them all the same.
type Limits struct {
	Top      int           // the streams with the most bytes since the scrape before, at most so many; 0: all
	MinBytes uint64        // streams with at least so many bytes of payload
	MinAge   time.Duration // streams with at least such an uptime
}

// limit drops the streams of s that are not exported. What is left keeps its order.
func (h *Handler) limit(s *worker.Snapshot) {
	l := &h.limits
	if *l == (Limits{}) {
		return
	}
	if l.Top > 0 {
		h.ranking.mu.Lock()
		defer h.ranking.mu.Unlock()
		h.ranking.begin(len(s.Views))
	}
	minUptime := l.MinAge.Seconds()
	kept := 0
	for i := range s.Views {
		v := &s.Views[i]
		var fresh uint64
		if l.Top > 0 { // also of a stream that is not exported now: it may be next time
			fresh = h.ranking.note(v, s.Wide)
		}
		switch {
		case v.Bytes < l.MinBytes || v.Uptime < minUptime:
		case l.Top > 0:
			h.ranking.offer(candidate{fresh, v.Bytes, i}, s)
		default:
			keep(s, kept, i)
			kept++
		}
	}
	if l.Top > 0 {
		for _, i := range h.ranking.end() {
			keep(s, kept, i)
			kept++
		}
	}
	s.Keep(kept)
}

// keep moves stream i of s to place to, which is not after it.
func keep(s *worker.Snapshot, to, i int) {
	s.Views[to] = s.Views[i]
	if s.WithExtras {
		s.Extras[to] = s.Extras[i]
	}
}
