package loss

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"tcp-stream-exporter/netif"
)

// host is a machine with losses of its own making.
type host struct {
	capture  Capture
	links    []netif.Interface
	missing  bool // the list of all interfaces is not whole
	softnet  softnet
	linksErr error
	softErr  error
	asked    []int

	mtus    []uint32
	reports []string
}

func newHost() *host {
	return &host{
		capture: Capture{Up: true, IfIndex: 2},
		links: []netif.Interface{
			{Index: 1, Name: "lo", Loopback: true, MTU: 65536, HasStats: true},
			{Index: 2, Name: "eth0", MTU: 1500, HasStats: true, Stats: netif.Stats{RxDropped: 100, RxMissedErrors: 200, RxFifoErrors: 300, RxOverErrors: 400}},
			{Index: 3, Name: "eth1", MTU: 9000, HasStats: true},
			{Index: 9, Name: "eth0.5", MTU: 1400, Lower: 2, HasStats: true},
		},
		softnet: softnet{dropped: 5, squeezed: 6},
	}
}

func (h *host) link(index int) *netif.Interface {
	for i := range h.links {
		if h.links[i].Index == index {
			return &h.links[i]
		}
	}
	return nil
}

func (h *host) stats(index int) *netif.Stats { return &h.link(index).Stats }

func (h *host) ByIndex(index int) (netif.Interface, error) {
	h.asked = append(h.asked, index)
	switch k := h.link(index); {
	case h.linksErr != nil:
		return netif.Interface{}, h.linksErr
	case k == nil:
		return netif.Interface{}, netif.ErrNotExist
	default:
		return *k, nil
	}
}

func (h *host) All(each func(*netif.Interface)) (whole bool, err error) {
	if h.linksErr != nil {
		return false, h.linksErr
	}
	for i := range h.links {
		k := h.links[i]
		each(&k)
	}
	return !h.missing, nil
}

func (h *host) Close() {}

// watch starts a watcher of h, whose samples the test starts.
func (h *host) watch() *watched {
	w := &watched{h: h}
	w.Watcher = newWatcher(Config{
		Interface: "wan", DoubtTime: time.Minute,
		Capture: func() Capture { return h.capture },
		MTU:     func(mtu uint32) { h.mtus = append(h.mtus, mtu) },
		Report:  func(err error) { h.reports = append(h.reports, err.Error()) },
	}, h, func() (softnet, error) { return h.softnet, h.softErr })
	w.now = time.Now()
	return w
}

type watched struct {
	*Watcher
	h   *host
	now time.Time
}

// pass lets so much time pass with a sample a second.
func (w *watched) pass(d time.Duration) {
	for range d / time.Second {
		w.now = w.now.Add(time.Second)
		w.sample(w.now)
	}
}

func (w *watched) complete() bool { return w.at(w.now).Complete }

// Every place that may lose packets makes the figures doubtful for a minute, and no longer.
func TestWhatMakesTheFiguresDoubtful(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(h *host)
		undo func(h *host)
	}{
		{"a loss of the capture's own", func(h *host) { h.capture.Lost++ }, nil},
		{"rx_dropped", func(h *host) { h.stats(2).RxDropped++ }, nil},
		{"rx_missed_errors", func(h *host) { h.stats(2).RxMissedErrors++ }, nil},
		{"rx_fifo_errors", func(h *host) { h.stats(2).RxFifoErrors++ }, nil},
		{"rx_over_errors", func(h *host) { h.stats(2).RxOverErrors++ }, nil},
		{"softnet drops", func(h *host) { h.softnet.dropped++ }, nil},
		{"the interface being away", func(h *host) { h.capture.Up = false }, func(h *host) { h.capture.Up = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			w := h.watch()
			w.pass(3 * time.Second)
			if !w.complete() {
				t.Fatal("doubtful from the start: what was lost before it does not count")
			}
			c.do(h)
			w.pass(time.Second)
			if w.complete() {
				t.Error("complete a second later")
			}
			w.pass(10 * time.Second)
			if c.undo != nil {
				c.undo(h)
				w.pass(time.Second)
			}
			w.pass(48 * time.Second)
			if w.complete() {
				t.Error("complete before a minute was over")
			}
			w.pass(12 * time.Second)
			if !w.complete() {
				t.Error("doubtful after more than a minute")
			}
		})
	}
}

func TestWhatDoesNotMakeThemDoubtful(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(h *host)
	}{
		{"another interface's losses", func(h *host) { h.stats(3).RxDropped++ }},
		{"a turn that ended with packets waiting", func(h *host) { h.softnet.squeezed++ }},
		{"a driver that starts to count over", func(h *host) {
			*h.stats(2) = netif.Stats{RxDropped: 1, RxMissedErrors: 1, RxFifoErrors: 1, RxOverErrors: 1}
		}},
		{"a processor taken offline, whose drops leave the sum", func(h *host) { h.softnet.dropped-- }},
		{"another interface under the same name, with counts of its own", func(h *host) {
			h.stats(2).RxDropped += 50
			h.link(2).Index = 12
			h.capture.IfIndex = 12
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			w := h.watch()
			c.do(h)
			w.pass(2 * time.Second)
			if !w.complete() {
				t.Errorf("doubtful: %+v", w.at(w.now))
			}
		})
	}
}

// What the capture lost is seen at the scrape, not only at the next sample.
func TestTheCapturesLossesAreOfTheMoment(t *testing.T) {
	h := newHost()
	w := h.watch()
	h.capture.Lost++
	if w.complete() {
		t.Error("complete at the scrape right after the loss")
	}
}

// A scrape takes nothing away from another.
func TestScrapersSeeTheSame(t *testing.T) {
	h := newHost()
	w := h.watch()
	h.stats(2).RxDropped += 3
	w.pass(time.Second)
	first := w.at(w.now)
	for range 10 {
		if again := w.at(w.now); !reflect.DeepEqual(again, first) || again.Complete {
			t.Fatalf("%+v, at first %+v", again, first)
		}
	}
}

func TestWhatCannotBeSeenIsNotVouchedFor(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name     string
		do, undo func(h *host)
	}{
		{"interfaces", func(h *host) { h.linksErr = refused }, func(h *host) { h.linksErr = nil }},
		{"softnet", func(h *host) { h.softErr = refused }, func(h *host) { h.softErr = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			w := h.watch()
			h.stats(2).RxMissedErrors++
			h.softnet.dropped++
			w.pass(70 * time.Second)
			before := w.at(w.now)
			for range 2 {
				c.do(h)
				w.pass(3 * time.Second)
				f := w.at(w.now)
				if f.Complete {
					t.Error("complete although nobody looked")
				}
				if f.Unreadable != "refused" {
					t.Errorf("unreadable: %q, want the reason", f.Unreadable)
				}
				// What is of this moment may differ.
				f.Unreadable, f.Interfaces, f.ReadAt = "", before.Interfaces, before.ReadAt
				if before.Complete = false; !reflect.DeepEqual(f, before) {
					t.Errorf("%+v, before %+v: totals must stand", f, before)
				}
				c.undo(h)
				w.pass(time.Second)
				if !w.complete() {
					t.Error("doubtful although all can be seen again")
				}
			}
			if len(h.reports) != 2 || h.reports[0] != "refused" {
				t.Errorf("reported %q, want one line each time that it became unreadable", h.reports)
			}
		})
	}
}

func TestNothingIsListedThatWasNeverRead(t *testing.T) {
	h := newHost()
	h.linksErr, h.softErr = errors.New("refused"), errors.New("refused")
	if f := h.watch().Figures(); f.Complete || len(f.Links) != 0 || f.Softnet {
		t.Errorf("%+v", f)
	}
}

// A watcher that got stuck does not go on reporting complete figures.
func TestStaleFigures(t *testing.T) {
	w := newHost().watch()
	w.pass(time.Second)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{interval, true}, {interval + slack - 1, true}, {interval + slack, false}, {time.Hour, false}} {
		if got := w.at(w.now.Add(c.after)).Complete; got != c.want {
			t.Errorf("%v after the last sample: complete %v, want %v", c.after, got, c.want)
		}
	}
}

func TestReadingTakesNoMoreThanItsShare(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: 2 * time.Second, 40 * time.Millisecond: 2 * time.Second, 60 * time.Millisecond: 3 * time.Second, time.Second: 50 * time.Second,
	} {
		if got := pause(took); got != want {
			t.Errorf("after a sample of %v: %v, want %v", took, got, want)
		}
	}
}

func (w *watched) list(t *testing.T) map[string][NumCounters]uint64 {
	t.Helper()
	got := map[string][NumCounters]uint64{}
	for _, k := range w.at(w.now).Links {
		if _, twice := got[k.Name]; twice {
			t.Fatalf("%s is listed twice", k.Name)
		}
		got[k.Name] = k.Lost
	}
	return got
}

func want(t *testing.T, w *watched, all map[string][NumCounters]uint64) {
	t.Helper()
	if got := w.list(t); !reflect.DeepEqual(got, all) {
		t.Errorf("%v, want %v", got, all)
	}
}

// The captured interface goes by the name it was given, whatever happens to it, and its totals
// never fall.
func TestTheCapturedInterface(t *testing.T) {
	h := newHost()
	w := h.watch()
	want(t, w, map[string][NumCounters]uint64{"wan": {}})
	*h.stats(2) = netif.Stats{RxDropped: 101, RxMissedErrors: 202, RxFifoErrors: 303, RxOverErrors: 404}
	w.pass(time.Second)
	total := map[string][NumCounters]uint64{"wan": {1, 2, 3, 4}}
	want(t, w, total)

	*h.stats(2) = netif.Stats{} // the driver starts over
	w.pass(time.Second)
	want(t, w, total)
	h.capture.Up = false
	w.pass(time.Second)
	want(t, w, total)
	h.links[1].Index, h.links[1].Stats.RxDropped = 12, 70 // made again
	h.capture = Capture{Up: true, IfIndex: 12}
	w.pass(time.Second)
	want(t, w, total)
	h.stats(12).RxDropped++
	w.pass(time.Second)
	want(t, w, map[string][NumCounters]uint64{"wan": {2, 2, 3, 4}})

	h.links = nil // gone, and the capture does not know yet
	w.pass(time.Second)
	want(t, w, map[string][NumCounters]uint64{"wan": {2, 2, 3, 4}})
	if len(h.reports) != 0 {
		t.Errorf("reported %q", h.reports)
	}
}

// What a card loses is missing from its VLANs too.
func TestInterfacesBelow(t *testing.T) {
	h := newHost()
	h.capture.IfIndex = 9
	w := h.watch()
	h.stats(2).RxMissedErrors += 5
	w.pass(time.Second)
	want(t, w, map[string][NumCounters]uint64{"wan": {}, "eth0": {RxMissed: 5}})
	if w.complete() {
		t.Error("complete although the card below has lost packets")
	}
	if len(h.mtus) != 1 || h.mtus[0] != 1400 {
		t.Errorf("MTUs %v, want the captured interface's", h.mtus)
	}

	h = newHost() // a veth pair in one namespace: each is the other's lower one
	h.link(2).Lower, h.link(3).Lower = 3, 2
	want(t, h.watch(), map[string][NumCounters]uint64{"wan": {}})

	h = newHost() // a ring of three, which the kernel does not make
	h.link(2).Lower, h.link(3).Lower, h.link(9).Lower = 3, 9, 2
	h.watch()
	if len(h.asked) > 1+maxLowers {
		t.Errorf("asked %d times", len(h.asked))
	}
}

func TestAllInterfaces(t *testing.T) {
	h := newHost()
	h.capture.IfIndex = 0
	w := h.watch()
	h.stats(3).RxFifoErrors += 7
	w.pass(time.Second)
	want(t, w, map[string][NumCounters]uint64{"lo": {}, "eth0": {}, "eth1": {RxFifo: 7}, "eth0.5": {}})
	if w.complete() {
		t.Error("complete although eth1 has lost packets")
	}
	if len(h.mtus) != 1 || h.mtus[0] != 9000 {
		t.Errorf("MTUs %v, want the largest but for lo", h.mtus)
	}
	h.missing = true // a list that is not whole forgets nobody
	h.links = h.links[:2]
	w.pass(time.Second)
	if got := w.list(t); len(got) != 4 {
		t.Errorf("%v after a list with gaps", got)
	}
	h.links = append(h.links, netif.Interface{Index: 20, Name: "new0", HasStats: true}, netif.Interface{Index: 20, Name: "new0", HasStats: true})
	w.pass(time.Second) // in which one may come twice
	if got := w.list(t); len(got) != 5 || w.ledger.listed != 5 {
		t.Errorf("%v, %d listed", got, w.ledger.listed)
	}
	h.missing, h.links = false, h.links[:2]
	w.pass(time.Second)
	want(t, w, map[string][NumCounters]uint64{"lo": {}, "eth0": {}})
	if len(h.mtus) != 2 || h.mtus[1] != 1500 {
		t.Errorf("MTUs %v, want the largest of those that are left", h.mtus)
	}
}

// Of thousands of interfaces the first 64 have figures of their own and the others one together,
// which never falls while they come and go.
func TestThousandsOfInterfaces(t *testing.T) {
	h := newHost()
	h.capture.IfIndex = 0
	h.links = nil
	for i := range 3000 {
		h.links = append(h.links, netif.Interface{Index: 3000 - i, Name: fmt.Sprintf("veth%04d", 3000-i), HasStats: true})
	}
	w := h.watch()
	lose := func() {
		for i := range h.links {
			h.links[i].Stats.RxDropped++
		}
		w.pass(time.Second)
	}
	lose()
	got := w.list(t)
	if len(got) != maxListed+1 || got[Others][RxDropped] != 3000-maxListed || got["veth0001"][RxDropped] != 1 || got["veth0064"][RxDropped] != 1 {
		t.Fatalf("%d listed, others %v, first %v", len(got), got[Others], got["veth0001"])
	}
	h.links = h.links[:len(h.links)-10] // the ten oldest go: the next ten take their places
	lose()
	got = w.list(t)
	if _, still := got["veth0001"]; still || len(got) != maxListed+1 || got[Others][RxDropped] != 2*(3000-maxListed) {
		t.Fatalf("%d listed, others %v", len(got), got[Others])
	}
	if first := got["veth0074"][RxDropped]; first != 0 {
		t.Errorf("veth0074 begins with %d, want 0: the others have its past", first)
	}
	lose()
	if got = w.list(t); got["veth0074"][RxDropped] != 1 || got[Others][RxDropped] != 3*(3000-maxListed)-10 {
		t.Errorf("veth0074 %v, others %v", got["veth0074"], got[Others])
	}
	h.links = h.links[len(h.links)-3:]
	lose()
	if got = w.list(t); len(got) != 4 || got[Others][RxDropped] != 3*(3000-maxListed)-10 {
		t.Errorf("%v", got)
	}
}
