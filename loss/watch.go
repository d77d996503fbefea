package loss

import (
	"context"
	"sync"
	"time"

	"tcp-stream-exporter/printable"
)

const (
	// Window is how long a loss makes the figures doubtful.
	Window = time.Minute

	// interval is how often everything is read, unless that takes long: then so seldom that it
	// takes one part in share of one processor's time. On a silent machine each reading is some six
	// switches of threads of the program, most of them of Go's scheduler.
	interval = 2 * time.Second
	share    = 50
	// slack is how late a reading may come before it counts as missing.
	slack = 5 * time.Second
	// maxLowers bounds the interfaces below the captured one that are followed.
	maxLowers = 4
)

// Config says what to watch and whom to tell.
type Config struct {
	// Interface is the name of the captured interface, under which its losses are listed; those
	// below it (the parent of a VLAN) go by their own. With all interfaces captured it is not used.
	Interface string
	// Capture says how the capture stands. Called from any goroutine, must return at once.
	Capture func() Capture
	// Window is how long a loss makes the figures doubtful; 0: the constant.
	Window time.Duration
	// MTU is told the MTU of the captured interface, in bytes, whenever it changes; with all
	// interfaces captured, the largest but for loopback. nil: nobody wants to know.
	MTU func(bytes uint32)
	// Report is told when something can no longer be read, and why. nil: nobody is.
	Report func(err error)
}

// Capture is how a capture stands.
type Capture struct {
	Lost    uint64 // what it lost itself so far; any growth is a loss
	Up      bool   // it captures
	IfIndex int    // the interface that it captures on, 0 for all; of no meaning while it is not up
}

// Link is what one interface has lost since the watch began.
type Link struct {
	Name string
	Lost [NumCounters]uint64
}

// Figures are what a Watcher knows. Counts begin with the watch.
type Figures struct {
	// Complete says that nothing was lost anywhere in the last Window, and that this could be seen.
	Complete bool
	// Links are the captured interface and those below it, or all; empty if they cannot be read. Not to be
	// changed.
	Links []Link
	// Softnet says that the next two are known.
	Softnet         bool
	SoftnetDropped  uint64 // packets that found a processor's queue full, on the whole machine
	SoftnetSqueezed uint64 // times that a processor's turn ended with packets waiting; nothing is lost by it
}

// Watcher keeps Figures. Make it with New.
type Watcher struct {
	cfg         Config
	readLinks   func(index int32, each func(*link)) (whole bool, err error)
	readSoftnet func() (softnet, error)
	end         func()

	// Of the goroutine that samples.
	ledger            ledger
	dropped, squeezed counter
	mtu               uint32
	linksErr, softErr error

	mu       sync.Mutex // guards the rest
	figures  Figures    // but for Complete
	readable bool       // everything, at the last sample
	due      time.Time  // of the next sample
	lost     uint64     // as Capture last said
	lastLoss time.Time  // zero: none
}

// New makes a watcher of the calling thread's network namespace and takes the first readings, from
// which it counts. To be called about when the capture starts.
func New(cfg Config) *Watcher {
	l := &links{}
	return newWatcher(cfg, l.read, func() (softnet, error) { return readSoftnet(procSelf) }, l.close)
}

func newWatcher(cfg Config, readLinks func(int32, func(*link)) (bool, error), readSoftnet func() (softnet, error), end func()) *Watcher {
	if cfg.Window == 0 {
		cfg.Window = Window
	}
	cfg.Interface = printable.Text(cfg.Interface)
	w := &Watcher{cfg: cfg, readLinks: readLinks, readSoftnet: readSoftnet, end: end}
	w.lost = cfg.Capture().Lost
	w.sample(time.Now())
	return w
}

// Run keeps the figures up to date until ctx ends. The watcher's socket is closed then.
func (w *Watcher) Run(ctx context.Context) {
	defer w.end()
	for wait := interval; ; {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		begin := time.Now()
		w.sample(begin)
		wait = pause(time.Since(begin))
		w.mu.Lock()
		w.due = time.Now().Add(wait)
		w.mu.Unlock()
	}
}

// pause is how long to wait after a sample that took so long.
func pause(took time.Duration) time.Duration { return max(interval, share*took) }

// Figures returns the figures as of the last sample, at most some seconds old; what the capture
// itself has lost is of this moment. It makes no system call.
func (w *Watcher) Figures() Figures { return w.at(time.Now()) }

func (w *Watcher) at(now time.Time) Figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.askCapture(now)
	f := w.figures
	quiet := w.lastLoss.IsZero() || now.Sub(w.lastLoss) >= w.cfg.Window
	f.Complete = quiet && w.readable && now.Sub(w.due) < slack
	return f
}

// askCapture notes a loss of the capture's own. It holds w.mu.
func (w *Watcher) askCapture(now time.Time) Capture {
	c := w.cfg.Capture()
	if !c.Up || c.Lost != w.lost {
		w.lastLoss = now
	}
	w.lost = c.Lost
	return c
}

// sample reads everything once.
func (w *Watcher) sample(now time.Time) {
	w.mu.Lock()
	c := w.askCapture(now)
	w.mu.Unlock()

	lossy := w.sampleLinks(c)
	s, err := w.readSoftnet()
	w.report(&w.softErr, err)
	if err == nil {
		lossy = w.dropped.add(s.dropped) || lossy
		w.squeezed.add(s.squeezed)
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if lossy {
		w.lastLoss = now
	}
	w.figures = Figures{
		Links: w.ledger.list(), Softnet: w.dropped.known,
		SoftnetDropped: w.dropped.total, SoftnetSqueezed: w.squeezed.total,
	}
	w.readable = w.linksErr == nil && w.softErr == nil
	w.due = now.Add(interval)
}

// sampleLinks reads the interfaces that are captured and says whether one has lost something.
func (w *Watcher) sampleLinks(c Capture) (lossy bool) {
	if !c.Up {
		return false
	}
	w.ledger.begin()
	var mtu uint32
	var err error
	if c.IfIndex == 0 {
		var whole bool
		whole, err = w.readLinks(0, func(k *link) {
			lossy = w.ledger.enter(k.name, k) || lossy
			if !k.loopback {
				mtu = max(mtu, k.mtu)
			}
		})
		w.ledger.end(whole)
	} else {
		lossy, mtu, err = w.sampleTower(int32(c.IfIndex))
		w.ledger.end(false)
	}
	w.report(&w.linksErr, err)
	if mtu != w.mtu && mtu != 0 {
		w.mtu = mtu
		if w.cfg.MTU != nil {
			w.cfg.MTU(mtu)
		}
	}
	return lossy
}

// sampleTower reads the captured interface and those below it: what a card loses, its VLANs miss.
func (w *Watcher) sampleTower(index int32) (lossy bool, mtu uint32, err error) {
	var above link
	for level := range 1 + maxLowers {
		var k link
		_, err = w.readLinks(index, func(got *link) { k = *got })
		// Each end of a veth pair names the other as the one below.
		if err != nil || k.index == 0 || level > 0 && k.lower == above.index {
			break
		}
		name := k.name
		if level == 0 {
			name, mtu = w.cfg.Interface, k.mtu
		}
		lossy = w.ledger.enter(name, &k) || lossy
		if k.lower == 0 {
			break
		}
		above, index = k, k.lower
	}
	return lossy, mtu, err
}

// report keeps the state of a source, and tells when it has become unreadable.
func (w *Watcher) report(last *error, err error) {
	if err != nil && *last == nil && w.cfg.Report != nil {
		w.cfg.Report(err)
	}
	*last = err
}
