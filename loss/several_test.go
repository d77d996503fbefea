package loss

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/netif"
)

// With several interfaces captured those count that are selected, and those below them, and no others.
func TestLossesOfSeveralInterfaces(t *testing.T) {
	links := func() []netif.Interface {
		return []netif.Interface{
			{Index: 1, Name: "lo", Loopback: true, MTU: 65536, HasStats: true},
			{Index: 2, Name: "card", MTU: 9000, HasStats: true},
			{Index: 3, Name: "bond", MTU: 9000, Lower: 2, HasStats: true},
			{Index: 4, Name: "ppp0", MTU: 1492, Lower: 3, HasStats: true},
			{Index: 5, Name: "ppp1", MTU: 1400, HasStats: true},
			{Index: 6, Name: "other", MTU: 4000, HasStats: true},
			{Index: 7, Name: "pppX", Lower: 8, MTU: 1000, HasStats: true}, // a veth pair
			{Index: 8, Name: "vethX", Lower: 7, MTU: 1000, HasStats: true},
		}
	}
	for _, row := range []struct {
		loses  string
		counts bool
	}{{"ppp0", true}, {"ppp1", true}, {"bond", true}, {"card", true}, {"other", false}, {"lo", false}, {"vethX", false}} {
		h := newHost()
		h.links, h.capture.IfIndex = links(), 0
		w := &watched{h: h, now: time.Now()}
		w.Watcher = newWatcher(Config{
			DoubtTime: time.Minute, Capture: func() Capture { return h.capture },
			Selected: func(name string) bool { return strings.HasPrefix(name, "ppp") },
			MTU:      func(mtu uint32) { h.mtus = append(h.mtus, mtu) },
		}, h, func() (softnet, error) { return h.softnet, h.softErr })
		w.pass(3 * time.Second)
		if !w.complete() {
			t.Fatal("doubtful from the start")
		}
		i := slices.IndexFunc(h.links, func(k netif.Interface) bool { return k.Name == row.loses })
		h.links[i].Stats.RxDropped++
		w.pass(time.Second)
		if w.complete() == row.counts {
			t.Errorf("a loss on %s: complete %v", row.loses, w.complete())
		}
		var names []string
		for _, l := range w.at(w.now).Links {
			names = append(names, l.Name)
		}
		if want := []string{"bond", "card", "ppp0", "ppp1", "pppX"}; !slices.Equal(slices.Sorted(slices.Values(names)), want) {
			t.Errorf("listed are %v, want %v", names, want)
		}
		if fmt.Sprint(h.mtus) != "[1492]" {
			t.Errorf("MTUs %v, want the largest that is selected", h.mtus)
		}
	}
}

// An interface that was named and is not there makes the figures doubtful, while the others go on being read.
func TestAnAbsentInterfaceBesideOthers(t *testing.T) {
	h := newHost()
	h.capture.IfIndex = 0
	w := h.watch()
	h.capture.Absent = true
	w.pass(3 * time.Second)
	if w.complete() {
		t.Error("complete although one is absent")
	}
	h.stats(3).RxDropped += 7
	w.pass(time.Second)
	for _, l := range w.at(w.now).Links {
		if l.Name == "eth1" && l.Lost[RxDropped] != 7 {
			t.Errorf("%+v, want 7 lost", l)
		}
	}
	h.capture.Absent = false
	w.pass(2 * time.Minute)
	if !w.complete() {
		t.Error("doubtful for ever")
	}
}
