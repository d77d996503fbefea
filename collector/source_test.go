package collector

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

// patience bounds every wait of these tests; none comes near it unless something is wrong.
const patience = 15 * time.Second

// totals returns a capture's packets, drops and queue freezes.
func totals(packets, dropped, freezes uint64) (s Stats) {
	s.Packets, s.Dropped, s.Freezes = packets, dropped, freezes
	return s
}

// fakeSource hands out fixed views. enter, when set, runs inside Snapshot.
type fakeSource struct {
	views     []expositiontest.Stream
	extras    []stream.Extra
	stats     Stats
	err       error
	enter     func(ctx context.Context) error
	snapshots atomic.Int32
	once      sync.Once
	filled    Snapshot
	shared    bool // all readers get the same memory, for those that change nothing in it

	mu    sync.Mutex
	asked struct{ TotalsOnly, WithExtras bool } // for, the last time
}

func (f *fakeSource) Snapshot(ctx context.Context, s *Snapshot) error {
	f.snapshots.Add(1)
	f.mu.Lock()
	f.asked.TotalsOnly, f.asked.WithExtras = s.TotalsOnly, s.WithExtras
	f.mu.Unlock()
	if f.enter != nil {
		if err := f.enter(ctx); err != nil {
			return err
		}
	}
	if f.err != nil {
		return f.err
	}
	f.once.Do(func() { f.filled.Views, f.filled.Wide = expositiontest.Views(f.views) })
	s.Stats = f.stats
	for i := range f.filled.Views {
		if !f.filled.Views[i].Finalized {
			s.Stats.Active++
		}
	}
	if f.shared && !s.TotalsOnly {
		s.Views, s.Wide, s.Extras = f.filled.Views, f.filled.Wide, f.extras
		return nil
	}
	// Each reader gets what is its own: limits move the streams.
	s.Views, s.Wide, s.Extras = s.Views[:0], f.filled.Wide, s.Extras[:0]
	if !s.TotalsOnly {
		s.Views = append(s.Views, f.filled.Views...)
	}
	if s.WithExtras {
		s.Extras = append(s.Extras, f.extras...)
	}
	return nil
}

// scrapeOnce answers one request in memory. A scrape that never gets its place gives up in time.
func scrapeOnce(h http.Handler, method, target string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, target, nil))
	return w
}
