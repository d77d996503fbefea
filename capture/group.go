package capture

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// GroupOpener opens the rings of all workers, when the interface is back. It may take as long as it likes;
// ctx ends when nobody wants the rings any more.
type GroupOpener func(ctx context.Context) ([]*ring.Ring, error)

// Group runs several captures among which the kernel shares out one interface's traffic, each with a
// worker, a ring, a table and a goroutine of its own: nothing is shared on the packet path. Both
// directions of a connection come to the same one. With one worker it is that capture alone. All
// methods but Run may be called from any goroutine.
type Group struct {
	captures []*Capture
	capacity int // connections, of all tables
	open     GroupOpener
	report   func(Change)
	running  context.Context // ends with Stop
	stop     context.CancelFunc

	mu      sync.Mutex   // guards the rest; never held while rings are opened or closed
	ready   []*ring.Ring // opened for workers that have not taken theirs yet
	opening *opening     // under way, or nil
	away    int          // workers whose interface is away
}

// opening is one call of a group's opener, which several workers may wait for.
type opening struct {
	done chan struct{} // closed when the rings are ready, or err is set
	err  error
}

// NewGroup makes a group of workers with one of the open rings each, or with nil if the interface is
// down. open and report are as in New; report is called once for all workers.
func NewGroup(workers []*worker.Worker, rings []*ring.Ring, open GroupOpener, clock Clock, report func(Change)) *Group {
	g := &Group{open: open, report: report, ready: make([]*ring.Ring, len(workers))}
	g.running, g.stop = context.WithCancel(context.Background())
	if rings == nil {
		g.away = len(workers)
	}
	for i, w := range workers {
		var r *ring.Ring
		if rings != nil {
			r = rings[i]
		}
		g.captures = append(g.captures, New(w, r, func() (*ring.Ring, error) { return g.take(i) }, clock, g.changed))
		g.capacity += w.Capacity()
	}
	return g
}

// take returns worker i's next ring, or ErrStopped after Stop. The rings of a group are opened together, for
// the kernel moves connections from one to another whenever their number changes (fanout_demux_hash in
// net/packet/af_packet.c of Linux 6.18): the first worker that finds its interface gone has them all opened,
// and the others wait for the same opening.
func (g *Group) take(i int) (*ring.Ring, error) {
	for {
		r, o := g.readyOrOpening(i)
		if r != nil {
			return r, nil
		}
		select {
		case <-o.done:
			if o.err != nil {
				return nil, o.err
			}
		case <-g.running.Done():
			return nil, ErrStopped
		}
	}
}

// readyOrOpening returns worker i's ring if it is ready, or else the opening to wait for. If none is
// under way it starts one, on a goroutine of its own: a system call cannot be called off, and a stop
// leaves it behind.
func (g *Group) readyOrOpening(i int) (*ring.Ring, *opening) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.ready[i]; r != nil {
		g.ready[i] = nil
		return r, nil
	}
	if g.opening == nil {
		g.opening = &opening{done: make(chan struct{})}
		go g.openAll(g.opening, g.untaken())
	}
	return nil, g.opening
}

// openAll calls the opener, after the rings of the last time that nobody has taken are closed: they are of
// an interface that has gone since, and hold the memory that the new ones need.
func (g *Group) openAll(o *opening, unused []*ring.Ring) {
	closeAll(unused)
	rings, err := []*ring.Ring(nil), error(ErrStopped)
	if g.running.Err() == nil {
		rings, err = g.open(g.running)
	}
	g.mu.Lock()
	if err == nil && g.running.Err() == nil {
		g.ready, rings = rings, nil
	} else if err == nil {
		err = ErrStopped
	}
	o.err, g.opening = err, nil
	g.mu.Unlock()
	close(o.done)
	closeAll(rings) // too late
}

// untaken returns the rings that are ready, and leaves none. The caller holds mu, and closes them without.
func (g *Group) untaken() []*ring.Ring {
	rings := g.ready
	g.ready = make([]*ring.Ring, len(rings))
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
func (g *Group) changed(change Change) {
	g.mu.Lock()
	all := false
	if change.Up {
		g.away--
		all = g.away == 0
	} else {
		all = g.away == 0
		g.away++
	}
	g.mu.Unlock()
	if all {
		g.report(change)
	}
}

// SetCPUs has each worker run on one of the CPUs, in turn, once Run is called.
func (g *Group) SetCPUs(cpus []int) {
	for i, c := range g.captures {
		c.cpu = cpus[i%len(cpus)]
	}
}

// SetSuperAbove is Capture's for all workers.
func (g *Group) SetSuperAbove(bytes uint32) {
	for _, c := range g.captures {
		c.SetSuperAbove(bytes)
	}
}

// SetFilter has the kernel run prog on each frame from now on, on the rings of all workers. Rings that are opened later
// bring their own. It returns an error only if a ring keeps the filter that it has.
func (g *Group) SetFilter(prog []bpf.RawInstruction) error {
	var errs []error
	for _, c := range g.captures {
		errs = append(errs, c.withRing(func(r *ring.Ring) error { return r.SetFilter(prog) }))
	}
	return errors.Join(errs...)
}

// SetInterfaces says which interfaces a capture on several is for. It takes effect with the next block that each worker
// walks; frames that are in the ring already are judged by it, too.
func (g *Group) SetInterfaces(s *Interfaces) {
	for _, c := range g.captures {
		c.interfaces.Store(s)
	}
}

// SetPromiscuous has an interface hand over frames that are addressed to others as well, or ends that, for captures on
// several interfaces. See ring.SetPromiscuous.
func (g *Group) SetPromiscuous(index int, on bool) error {
	return g.captures[0].withRing(func(r *ring.Ring) error { return r.SetPromiscuous(index, on) })
}

// Run captures until Stop, or until one of the workers cannot go on, whose error it returns.
func (g *Group) Run() error {
	errs := make([]error, len(g.captures))
	var running sync.WaitGroup
	for i, c := range g.captures {
		running.Go(func() {
			errs[i] = c.Run()
			g.Stop()
		})
	}
	running.Wait()
	g.mu.Lock()
	unused := g.untaken()
	g.mu.Unlock()
	closeAll(unused)
	return errors.Join(errs...)
}

// Stop ends Run. It returns at once. An opening under way is not waited for, neither here nor by Run: it
// closes its rings when they come.
func (g *Group) Stop() {
	g.stop()
	for _, c := range g.captures {
		c.Stop()
	}
}

// Snapshot is Capture's, of all workers one after the other. The totals are the sums.
func (g *Group) Snapshot(ctx context.Context, s *worker.Snapshot) error {
	if err := s.Empty(g.capacity); err != nil {
		return err
	}
	var all worker.Stats
	for i, c := range g.captures {
		if err := c.fill(ctx, s); err != nil {
			return err
		}
		all.Add(&s.Stats, i == 0)
	}
	s.Stats = all
	return nil
}

// Stats returns the totals of all workers as of at most a second ago.
func (g *Group) Stats() worker.Stats {
	var all worker.Stats
	for i, c := range g.captures {
		s := c.Stats()
		all.Add(&s, i == 0)
	}
	return all
}

// Packets returns the packets that each worker has taken out of its ring, as of at most a second ago.
func (g *Group) Packets() []uint64 {
	all := make([]uint64, len(g.captures))
	for i, c := range g.captures {
		all[i] = c.Stats().Packets
	}
	return all
}
