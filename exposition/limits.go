package exposition

import (
	"time"

	"tcp-stream-exporter/stream"
)

// Streams holds the streams of one snapshot.
type Streams struct {
	Views  []stream.View
	Wide   []stream.Ends  // the addresses that Views refer to: stream.View.Ends takes them
	Extras []stream.Extra // one for each View, or none if Selection does not need them
	// InterfaceName returns the name of the interface with an index, of any bytes, or "" if there is none. No two
	// indices may have the same name. It is called for each stream that has an interface in its identity, from
	// the goroutine that writes, and must not allocate. May be nil.
	InterfaceName func(index uint32) string
}

// Limits choose the streams that are exported. The zero value lets all pass.
type Limits struct {
	Top      int           // the streams that rank first since the scrape before; one stays until it ranks behind twice as many; 0: all
	TopBy    Order         // by which figure
	MinBytes uint64        // streams with at least so many bytes of payload
	MinAge   time.Duration // streams with at least such an uptime
}

// Limiter applies Limits to one snapshot after the other. Make it with NewLimiter; it may be used from
// any number of goroutines.
type Limiter struct {
	limits Limits
	top    topK
}

// NewLimiter returns a Limiter that has seen no snapshot.
func NewLimiter(limits Limits) *Limiter {
	return &Limiter{limits: limits, top: newTopK(limits.Top, limits.TopBy)}
}

// Apply drops the streams of s that are not exported. The others move to the front of the same memory,
// in the same order.
func (l *Limiter) Apply(s *Streams) {
	limits := &l.limits
	if limits.Top == 0 && limits.MinBytes == 0 && limits.MinAge == 0 {
		return
	}
	if limits.Top > 0 {
		l.top.mu.Lock()
		defer l.top.mu.Unlock()
		l.top.begin(len(s.Views))
	}
	minUptime := limits.MinAge.Seconds()
	kept := 0
	for i := range s.Views {
		v := &s.Views[i]
		var score uint64
		if limits.Top > 0 { // also of a stream that is not exported now: it may be next time
			score = l.top.score(v, s.Wide)
		}
		switch {
		case v.Bytes < limits.MinBytes || v.Uptime < minUptime:
		case limits.Top > 0:
			l.top.offer(candidate{score, v.Bytes, i}, s)
		default:
			s.move(kept, i)
			kept++
		}
	}
	if limits.Top > 0 {
		for _, i := range l.top.end(s) { // ascending, so that nothing is overwritten that is still to come
			s.move(kept, i)
			kept++
		}
	}
	s.Views = s.Views[:kept]
	if len(s.Extras) > 0 {
		s.Extras = s.Extras[:kept]
	}
}

// move copies stream i to place to, which is not after it.
func (s *Streams) move(to, i int) {
	s.Views[to] = s.Views[i]
	if len(s.Extras) > 0 {
		s.Extras[to] = s.Extras[i]
	}
}
