package capture

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// While a look for the interface takes long, readers are served and the end comes at once. A ring
// that is found after that is closed.
func TestALookForTheInterfaceThatTakesLong(t *testing.T) {
	need.Root(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	const soon = time.Second
	looking, found := make(chan struct{}), make(chan struct{})
	late := make(chan *ring.Ring, 1)
	open := func() (*ring.Ring, error) {
		close(looking)
		<-found
		r, err := ring.Open(ring.Config{IfIndex: lo.Index, BlockSize: 1 << 16, NumBlocks: 2, FrameSize: 2048})
		late <- r
		return r, err
	}
	c := New(newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute}), nil, open, testClock,
		func(ch Change) { t.Errorf("%+v", ch) })
	ended := make(chan error, 1)
	go func() { ended <- c.Run() }()
	<-looking

	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	var s worker.Snapshot
	if err := c.Snapshot(ctx, &s); err != nil || s.Stats.InterfaceUp || s.Stats.IfIndex != worker.NoInterface {
		t.Errorf("a reader gets %+v, %v", s.Stats, err)
	}
	begin := time.Now()
	c.Stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
		t.Logf("ended after %v", time.Since(begin))
	case <-time.After(soon):
		t.Errorf("still running %v after Stop", soon)
	}
	close(found)
	r := <-late
	if r == nil {
		t.Fatal("no ring was opened")
	}
	for closed := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := r.IfIndex(); errors.Is(err, os.ErrClosed) {
			break
		}
		if time.Since(closed) > soon {
			t.Fatal("a ring that nobody uses stays open")
		}
	}
}
