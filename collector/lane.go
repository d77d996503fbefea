package collector

import "tcp-stream-exporter/exposition"

// lane admits scrapes of one kind, and keeps the memory that they work with.
type lane struct {
	queue *queue
	work  semaphore
	idle  chan *scrape // scrapes that are over, kept for their memory
}

// maxSummarizing bounds the scrapes without streams that read or render at the same time. Their work is short, and
// comes on top of that of maxWorking scrapes with streams.
const maxSummarizing = 1

// newLane returns a lane in which so many scrapes work and wait, at most.
func newLane(working, waiting int) lane {
	return lane{newQueue(maxOpen, waiting), make(semaphore, working), make(chan *scrape, maxWorking)}
}

// take returns a scrape that is over, to be used again, or a new one.
func (l *lane) take() *scrape {
	select {
	case s := <-l.idle:
		return s
	default:
		return new(scrape)
	}
}

// put keeps s for a later scrape, unless enough are kept.
func (l *lane) put(s *scrape) {
	s.snapshot.Release()
	s.content = exposition.Content{} // it refers to the snapshot's memory
	select {
	case l.idle <- s:
	default:
		_ = s.snapshot.Close() // unmapping what was mapped cannot fail
	}
}
