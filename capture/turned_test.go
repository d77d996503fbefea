package capture

import (
	"context"
	"net"
	"testing"
	"time"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// TestSinceTurn wants every worker to come by about once a second: on a silent interface, and while a look for the
// interface takes for ever. One that is stuck does not.
func TestSinceTurn(t *testing.T) {
	need.Root(t)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	const soon, bound = 3 * time.Second, 2500 * time.Millisecond // of a machine with more to do than processors
	for name, c := range map[string]struct{ ring, looks, turns bool }{
		"a silent interface":         {ring: true, turns: true},
		"a look that takes for ever": {looks: true, turns: true},
		"a worker that is stuck":     {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stuck := make(chan struct{})
			config := ring.Config{IfIndex: lo.Index, BlockSize: 1 << 16, NumBlocks: 2, FrameSize: 2048, Filter: ring.RejectAll}
			open := func(context.Context) ([]*ring.Ring, error) {
				if c.looks {
					<-stuck
				}
				r, err := ring.Open(config)
				return []*ring.Ring{r}, err
			}
			report := func(Change) {
				if !c.looks {
					<-stuck
				}
			}
			var rings []*ring.Ring
			if c.ring {
				opened, err := open(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				rings = opened
			}
			w := newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute})
			g := NewWorkers([]*worker.Worker{w}, rings, open, testClock, report)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = g.Run()
			}()
			t.Cleanup(func() {
				g.Stop()
				close(stuck)
				<-ended
			})
			worst := time.Duration(0)
			for begin := time.Now(); time.Since(begin) < soon; time.Sleep(50 * time.Millisecond) {
				worst = max(worst, g.SinceTurn()[0])
			}
			if (worst < bound) != c.turns {
				t.Errorf("the worker has been away for %v, want less than %v: %v", worst, bound, c.turns)
			}
		})
	}
	t.Run("all workers", func(t *testing.T) {
		g := &Workers{}
		for i := range 3 {
			c := &Capture{clock: func() (mono, real int64) { return 10e9, 0 }}
			c.turned.Store(int64(i) * 1e9)
			g.captures = append(g.captures, c)
		}
		if all := g.SinceTurn(); len(all) != 3 || all[0] != 10*time.Second || all[2] != 8*time.Second {
			t.Errorf("%v", all)
		}
	})
}
