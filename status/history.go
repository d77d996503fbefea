package status

import (
	"context"
	"sync"
	"time"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/worker"
)

const (
	// Interval is the time between two marks.
	Interval = 5 * time.Second
	// Points is how many rates between two marks are kept of a figure: ten minutes.
	Points = 120
	// marks is how many marks that takes.
	marks = Points + 1
	// maxInterfaces bounds the interfaces with a history: those that package loss lists, and one for all others.
	// Each takes 7 KB, once it is there.
	maxInterfaces = 65
	// deviceAge is how long an answer about an interface's offloads is used.
	deviceAge = time.Minute
)

// Interface tells of one interface that is captured, or is to be.
type Interface struct {
	Name   string // as text, see package printable
	Up     bool   // it is captured
	Named  bool   // -interface has its name, not a pattern that it matches
	Exists bool   // there is one of that name, up or down
}

// Config holds what the status is made of. All functions may be called from any goroutine and return at once.
type Config struct {
	Version, Interface, Filter string   // as text, see package printable
	Sample                     uint64   // one connection in so many is captured
	IPv6                       bool     // is accounted
	Tunnels                    bool     // are looked into
	StreamFilters              []string // parameters that select streams (/api/v1/streams)
	Groups                     bool     // are counted

	Workers    func() []worker.Stats    // published totals of each worker
	SinceTurn  func() []time.Duration   // how long ago each worker published them
	Interfaces func() []Interface       // that are captured, and those that were named and are not there
	Losses     func() loss.Figures      // before the ring
	Healthy    func() error             // as the health check of that name says
	Ready      func() error             //
	Device     func(name string) device // nil: netif.AskDevice
}

type device = netif.Device

// workerMark holds the figures of one worker at one mark.
type workerMark struct {
	at                                          time.Duration // since the start, when they were published; 0: no figures
	packets, dropped                            uint64
	connections, capacity, ringWaiting, ringAll uint32
}

// linkMark holds the figures of one interface at one mark.
type linkMark struct {
	at             time.Duration // since the start, when the kernel was asked; 0: no figures
	packets, bytes uint64        // received and sent
	lost           [loss.NumCounters]uint64
}

// captureMark holds the losses of all workers and of the machine at one mark.
type captureMark struct {
	at    time.Duration // since the start
	lost  [numCauses]uint64
	away  bool // an interface that was asked for was down or gone
	blind bool // a source could not be read
}

// place is the history of one interface.
type place struct {
	name  string
	index int // of the interface
	last  int // number of the latest mark in which it was
	marks [marks]linkMark

	asked  time.Duration // when device was asked for, since the start; 0: never
	device netif.Device
}

// History holds the latest marks. Make it with New.
type History struct {
	cfg   Config
	start time.Time

	mu      sync.Mutex // guards the rest
	taken   int        // marks taken; mark i is at i % marks
	capture [marks]captureMark
	workers [][marks]workerMark
	places  []*place
}

// New returns a history with its first mark. Call it about when the capture starts.
func New(cfg Config) *History {
	if cfg.Device == nil {
		cfg.Device = func(name string) device {
			d, _ := netif.AskDevice(name) // what cannot be known is left out
			return d
		}
	}
	h := &History{cfg: cfg, start: time.Now()}
	h.workers = make([][marks]workerMark, len(cfg.Workers()))
	h.mark(h.read(h.start))
	return h
}

// Run takes marks until ctx ends.
func (h *History) Run(ctx context.Context) {
	h.askDevices(time.Now())
	every := time.NewTicker(Interval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		now := time.Now()
		h.mark(h.read(now))
		h.askDevices(now)
	}
}

// reading holds what the status is made of at one moment.
type reading struct {
	now        time.Time
	capture    captureMark
	total      worker.Stats
	workers    []worker.Stats
	since      []time.Duration // how long ago each was published
	losses     loss.Figures
	interfaces []Interface
}

// read reads all figures.
func (h *History) read(now time.Time) reading {
	r := reading{now: now, since: h.cfg.SinceTurn(), workers: h.cfg.Workers(), losses: h.cfg.Losses(), interfaces: h.cfg.Interfaces()}
	for i := range r.workers {
		r.total.Add(&r.workers[i], i == 0)
	}
	r.capture = captureMark{at: h.since(now), lost: causesOf(&r.total, &r.losses), away: !r.total.InterfaceUp, blind: r.losses.Unreadable != ""}
	for _, i := range r.interfaces {
		r.capture.away = r.capture.away || i.Named && !i.Up
	}
	return r
}

// since returns a time as it stands in marks: since the start, never 0.
func (h *History) since(t time.Time) time.Duration { return max(t.Sub(h.start), 1) }

// workerMark returns the mark of worker i.
func (h *History) workerMark(r *reading, i int) workerMark {
	s := &r.workers[i]
	m := workerMark{
		at: h.since(r.now), packets: s.Packets, dropped: s.Dropped,
		connections: uint32(s.Connections), capacity: uint32(s.Capacity), ringWaiting: uint32(s.RingWaiting), ringAll: uint32(s.RingBlocks),
	}
	if i < len(r.since) {
		m.at = h.since(r.now.Add(-r.since[i]))
	}
	return m
}

// linkMark returns the mark of an interface. k is nil if the kernel knows none of that name.
func (h *History) linkMark(r *reading, link *loss.Link, k *netif.Interface) linkMark {
	m := linkMark{lost: link.Lost}
	if k != nil && k.HasStats {
		m.at = h.since(r.losses.ReadAt)
		m.packets, m.bytes = k.Stats.RxPackets+k.Stats.TxPackets, k.Stats.RxBytes+k.Stats.TxBytes
	}
	return m
}

// mark adds a mark.
func (h *History) mark(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	slot := h.taken % marks
	h.capture[slot] = r.capture
	for i := range min(len(r.workers), len(h.workers)) {
		h.workers[i][slot] = h.workerMark(&r, i)
	}
	for _, p := range h.places {
		p.marks[slot] = linkMark{}
	}
	for i := range r.losses.Links {
		link := &r.losses.Links[i]
		k := named(r.losses.Interfaces, link.Name)
		p := h.placeOf(link.Name, k)
		if p == nil {
			continue
		}
		p.last = h.taken
		p.marks[slot] = h.linkMark(&r, link, k)
	}
	h.taken++
}

// placeOf returns the place of an interface, a new one if it has none. If there are too many, the one that has been gone
// for longest gives way; nil: all are there. The caller holds mu.
func (h *History) placeOf(name string, k *netif.Interface) *place {
	p := h.find(name)
	if p == nil && len(h.places) < maxInterfaces {
		p = &place{name: name}
		h.places = append(h.places, p)
	}
	if p == nil {
		for _, old := range h.places {
			if old.last < h.taken-1 && (p == nil || old.last < p.last) {
				p = old
			}
		}
		if p == nil {
			return nil
		}
		*p = place{name: name}
	}
	if k != nil && p.index != k.Index {
		// Another interface of the same name counts anew, and may be another device.
		p.index, p.asked = k.Index, 0
	}
	return p
}

// find returns the place of an interface, or nil. The caller holds mu.
func (h *History) find(name string) *place {
	for _, p := range h.places {
		if p.name == name {
			return p
		}
	}
	return nil
}

// askDevices asks for the offloads of interfaces, those again that were asked for long ago. It may take a second each
// while somebody else holds the kernel's lock of all interfaces.
func (h *History) askDevices(now time.Time) {
	at := h.since(now)
	type question struct {
		name  string
		index int
	}
	var due []question
	h.mu.Lock()
	for _, p := range h.places {
		if p.index != 0 && p.last == h.taken-1 && (p.asked == 0 || at-p.asked >= deviceAge) {
			due = append(due, question{p.name, p.index})
		}
	}
	h.mu.Unlock()
	for _, q := range due {
		d := h.cfg.Device(q.name)
		h.mu.Lock()
		if p := h.find(q.name); p != nil && p.index == q.index {
			p.asked, p.device = at, d
		}
		h.mu.Unlock()
	}
}

// named returns the interface of this name, or nil.
func named(all []netif.Interface, name string) *netif.Interface {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

// before returns the number of the latest mark that is at least so old, or of the oldest there is. The caller holds mu.
func (h *History) before(at, age time.Duration) int {
	oldest := max(h.taken-marks, 0)
	for i := h.taken - 1; i > oldest; i-- {
		if at-h.capture[i%marks].at >= age {
			return i
		}
	}
	return oldest
}
