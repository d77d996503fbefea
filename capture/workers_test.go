package capture

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// The first worker that lost its ring opens those of all; a worker that loses it again before another
// one has taken its own gets a new one, and so does the other.
func TestRingsOfWorkersAreOpenedTogether(t *testing.T) {
	opened := 0
	failing := errors.New("not yet")
	var fails bool
	rings := make(chan []*ring.Ring, 2)
	rings <- loRings(t, 3)
	rings <- loRings(t, 3)
	var workers []*worker.Worker
	for range 3 {
		workers = append(workers, newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute}))
	}
	ws := NewWorkers(workers, nil, func(context.Context) ([]*ring.Ring, error) {
		if fails {
			return nil, failing
		}
		opened++
		return <-rings, nil
	}, testClock, func(Change) {})
	take := func(i, want int) *ring.Ring {
		t.Helper()
		r, err := ws.take(i)
		if err != nil || r == nil || opened != want {
			t.Fatalf("worker %d: ring %v, %v; opened %d times, want %d", i, r, err, opened, want)
		}
		return r
	}
	if a, b := take(0, 1), take(1, 1); a == b {
		t.Error("two workers have the same ring")
	}
	take(0, 2) // the third never took its first one
	take(2, 2)
	take(1, 2)
	fails = true
	if r, err := ws.take(1); r != nil || !errors.Is(err, failing) {
		t.Errorf("%v, %v; want %v", r, err, failing)
	}
}

// Of many workers the operator hears once.
func TestWorkersTellOfTheInterfaceOnce(t *testing.T) {
	var reported []bool
	ws := &Workers{captures: make([]*Capture, 3), report: func(c Change) { reported = append(reported, c.Up) }}
	for _, up := range []bool{false, false, false, true, true, true, false, true} {
		ws.changed(Change{Up: up})
	}
	if !reflect.DeepEqual(reported, []bool{false, true, false, true}) {
		t.Errorf("%v", reported)
	}
}
