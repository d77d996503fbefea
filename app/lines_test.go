package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/netif"
	"tcp-stream-exporter/worker"
)

// recorder is a capture that notes what lines ask of it.
type recorder struct {
	filters     int
	prog        []bpf.RawInstruction
	refuse      func(prog []bpf.RawInstruction) error
	tables      int
	order       string // f: a filter, t: a table
	promiscuous map[int]bool
}

func (r *recorder) SetFilter(prog []bpf.RawInstruction) error {
	r.order += "f"
	if r.refuse != nil {
		if err := r.refuse(prog); err != nil {
			return err
		}
	}
	r.filters, r.prog = r.filters+1, prog
	return nil
}

func (r *recorder) SetInterfaces(*capture.Interfaces) {
	r.order += "t"
	r.tables++
}

func (r *recorder) SetPromiscuous(index int, on bool) error {
	r.promiscuous[index] = on
	return nil
}

// testLines are lines of a selection, and what they log.
func testLines(t *testing.T, selection string, wait bool) (*lines, *bytes.Buffer) {
	t.Helper()
	s, err := netif.ParseSelection(selection)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := &options{iface: selection, selection: s, wait: wait, promiscuous: true, snapLen: worker.SnapLen, direction: both, sample: 1}
	l, err := newLines(o, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return l, &out
}

const ether, tunnel, odd = 1, 65534, 824 // ARPHRD_

// given returns what lines ask for the interfaces.
func given(all []netif.Interface) func() []netif.Interface {
	return func() []netif.Interface { return all }
}

func iface(index int, name string) netif.Interface {
	return netif.Interface{Index: index, Name: name, Hatype: ether, Up: true}
}

func numbered(l *lines) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for index, line := range l.lines {
		all = append(all, fmt.Sprintf("%d:%s:%d", index, line.name, line.number))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// Each change of the interfaces changes what is captured, and is told of in one line.
func TestLinesFollowTheInterfaces(t *testing.T) {
	l, out := testLines(t, "ppp*,eth0,!ppp9", true)
	eth0, ppp0 := iface(2, "eth0"), iface(5, "ppp0")
	l.start([]netif.Interface{iface(1, "lo"), eth0})
	to := &recorder{promiscuous: map[int]bool{}}
	l.begin(to)
	if to.order != "t" || numbered(l) != "2:eth0:1" || !to.promiscuous[2] {
		t.Errorf("at the start: %s, %s, %v", to.order, numbered(l), to.promiscuous)
	}
	down := eth0
	down.Up = false
	renamed := ppp0
	renamed.Name = "ppp7"
	odder := iface(6, "ppp1")
	odder.Hatype = odd
	other := ppp0
	other.Index = 8
	for _, step := range []struct {
		name   string
		all    []netif.Interface
		lines  string
		filter bool // there is another one
		says   string
	}{
		{"one comes", []netif.Interface{eth0, ppp0}, "2:eth0:1 5:ppp0:2", true, "capturing on another interface"},
		{"nothing changes", []netif.Interface{eth0, ppp0}, "2:eth0:1 5:ppp0:2", false, ""},
		{"one that is left out comes", []netif.Interface{eth0, ppp0, iface(7, "ppp9"), iface(9, "eth1")}, "2:eth0:1 5:ppp0:2", false, ""},
		{"one goes down", []netif.Interface{down, ppp0}, "2:eth0:1 5:ppp0:2", false, "is down"},
		{"and up", []netif.Interface{eth0, ppp0}, "2:eth0:1 5:ppp0:2", false, "capturing again"},
		{"one is renamed", []netif.Interface{eth0, renamed}, "2:eth0:1 5:ppp7:3", true, "another name"},
		{"and back: its number is that of the name", []netif.Interface{eth0, ppp0}, "2:eth0:1 5:ppp0:2", true, "another name"},
		{"made again", []netif.Interface{eth0, other}, "2:eth0:1 8:ppp0:2", true, "capturing on another interface"},
		{"one that is not decoded", []netif.Interface{eth0, other, odder}, "2:eth0:1 6:ppp1:4 8:ppp0:2", true, "not decoded"},
		{"all go", nil, "", true, "no longer captured"},
	} {
		out.Reset()
		filters := to.filters
		to.order = ""
		l.update(given(step.all))
		if numbered(l) != step.lines {
			t.Errorf("%s: %q, want %q", step.name, numbered(l), step.lines)
		}
		if changed := to.filters != filters; changed != step.filter || changed && to.order != "tf" {
			t.Errorf("%s: another filter: %v, want %v; in the order %q", step.name, changed, step.filter, to.order)
		}
		lines := strings.Count(out.String(), "\n")
		if step.says == "" && lines != 0 || step.says != "" && !strings.Contains(out.String(), step.says) {
			t.Errorf("%s: the log says %q, want %q", step.name, out.String(), step.says)
		}
	}
	if want := map[int]bool{2: false, 5: false, 8: false}; !maps.Equal(to.promiscuous, want) {
		t.Errorf("promiscuous are %v, want %v", to.promiscuous, want)
	}
	if l.name(2) != "ppp0" || l.name(99) != "" {
		t.Errorf("number 2 is %q, 99 %q", l.name(2), l.name(99))
	}
}

// What was named and is not there is an error at the start, or waited for, and told of in the series.
func TestLinesThatAreNotThere(t *testing.T) {
	here := []netif.Interface{iface(2, "eth0")}
	l, _ := testLines(t, "eth0,ppp0,tun*", false)
	if err := l.check(here); err == nil || !strings.HasPrefix(err.Error(), "-interface ppp0: no such interface") {
		t.Errorf("error %v", err)
	}
	if err := l.check(append(here, iface(3, "ppp0"))); err != nil {
		t.Errorf("all are there: %v", err)
	}
	l, out := testLines(t, "eth0,ppp0,tun*", true)
	if err := l.check(here); err != nil {
		t.Errorf("it is to be waited for: %v", err)
	}
	l.start(here)
	l.begin(&recorder{promiscuous: map[int]bool{}})
	if !strings.Contains(out.String(), `waiting for it" interface=ppp0`) {
		t.Errorf("the log says %q", out.String())
	}
	if !l.absent() {
		t.Error("nothing is absent")
	}
	if got := fmt.Sprint(l.interfaces()); got != "[{eth0 true true true} {ppp0 false true false}]" {
		t.Errorf("%s", got)
	}
	l.update(given(append(here, iface(3, "ppp0"), iface(4, "tun0"))))
	if got := fmt.Sprint(l.interfaces()); l.absent() || got != "[{eth0 true true true} {ppp0 true true true} {tun0 true false true}]" {
		t.Errorf("absent %v, %s", l.absent(), got)
	}
}

// A kernel that takes no filter of that length gets one that knows no interfaces; frames are told apart behind it.
func TestLinesBeyondTheKernelsFilters(t *testing.T) {
	l, out := testLines(t, "any", true)
	to := &recorder{promiscuous: map[int]bool{}}
	l.start(nil)
	l.begin(to)
	if l.coarse {
		t.Error("coarse from the start")
	}
	to.refuse = func(prog []bpf.RawInstruction) error {
		if len(prog) > 100 {
			return errors.New("too long for me")
		}
		return nil
	}
	var all []netif.Interface
	for i := range 200 {
		all = append(all, iface(2*i+1, fmt.Sprintf("tun%d", i)))
		all[i].Hatype = tunnel
	}
	l.update(given(all))
	if !l.coarse || len(to.prog) > 100 || to.order[len(to.order)-2:] != "tf" {
		t.Errorf("coarse %v, %d instructions, order %s", l.coarse, len(to.prog), to.order)
	}
	if n := strings.Count(out.String(), "optmem_max"); n != 1 {
		t.Errorf("%d lines name the remedy, want one", n)
	}
	// Longer than any kernel takes: there is no attempt.
	to.refuse = nil
	for i := range 2000 {
		all = append(all, iface(2*i+1001, fmt.Sprintf("ppp%d", i)))
	}
	l.update(given(all))
	if !l.coarse || len(to.prog) > 200 {
		t.Errorf("2200 interfaces: coarse %v, %d instructions", l.coarse, len(to.prog))
	}
	l.update(given(all[:3]))
	if l.coarse {
		t.Error("still coarse with three interfaces")
	}
}

// Names of interfaces that have gone are kept for their streams, but not without end.
func TestNamesOfInterfacesThatHaveGone(t *testing.T) {
	l, _ := testLines(t, "veth*", true)
	l.start(nil)
	l.begin(&recorder{promiscuous: map[int]bool{}})
	for i := range 1000 {
		l.update(given([]netif.Interface{iface(i+1, fmt.Sprintf("veth%d", i))}))
	}
	if l.name(1) != "veth0" || l.name(1000) != "veth999" {
		t.Errorf("1 is %q, 1000 %q", l.name(1), l.name(1000))
	}
	l.mu.Lock()
	for i := range maxGone {
		l.gone = append(l.gone, uint32(10_000+i))
	}
	l.mu.Unlock()
	l.update(given(nil))
	if l.name(1) != "" || l.numbers["veth0"] != 0 {
		t.Errorf("the first is still %q, number %d", l.name(1), l.numbers["veth0"])
	}
}

// fakeMonitor is a watch of interfaces that ends when the test says so.
type fakeMonitor struct {
	done chan struct{}
	err  error
}

func (m *fakeMonitor) Done() <-chan struct{} { return m.done }
func (m *fakeMonitor) Err() error            { return m.err }

// A watch of interfaces that ends by itself is told of, because nothing that comes later is captured; one that the
// program ends is not.
func TestLinesTellOfTheEndOfTheirWatch(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		says string
	}{
		{"by an error", errors.New("netlink socket: no buffer space available"), `level=ERROR msg="changes of interfaces are not seen any more`},
		{"at the end of the program", context.Canceled, ""},
	} {
		l, out := testLines(t, "eth*", true)
		m := &fakeMonitor{make(chan struct{}), row.err}
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			l.awaitEnd(m)
		}()
		select {
		case <-returned:
			t.Errorf("%s: it does not wait for the end", row.name)
		case <-time.After(10 * time.Millisecond):
		}
		close(m.done)
		<-returned
		lines := strings.Count(out.String(), "\n")
		switch {
		case row.says == "" && lines != 0:
			t.Errorf("%s: the log says %q", row.name, out)
		case row.says != "" && (lines != 1 || !strings.Contains(out.String(), row.says) || !strings.Contains(out.String(), row.err.Error())):
			t.Errorf("%s: the log says %q, want one line with %q and the reason", row.name, out, row.says)
		}
	}
}

// A name that was given and is not there counts also behind all those that have series of their own.
func TestLinesBehindTheLastSeries(t *testing.T) {
	l, _ := testLines(t, "ppp*,zzz0", true)
	var all []netif.Interface
	for i := range maxTold + 1 {
		all = append(all, iface(i+1, fmt.Sprintf("ppp%d", i)))
	}
	l.start(all)
	l.begin(&recorder{promiscuous: map[int]bool{}})
	if got := len(l.interfaces()); got != maxTold {
		t.Errorf("%d interfaces have series, want %d", got, maxTold)
	}
	if !l.absent() {
		t.Error("zzz0 does not exist and is not missed")
	}
	l.update(given(append(all, iface(maxTold+2, "zzz0"))))
	if l.absent() {
		t.Error("zzz0 is missed although it is there")
	}
}
