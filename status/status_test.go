package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// host is a capture of two workers on eth0, which stands on card.
type host struct {
	workers    []worker.Stats
	since      []time.Duration
	interfaces []Interface
	losses     loss.Figures
	healthy    error

	mu    sync.Mutex // guards asked
	asked []string
}

// done returns how many marks were taken and how many interfaces were asked for.
func (h *host) done(s *History) (taken, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.taken, len(h.asked)
}

func newHost(now time.Time) *host {
	h := &host{since: make([]time.Duration, 2), interfaces: []Interface{{Name: "eth0", Up: true, Named: true, Exists: true}}}
	for range 2 {
		s := worker.Stats{InterfaceUp: true, Capacity: 1000, RingBlocks: 128}
		h.workers = append(h.workers, s)
	}
	h.losses = loss.Figures{
		Complete: true, ReadAt: now, Softnet: true, Links: []loss.Link{{Name: "card"}, {Name: "eth0"}},
		Interfaces: []netif.Interface{{Index: 3, Name: "card", Hatype: 1, MTU: 9000, Up: true, HasStats: true}, {Index: 2, Name: "eth0", Hatype: 1, MTU: 1500, Up: true, HasStats: true}},
	}
	return h
}

func (h *host) history() *History {
	return New(Config{
		Version: "1.2.3", Interface: "eth0", Filter: "tcp", Sample: 4,
		Workers:    func() []worker.Stats { return append([]worker.Stats(nil), h.workers...) },
		SinceTurn:  func() []time.Duration { return h.since },
		Interfaces: func() []Interface { return h.interfaces },
		Losses:     func() loss.Figures { return h.losses },
		Healthy:    func() error { return h.healthy },
		Ready:      func() error { return nil },
		Device: func(name string) device {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.asked = append(h.asked, name)
			return device{Driver: "e1000", Features: map[string]bool{"rx-gro": true, "rx-checksum": true}}
		},
	})
}

// pass lets time pass by steps of Interval, with as many packets a second to each worker and as many bits on eth0, and
// takes a mark at the end of each.
func (h *host) pass(s *History, now *time.Time, d time.Duration, packets, bits uint64) {
	for ; d > 0; d -= Interval {
		*now = now.Add(Interval)
		h.losses.ReadAt = *now
		for i := range h.workers {
			h.workers[i].Packets += packets * uint64(Interval/time.Second)
		}
		eth0 := &h.losses.Interfaces[1].Stats
		eth0.RxBytes += bits / 8 * uint64(Interval/time.Second)
		eth0.RxPackets += 2 * packets * uint64(Interval/time.Second)
		s.mark(s.read(*now))
	}
}

func ask(t *testing.T, s *History, now time.Time, points int) (a answer) {
	t.Helper()
	body := s.answer(s.read(now), points)
	if err := json.Unmarshal(body, &a); err != nil || !json.Valid(body) {
		t.Fatalf("%v: %s", err, body)
	}
	return a
}

func TestRatesAndCharts(t *testing.T) {
	now := time.Now()
	h := newHost(now)
	s := h.history()
	now = s.start
	h.pass(s, &now, time.Minute, 1000, 8e6)
	h.pass(s, &now, time.Minute, 3000, 16e6)
	h.workers[1].Connections, h.workers[1].RingWaiting = 500, 64
	h.workers[0].Skipped[parse.IPv6] = 7
	s.askDevices(now)
	h.pass(s, &now, Interval, 5000, 24e6)
	a := ask(t, s, now, 120)
	if a.Totals.PacketRate != 10_000 || a.Totals.BitRate != 24e6 || a.Workers[1].PacketRate != 5000 || a.Interfaces[0].PacketRate != 10_000 {
		t.Errorf("rates of the moment: %+v %+v", a.Totals, a.Interfaces[0])
	}
	c := a.History
	if len(c.Packets) != 25 || c.Packets[0] != 2000 || c.Packets[11] != 2000 || c.Packets[12] != 6000 || c.Packets[24] != 10_000 || c.Bits[24] != 24e6 {
		t.Errorf("the charts: %v %v", c.Packets, c.Bits)
	}
	if c.Table[24] != 0.25 || c.Ring[24] != 0.25 || a.Workers[1].History.Table[24] != 0.5 || a.Workers[0].History.Ring[24] != 0 {
		t.Errorf("fill: %v %v", c.Table, c.Ring)
	}
	if a.Interfaces[0].Name != "eth0" || a.Interfaces[0].State != "captured" || a.Interfaces[0].MTU != 1500 || a.Interfaces[0].Driver != "e1000" || fmt.Sprint(a.Interfaces[0].Offloads) != "[rx-gro]" || a.Interfaces[1].State != "below" {
		t.Errorf("interfaces %+v", a.Interfaces)
	}
	if len(a.Skipped) != 1 || a.Skipped[0].Reason != "ipv6" || !strings.Contains(a.Skipped[0].Text, "-ipv6") || a.IPv6Skipped != 7 || a.Sample != 0.25 {
		t.Errorf("skipped %+v", a.Skipped)
	}
	if short := ask(t, s, now, 3); len(short.History.Packets) != 3 || short.History.Packets[2] != 10_000 || short.History.Packets[0] != 6000 {
		t.Errorf("three points: %v", short.History.Packets)
	}
	if none := ask(t, s, now, 0); none.History != nil || none.Workers[0].History != nil || none.Interfaces[0].History != nil {
		t.Error("a history although none was asked for")
	}
}

// A rate is over the time between the readings, whenever the marks were taken.
func TestRatesGoByTheTimeOfTheFigures(t *testing.T) {
	h := newHost(time.Now())
	s := h.history()
	now := s.start.Add(10 * time.Second)
	h.losses.ReadAt = s.start.Add(8 * time.Second)
	h.since = []time.Duration{time.Second, 0}
	h.workers[0].Packets, h.workers[1].Packets = 900, 1000
	h.losses.Interfaces[1].Stats.TxBytes = 800
	if a := ask(t, s, now, 0); a.Workers[0].PacketRate != 100 || a.Workers[1].PacketRate != 100 || a.Interfaces[0].BitRate != 800 {
		t.Errorf("%v and %v packets/s, %v bit/s; want 100, 100, 800", a.Workers[0].PacketRate, a.Workers[1].PacketRate, a.Interfaces[0].BitRate)
	}
}

// However long it runs, the history holds ten minutes, and its memory stays what it is.
func TestHistoryIsBounded(t *testing.T) {
	h := newHost(time.Now())
	s := h.history()
	now := s.start
	h.pass(s, &now, time.Hour, 1000, 8e6)
	a := ask(t, s, now, Points)
	if len(a.History.Packets) != Points || a.History.Packets[0] != 2000 || a.History.Packets[Points-1] != 2000 {
		t.Fatalf("%d points: %v", len(a.History.Packets), a.History.Packets)
	}
	if allocs := testing.AllocsPerRun(1000, func() { s.mark(reading{now: now, workers: h.workers, losses: h.losses}) }); allocs != 0 {
		t.Errorf("a mark allocates %v times", allocs)
	}
	// Interfaces come and go without an end.
	for i := range 10 * maxInterfaces {
		h.losses.Links = []loss.Link{{Name: "eth0"}, {Name: fmt.Sprint("ppp", i)}}
		h.losses.Interfaces = []netif.Interface{{Index: 2, Name: "eth0", HasStats: true}, {Index: 100 + i, Name: fmt.Sprint("ppp", i), HasStats: true}}
		s.mark(s.read(now))
	}
	if len(s.places) != maxInterfaces || s.find("eth0") == nil || s.find(fmt.Sprint("ppp", 10*maxInterfaces-1)) == nil {
		t.Errorf("%d places", len(s.places))
	}
	// One too many, all of them there: none gives way.
	h.losses.Links, h.losses.Interfaces = nil, nil
	for i := range maxInterfaces + 1 {
		h.losses.Links = append(h.losses.Links, loss.Link{Name: fmt.Sprint("wg", i)})
	}
	for range 3 {
		s.mark(s.read(now))
	}
	for i := range maxInterfaces {
		if s.find(fmt.Sprint("wg", i)) == nil {
			t.Errorf("wg%d has lost its place", i)
		}
	}
}

// What is not known is null, and no rate is made of a counter that has begun anew.
func TestUnknownIsNull(t *testing.T) {
	h := newHost(time.Now())
	s := h.history()
	now := s.start
	h.pass(s, &now, Interval, 1000, 8e6)
	h.losses.Interfaces[1].Stats = netif.Stats{} // made again
	h.losses.Interfaces[1].Index = 9
	h.pass(s, &now, Interval, 1000, 0)
	h.losses.Interfaces = h.losses.Interfaces[:1] // gone
	s.mark(s.read(now.Add(Interval)))
	body := string(s.answer(s.read(now.Add(Interval)), 3))
	if !strings.Contains(body, `"bits_per_second":[8000000,null,null]`) {
		t.Errorf("no two gaps in the chart: %s", body)
	}
	if strings.Contains(body, "NaN") {
		t.Errorf("%s", body)
	}
	if rate(5, 4, 1, 2) == rate(5, 4, 1, 2) || !math.IsNaN(float64(share(1, 0))) {
		t.Error("a rate of a counter that fell")
	}
}

func TestWhatWasLost(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(h *host)
		want string // cause, place and in the text
	}{
		"ring of a worker": {func(h *host) { h.workers[1].Dropped, h.workers[1].Freezes = 12, 3 }, "ring_full ring [1] 12 packets -numblocks"},
		"queue freezes":    {func(h *host) { h.workers[0].Freezes = 3 }, "ring_frozen ring [] 3 times"},
		"table":            {func(h *host) { h.workers[0].NoRoom = 5 }, "table_full table [] 5 packets -max-connections"},
		"kernel's queue":   {func(h *host) { h.losses.SoftnetDropped = 8 }, "softnet_full kernel [] 8 packets netdev_max_backlog"},
		"card":             {func(h *host) { h.losses.Links[0].Lost[loss.RxMissed] = 4 }, "rx_missed_errors interface [] 4 packets card ethtool"},
		"interface down":   {func(h *host) { h.interfaces[0].Up = false }, "interface_away interface [] eth0 is down"},
		"not readable":     {func(h *host) { h.losses.Unreadable = "no /proc" }, "unreadable kernel [] no /proc"},
		"nothing known":    {func(*host) {}, "brief interface [] log"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(time.Now())
			s := h.history()
			now := s.start
			h.pass(s, &now, 2*time.Minute, 1000, 8e6)
			if a := ask(t, s, now, 0); a.Capture.State != "complete" || !a.Capture.Complete || len(a.Capture.Reasons) != 0 {
				t.Fatalf("before: %+v", a.Capture)
			}
			c.lose(h)
			h.losses.Complete = false
			check := func(when string) {
				t.Helper()
				a := ask(t, s, now, 0).Capture
				if len(a.Reasons) != 1 || a.State != "incomplete" || a.Complete || a.Summary != a.Reasons[0].Text {
					t.Fatalf("%s: %+v", when, a)
				}
				r := a.Reasons[0]
				got := fmt.Sprint(r.Cause, " ", r.Place, " ", r.Workers, " ", r.Text)
				for word := range strings.FieldsSeq(c.want) {
					if !strings.Contains(got, word) {
						t.Errorf("%s: %q, want %q", when, got, c.want)
					}
				}
			}
			check("at once")
			h.pass(s, &now, 55*time.Second, 1000, 8e6)
			check("after 55 s")
		})
	}
}

func TestStuck(t *testing.T) {
	h := newHost(time.Now())
	s := h.history()
	h.healthy = errors.New("not healthy: stuck: worker 1 for 12s")
	if a := ask(t, s, s.start, 0).Capture; a.State != "stuck" || a.Healthy || !strings.Contains(a.Summary, "worker 1") {
		t.Errorf("%+v", a)
	}
}

func TestStateOf(t *testing.T) {
	ether, dump := &netif.Interface{Hatype: 1, Up: true}, &netif.Interface{Hatype: 803, Up: true}
	for _, c := range []struct {
		i    Interface
		k    *netif.Interface
		want string
	}{
		{Interface{Up: true, Exists: true}, ether, "captured"},
		{Interface{Exists: true}, ether, "down"},
		{Interface{Exists: true}, nil, "down"},
		{Interface{Exists: true}, dump, "not_decoded"},
		{Interface{Named: true}, nil, "absent"},
	} {
		if got := stateOf(&c.i, c.k); got != c.want {
			t.Errorf("%+v: %s, want %s", c.i, got, c.want)
		}
	}
}

// Run takes a mark each Interval, asks for offloads once a minute, and ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(time.Now())
		s := h.history()
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		time.Sleep(4*Interval + Interval/2)
		synctest.Wait()
		if taken, asked := h.done(s); taken != 5 || asked != 2 {
			t.Errorf("%d marks, asked for %d interfaces", taken, asked)
		}
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if _, asked := h.done(s); asked != 4 {
			t.Errorf("asked for %d interfaces", asked)
		}
	})
}

// Another interface under a name that is known is asked for its offloads anew.
func TestDevicesAreAskedForAnew(t *testing.T) {
	h := newHost(time.Now())
	s := h.history()
	s.askDevices(s.start)
	s.askDevices(s.start.Add(Interval))
	h.losses.Interfaces[1].Index = 9
	s.mark(s.read(s.start.Add(2 * Interval)))
	s.askDevices(s.start.Add(2 * Interval))
	if fmt.Sprint(h.asked) != "[card eth0 eth0]" {
		t.Errorf("asked for %v", h.asked)
	}
}
