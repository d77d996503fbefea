package capture

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// WorkersOpener opens the rings of all workers, when the interface is back. It may take as long as it likes;
// ctx ends when nobody wants the rings any more.
type WorkersOpener func(ctx context.Context) ([]*ring.Ring, error)

// Workers runs several captures among which the kernel shares out one interface's traffic, each with a
// worker, a ring, a table and a goroutine of its own: nothing is shared on the packet path. Both
// directions of a connection come to the same one. With one worker it is that capture alone. All
// methods but Run may be called from any goroutine.
type Workers struct {
	captures []*Capture
	capacity int // connections, of all tables
	open     WorkersOpener
	report   func(Change)
	running  context.Context // ends with Stop
	stop     context.CancelFunc

	mu      sync.Mutex   // guards the rest; never held while rings are opened or closed
	ready   []*ring.Ring // opened for workers that have not taken theirs yet
	opening *opening     // under way, or nil
	away    int          // workers whose interface is away
}

// opening is one call of the opener, which several workers may wait for.
type opening struct {
	done chan struct{} // closed when the rings are ready, or err is set
	err  error
}

// NewWorkers makes a capture of workers with one of the open rings each, or with nil if the interface is
// down. open and report are as in New; report is called once for all workers.
func NewWorkers(workers []*worker.Worker, rings []*ring.Ring, open WorkersOpener, clock Clock, report func(Change)) *Workers {
	ws := &Workers{open: open, report: report, ready: make([]*ring.Ring, len(workers))}
	ws.running, ws.stop = context.WithCancel(context.Background())
	if rings == nil {
		ws.away = len(workers)
	}
	for i, w := range workers {
		var r *ring.Ring
		if rings != nil {
			r = rings[i]
		}
		ws.captures = append(ws.captures, New(w, r, func() (*ring.Ring, error) { return ws.take(i) }, clock, ws.changed))
		ws.capacity += w.Capacity()
	}
	return ws
}

// take returns worker i's next ring, or ErrStopped after Stop. The rings of all are opened together, for
// the kernel moves connections from one to another whenever their number changes (fanout_demux_bpf and
// fanout_demux_hash in net/packet/af_packet.c of Linux 6.6): the first worker that finds its interface gone has them all opened,
// and the others wait for the same opening.
func (ws *Workers) take(i int) (*ring.Ring, error) {
	for {
		r, o := ws.readyOrOpening(i)
		if r != nil {
			return r, nil
		}
		select {
		case <-o.done:
			if o.err != nil {
				return nil, o.err
			}
		case <-ws.running.Done():
			return nil, ErrStopped
		}
	}
}

// readyOrOpening returns worker i's ring if it is ready, or else the opening to wait for. If none is
// under way it starts one, on a goroutine of its own: a system call cannot be called off, and a stop
// leaves it behind.
func (ws *Workers) readyOrOpening(i int) (*ring.Ring, *opening) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if r := ws.ready[i]; r != nil {
		ws.ready[i] = nil
		return r, nil
	}
	if ws.opening == nil {
		ws.opening = &opening{done: make(chan struct{})}
		go ws.openAll(ws.opening, ws.untaken())
	}
	return nil, ws.opening
}

// openAll calls the opener, after the rings of the last time that nobody has taken are closed: they are of
// an interface that has gone since, and hold the memory that the new ones need.
func (ws *Workers) openAll(o *opening, unused []*ring.Ring) {
	closeAll(unused)
	rings, err := []*ring.Ring(nil), error(ErrStopped)
	if ws.running.Err() == nil {
		rings, err = ws.open(ws.running)
	}
	ws.mu.Lock()
	if err == nil && ws.running.Err() == nil {
		ws.ready, rings = rings, nil
	} else if err == nil {
		err = ErrStopped
	}
	o.err, ws.opening = err, nil
	ws.mu.Unlock()
	close(o.done)
	closeAll(rings) // too late
}

// untaken returns the rings that are ready, and leaves none. The caller holds mu, and closes them without.
func (ws *Workers) untaken() []*ring.Ring {
	rings := ws.ready
	ws.ready = make([]*ring.Ring, len(rings))
	return rings
}

// closeAll closes rings that nobody has used.
func closeAll(rings []*ring.Ring) {
	for _, r := range rings {
		if r != nil {
			_ = r.Close() // nobody has used it
		}
	}
}

// changed passes on what a worker reports: that the first of them has lost the interface, and that the
// last has it again.
func (ws *Workers) changed(change Change) {
	ws.mu.Lock()
	all := false
	if change.Up {
		ws.away--
		all = ws.away == 0
	} else {
		all = ws.away == 0
		ws.away++
	}
	ws.mu.Unlock()
	if all {
		ws.report(change)
	}
}

// SetCPUs has each worker run on one of the CPUs, in turn, once Run is called.
func (ws *Workers) SetCPUs(cpus []int) {
	for i, c := range ws.captures {
		c.cpu = cpus[i%len(cpus)]
	}
}

// SetSuperAbove is Capture's for all workers.
func (ws *Workers) SetSuperAbove(bytes uint32) {
	for _, c := range ws.captures {
		c.SetSuperAbove(bytes)
	}
}

// SetFilter has the kernel run prog on each frame from now on, on the rings of all workers. Rings that are opened later
// bring their own. It returns an error only if a ring keeps the filter that it has.
func (ws *Workers) SetFilter(prog []bpf.RawInstruction) error {
	var errs []error
	for _, c := range ws.captures {
		errs = append(errs, c.withRing(func(r *ring.Ring) error { return r.SetFilter(prog) }))
	}
	return errors.Join(errs...)
}

// SetInterfaces says which interfaces a capture on several is for. It takes effect with the next block that each worker
// walks; frames that are in the ring already are judged by it, too.
func (ws *Workers) SetInterfaces(s *Interfaces) {
	for _, c := range ws.captures {
		c.interfaces.Store(s)
	}
}

// SetPromiscuous has an interface hand over frames that are addressed to others as well, or ends that, for captures on
// several interfaces. See ring.SetPromiscuous.
func (ws *Workers) SetPromiscuous(index int, on bool) error {
	return ws.captures[0].withRing(func(r *ring.Ring) error { return r.SetPromiscuous(index, on) })
}

// Run captures until Stop, or until one of the workers cannot go on, whose error it returns.
func (ws *Workers) Run() error {
	errs := make([]error, len(ws.captures))
	var running sync.WaitGroup
	for i, c := range ws.captures {
		running.Go(func() {
			errs[i] = c.Run()
			ws.Stop()
		})
	}
	running.Wait()
	ws.mu.Lock()
	unused := ws.untaken()
	ws.mu.Unlock()
	closeAll(unused)
	return errors.Join(errs...)
}

// Stop ends Run. It returns at once. An opening under way is not waited for, neither here nor by Run: it
// closes its rings when they come.
func (ws *Workers) Stop() {
	ws.stop()
	for _, c := range ws.captures {
		c.Stop()
	}
}

// Snapshot is Capture's, of all workers one after the other. The totals are the sums.
func (ws *Workers) Snapshot(ctx context.Context, s *worker.Snapshot) error {
	if err := s.Empty(ws.capacity); err != nil {
		return err
	}
	var all worker.Stats
	for i, c := range ws.captures {
		if err := c.fill(ctx, s); err != nil {
			return err
		}
		all.Add(&s.Stats, i == 0)
	}
	s.Stats = all
	return nil
}

// Stats returns the totals of all workers as of at most a second ago.
func (ws *Workers) Stats() worker.Stats {
	var all worker.Stats
	for i, c := range ws.captures {
		s := c.Stats()
		all.Add(&s, i == 0)
	}
	return all
}

// StatsByWorker returns the totals of each worker as of at most a second ago.
func (ws *Workers) StatsByWorker() []worker.Stats {
	all := make([]worker.Stats, len(ws.captures))
	for i, c := range ws.captures {
		all[i] = c.Stats()
	}
	return all
}

// Packets returns the packets that each worker has taken out of its ring, as of at most a second ago.
func (ws *Workers) Packets() []uint64 {
	all := make([]uint64, len(ws.captures))
	for i, c := range ws.captures {
		all[i] = c.Stats().Packets
	}
	return all
}
