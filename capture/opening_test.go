package capture

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// loRing opens a small ring on lo, which the test must close.
func loRing(t *testing.T) *ring.Ring {
	t.Helper()
	need.Root(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ring.Open(ring.Config{IfIndex: lo.Index, BlockSize: 1 << 16, NumBlocks: 2, FrameSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() }) // again, where the code under test has closed it
	return r
}

// loRings opens n of them.
func loRings(t *testing.T, n int) (rings []*ring.Ring) {
	t.Helper()
	for range n {
		rings = append(rings, loRing(t))
	}
	return rings
}

func isClosed(r *ring.Ring) bool {
	_, err := r.IfIndex()
	return errors.Is(err, os.ErrClosed)
}

// patience is long even on a busy machine: what these tests wait for takes milliseconds, and the opener
// that they must not wait for takes for ever.
const patience = 10 * time.Second

// within fails the test if f has not returned in time.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: not over after %v", what, patience)
	}
}

// eventually waits for ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%s: not so after %v", what, patience)
		}
	}
}

// slowOpener is a WorkersOpener that returns its rings when the test lets it, as the kernel does with
// gigabytes.
type slowOpener struct {
	rings  []*ring.Ring
	err    error
	called atomic.Int32
	begun  chan context.Context // the one that the opener was given
	finish chan struct{}
}

func newSlowOpener(rings []*ring.Ring) *slowOpener {
	return &slowOpener{rings: rings, begun: make(chan context.Context, 10), finish: make(chan struct{})}
}

func (o *slowOpener) open(ctx context.Context) ([]*ring.Ring, error) {
	o.called.Add(1)
	o.begun <- ctx
	<-o.finish
	return o.rings, o.err
}

func workersOf(t *testing.T, n int, open WorkersOpener) *Workers {
	t.Helper()
	var workers []*worker.Worker
	for range n {
		workers = append(workers, newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute}))
	}
	return NewWorkers(workers, nil, open, testClock, func(Change) {})
}

// While the rings of several workers are opened, which may take half a minute, workers report and readers are
// served, and a stop does not wait. Rings that come after it are closed, and nothing is left running.
func TestAnOpeningThatTakesLongHoldsUpNobody(t *testing.T) {
	rings := loRings(t, 3)
	before := runtime.NumGoroutine()
	o := newSlowOpener(rings)
	ws := workersOf(t, 3, o.open)
	ended := make(chan error, 1)
	go func() { ended <- ws.Run() }()
	ctx := <-o.begun

	within(t, "a worker reports", func() {
		ws.changed(Change{Up: true})
		ws.changed(Change{Err: ring.ErrDown})
	})
	within(t, "a reader", func() {
		var s worker.Snapshot
		if err := ws.Snapshot(context.Background(), &s); err != nil {
			t.Error(err)
		}
	})
	if ctx.Err() != nil {
		t.Errorf("before the stop the opener's context has ended: %v", ctx.Err())
	}
	begin := time.Now()
	ws.Stop()
	within(t, "the end", func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Logf("ended after %v", time.Since(begin))
	if ctx.Err() == nil {
		t.Error("after the stop the opener's context has not ended")
	}
	close(o.finish)
	for _, r := range rings {
		eventually(t, "a ring that comes late is closed", func() bool { return isClosed(r) })
	}
	if n := o.called.Load(); n != 1 {
		t.Errorf("opened %d times, want once", n)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// Workers that find their interface gone while the first of them opens the rings wait for those, and for
// its error too, instead of opening their own one after the other.
func TestWorkersWaitForTheOpeningUnderWay(t *testing.T) {
	for _, failing := range []error{nil, errors.New("not yet")} {
		var rings []*ring.Ring
		if failing == nil {
			rings = loRings(t, 3)
		}
		o := newSlowOpener(rings)
		o.err = failing
		ws := workersOf(t, 3, o.open)
		type taken struct {
			ring *ring.Ring
			err  error
		}
		got := make(chan taken)
		take := func(i int) {
			r, err := ws.take(i)
			got <- taken{r, err}
		}
		go take(0)
		<-o.begun
		go take(1)
		go take(2)
		time.Sleep(50 * time.Millisecond) // they have called by then; if not, they find what is ready
		close(o.finish)
		seen := map[*ring.Ring]bool{}
		within(t, "all workers", func() {
			for range 3 {
				r := <-got
				seen[r.ring] = true
				if !errors.Is(r.err, failing) || (r.ring == nil) != (failing != nil) {
					t.Errorf("%v, %v; want the error %v", r.ring, r.err, failing)
				}
			}
		})
		if failing == nil && len(seen) != 3 {
			t.Errorf("three workers have %d rings", len(seen))
		}
		if n := o.called.Load(); failing == nil && n != 1 {
			t.Errorf("opened %d times, want once", n)
		}
	}
}

// After the stop nobody opens rings.
func TestNoOpeningAfterTheStop(t *testing.T) {
	ws := workersOf(t, 2, func(context.Context) ([]*ring.Ring, error) {
		t.Error("opened after the stop")
		return nil, ring.ErrGone
	})
	ws.Stop()
	if r, err := ws.take(1); r != nil || !errors.Is(err, ErrStopped) {
		t.Errorf("%v, %v; want %v", r, err, ErrStopped)
	}
}
