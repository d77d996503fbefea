package loss

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tcp-stream-exporter/netif"
)

const (
	// DoubtTime is how long a loss makes the figures doubtful.
	DoubtTime = time.Minute

	// interval is the time between two readings, longer if a reading takes long: it then
	// takes 1/share of one processor's time. On a silent machine a reading costs some six
	// thread switches, most of them of Go's scheduler.
	interval = 2 * time.Second
	share    = 50
	// slack is how late a reading may come before it counts as missing.
	slack = 5 * time.Second
	// maxLowers bounds the interfaces below the captured one that are followed.
	maxLowers = 4
	// maxBelow bounds the interfaces below several captured ones that are followed.
	maxBelow = 64
	// answerTime bounds the wait for an answer about interfaces, which is long only while the kernel
	// deletes some (rtnl_lock).
	answerTime = 2 * time.Second
)

var errNoStats = errors.New("rtnetlink message without 64-bit statistics (needs Linux 2.6.35 or newer)")

// Config holds what to watch and the functions to report to.
type Config struct {
	// Interface is the name of the captured interface, under which its losses are listed; those
	// below it (the parent of a VLAN) go by their own. With several interfaces captured it is not used.
	Interface string
	// Selected reports which interfaces a capture on several is for; nil: on all. Those below them are
	// watched, too.
	Selected func(name string) bool
	// Capture returns the capture's state. It is called from any goroutine and must return at once.
	Capture func() Capture
	// DoubtTime is how long a loss makes the figures doubtful; 0: the constant.
	DoubtTime time.Duration
	// MTU is called with the MTU of the captured interface, in bytes, whenever it changes; with several
	// interfaces captured, with the largest but for loopback. It may be nil.
	MTU func(bytes uint32)
	// Report is called with the reason when a source becomes unreadable. It may be nil.
	Report func(err error)
}

// Capture holds the state of a capture.
type Capture struct {
	Lost    uint64 // its own losses so far; any growth is a loss
	Up      bool   // whether it captures
	IfIndex int    // the interface that it captures on, 0 for several; of no meaning while it is not up
	Absent  bool   // an interface that was asked for by name is down or gone, while others are captured
}

// Link holds what one interface has lost since the watch began.
type Link struct {
	Name string
	Lost [NumCounters]uint64
}

// Figures holds the figures of a Watcher. Counts begin with the watch.
type Figures struct {
	// Complete is set if nothing was lost anywhere in the last DoubtTime, and all sources were readable.
	Complete bool
	// Links are the captured interface and those below it, or all; empty if they cannot be read. The
	// caller must not change them.
	Links []Link
	// Softnet is set if the next two counts are known.
	Softnet         bool
	SoftnetDropped  uint64 // packets that found a processor's queue full, on the whole machine
	SoftnetSqueezed uint64 // times that a processor's softirq turn ended with packets waiting; that loses nothing
	// Interfaces are those of Links, but for Others, as the kernel had them at ReadAt, by the names of Links. Those that
	// were not there then are missing. The caller must not change them.
	Interfaces []netif.Interface
	ReadAt     time.Time
	Unreadable string // why a source cannot be read or is late, in one line; empty: all can be read
}

// interfaces lists the methods of netif.Conn that a Watcher calls.
type interfaces interface {
	ByIndex(index int) (netif.Interface, error)
	All(each func(*netif.Interface)) (whole bool, err error)
	Close()
}

// Watcher keeps Figures up to date. Make it with New.
type Watcher struct {
	cfg         Config
	links       interfaces
	readSoftnet func() (softnet, error)

	// Used by the sampling goroutine alone.
	ledger            ledger
	dropped, squeezed counter
	mtu               uint32
	all               []netif.Interface // at the latest sample of several
	below             []int             // indices of those of them that the captured ones stand on
	linksErr, softErr error

	mu       sync.Mutex // guards the rest
	figures  Figures    // without Complete
	readable bool       // whether all sources were, at the last sample
	due      time.Time  // of the next sample
	lost     uint64     // the latest Capture.Lost
	lastLoss time.Time  // zero: none
}

// New makes a watcher of the calling thread's network namespace and takes the first readings, from
// which it counts. Call it about when the capture starts.
func New(cfg Config) *Watcher {
	return newWatcher(cfg, &netif.Conn{Timeout: answerTime}, func() (softnet, error) { return readSoftnet(procSelf) })
}

func newWatcher(cfg Config, links interfaces, readSoftnet func() (softnet, error)) *Watcher {
	if cfg.DoubtTime == 0 {
		cfg.DoubtTime = DoubtTime
	}
	w := &Watcher{cfg: cfg, links: links, readSoftnet: readSoftnet}
	w.lost = cfg.Capture().Lost
	w.sample(time.Now())
	return w
}

// Run keeps the figures up to date until ctx ends, and closes the watcher's socket then.
func (w *Watcher) Run(ctx context.Context) {
	defer w.links.Close()
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

// pause returns the wait after a sample that took that long.
func pause(took time.Duration) time.Duration { return max(interval, share*took) }

// Figures returns the figures as of the last sample, at most some seconds old; the capture's own losses are
// up to date. It makes no system call.
func (w *Watcher) Figures() Figures { return w.at(time.Now()) }

func (w *Watcher) at(now time.Time) Figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.askCapture(now)
	f := w.figures
	quiet := w.lastLoss.IsZero() || now.Sub(w.lastLoss) >= w.cfg.DoubtTime
	f.Complete = quiet && w.readable && now.Sub(w.due) < slack
	if w.readable && now.Sub(w.due) >= slack {
		f.Unreadable = "the kernel has not answered for " + now.Sub(f.ReadAt).Truncate(time.Second).String()
	}
	return f
}

// askCapture notes a loss of the capture itself. The caller holds w.mu.
func (w *Watcher) askCapture(now time.Time) Capture {
	c := w.cfg.Capture()
	if !c.Up || c.Absent || c.Lost != w.lost {
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
		Interfaces: w.ledger.present(), ReadAt: now,
	}
	if err := errors.Join(w.linksErr, w.softErr); err != nil {
		w.figures.Unreadable = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	w.readable = w.linksErr == nil && w.softErr == nil
	w.due = now.Add(interval)
}

// sampleLinks reads the interfaces that are captured and reports whether one has lost something.
func (w *Watcher) sampleLinks(c Capture) (lossy bool) {
	if !c.Up {
		return false
	}
	var mtu uint32
	var err error
	w.ledger.begin()
	if c.IfIndex == 0 {
		var whole bool
		lossy, mtu, whole, err = w.sampleAll()
		w.ledger.end(whole)
	} else {
		lossy, mtu, err = w.sampleTower(c.IfIndex)
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

// sampleAll reads the selected interfaces and those below them. mtu is the largest of the selected but for loopback;
// whole is false if some may be missing.
func (w *Watcher) sampleAll() (lossy bool, mtu uint32, whole bool, err error) {
	counted := true
	w.all = w.all[:0]
	whole, err = w.links.All(func(k *netif.Interface) { w.all = append(w.all, *k) })
	w.below = lowersOf(w.all, w.cfg.Selected, w.below)
	for i := range w.all {
		k := &w.all[i]
		selected := w.cfg.Selected == nil || w.cfg.Selected(k.Name)
		switch {
		case !selected && !slices.Contains(w.below, k.Index):
			continue
		case !k.HasStats:
			counted = false
			continue
		}
		lossy = w.ledger.enter(k.Name, k) || lossy
		if selected && !k.Loopback {
			mtu = max(mtu, k.MTU)
		}
	}
	if err == nil && !counted {
		whole, err = false, fmt.Errorf("rtnetlink: %w", errNoStats)
	}
	return lossy, mtu, whole, err
}

// lowersOf returns the indices of the interfaces below the selected ones (all if it is nil: then none need be named),
// maxLowers levels deep, in the memory of into.
func lowersOf(all []netif.Interface, selected func(string) bool, into []int) []int {
	into = into[:0]
	if selected == nil {
		return into
	}
	for range maxLowers {
		before := len(into)
		for i := range all {
			k := &all[i]
			if k.Lower == 0 || len(into) == maxBelow || slices.Contains(into, k.Lower) || !selected(k.Name) && !slices.Contains(into, k.Index) {
				continue
			}
			// Each end of a veth pair names the other as the one below.
			pair := slices.ContainsFunc(all, func(o netif.Interface) bool { return o.Index == k.Lower && o.Lower == k.Index })
			if !pair {
				into = append(into, k.Lower)
			}
		}
		if len(into) == before {
			break
		}
	}
	return into
}

// sampleTower reads the captured interface and those below it: a card's losses are missing from its VLANs.
func (w *Watcher) sampleTower(index int) (lossy bool, mtu uint32, err error) {
	above := 0
	for level := range 1 + maxLowers {
		k, err := w.links.ByIndex(index)
		// Each end of a veth pair has the other as its lower interface.
		if errors.Is(err, netif.ErrNotExist) || err == nil && level > 0 && k.Lower == above {
			break
		}
		if err == nil && !k.HasStats {
			err = fmt.Errorf("rtnetlink: %w", errNoStats)
		}
		if err != nil {
			return lossy, mtu, err
		}
		name := k.Name
		if level == 0 {
			name, mtu = w.cfg.Interface, k.MTU
		}
		lossy = w.ledger.enter(name, &k) || lossy
		if k.Lower == 0 {
			break
		}
		above, index = k.Index, k.Lower
	}
	return lossy, mtu, nil
}

// report keeps the state of a source, and calls Config.Report when it becomes unreadable.
func (w *Watcher) report(last *error, err error) {
	if err != nil && *last == nil && w.cfg.Report != nil {
		w.cfg.Report(err)
	}
	*last = err
}
