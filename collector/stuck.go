package collector

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// stuckTime is how long a client may take to accept a piece of its answer while another scrape waits
// for a place. Alone it has as long as the server gives it.
const stuckTime = 2 * time.Second

// outputs are those of the open scrapes.
type outputs struct {
	mu  sync.Mutex
	all []*output
}

func (s *outputs) add(o *output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, o)
}

func (s *outputs) remove(o *output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(x *output) bool { return x == o })
}

// cut ends the write that has gone on longest, if that is too long. Its scrape ends with it.
func (s *outputs) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stuck *output
	oldest := sinceStart() - int64(stuckTime)
	for _, o := range s.all {
		if since := o.writing.Load(); since != 0 && since <= oldest {
			stuck, oldest = o, since
		}
	}
	if stuck != nil && stuck.writing.CompareAndSwap(oldest, 0) { // once is enough
		// It fails where there is no connection to have a deadline (a recorder in a test). The
		// writer is valid: its scrape cannot end before it is removed.
		_ = http.NewResponseController(stuck.w).SetWriteDeadline(time.Now())
	}
}

// sinceStart is a time of the monotonic clock, ns; above 0.
func sinceStart() int64 { return int64(time.Since(start)) + 1 }

var start = time.Now()

// enter waits for a place for a scrape. As long as it waits, clients that are stuck lose theirs.
func (h *Handler) enter(ctx context.Context) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	if len(h.open) == cap(h.open) {
		go h.makeRoom(waiting)
	}
	return h.open.enter(ctx)
}

func (h *Handler) makeRoom(waiting context.Context) {
	tick := time.NewTicker(stuckTime / 10)
	defer tick.Stop()
	for {
		h.outputs.cut()
		select {
		case <-tick.C:
		case <-waiting.Done():
			return
		}
	}
}
