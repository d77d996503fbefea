package netif

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
)

// audience hears what a Monitor announces.
type audience struct {
	t     *testing.T
	mu    sync.Mutex
	heard listener
	calls []time.Time
	all   []Change
	slow  time.Duration // what each call takes
}

func (a *audience) announce(changes []Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	time.Sleep(a.slow)
	if len(changes) == 0 {
		a.t.Error("an announcement of nothing")
	}
	a.calls = append(a.calls, time.Now())
	a.all = append(a.all, changes...)
	a.heard.hear(a.t, changes)
}

// since returns the changes after the first n.
func (a *audience) since(n int) []Change {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all[n:])
}

const (
	never  = time.Hour // no list for want of any other reason
	little = 1         // the kernel makes it the least there is
)

// monitorIn starts a Monitor in the namespace.
func monitorIn(t *testing.T, ns *lab.NS, room int, refresh time.Duration) (*Monitor, *audience) {
	t.Helper()
	a := &audience{t: t, heard: listener{}}
	var m *Monitor
	do(t, ns, func() (err error) {
		m, err = newMonitor(context.Background(), a.announce, room, refresh)
		return err
	})
	t.Cleanup(m.Close)
	return m, a
}

// listOf returns what the kernel has now, without statistics, by index.
func listOf(t *testing.T, ns *lab.NS) (all []Interface) {
	t.Helper()
	do(t, ns, func() (err error) {
		all, err = List()
		return err
	})
	for n := range all {
		all[n].HasStats, all[n].Stats = false, Stats{}
	}
	slices.SortFunc(all, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

// agrees waits until the Monitor, and whoever heard its announcements, have what the kernel has.
func agrees(t *testing.T, ns *lab.NS, m *Monitor, a *audience) {
	t.Helper()
	want := listOf(t, ns)
	var got, heard []Interface
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got = m.All()
		a.mu.Lock()
		heard = slices.SortedFunc(maps.Values(a.heard), func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
		a.mu.Unlock()
		if slices.Equal(got, want) && slices.Equal(heard, want) {
			for _, i := range want {
				if one, ok := m.ByIndex(i.Index); !ok || one != i {
					t.Errorf("by index: %+v, %v; want %+v", one, ok, i)
				}
			}
			return
		}
	}
	t.Errorf("after %v it has %d interfaces and has announced %d, there are %d", patience, len(got), len(heard), len(want))
	for _, has := range [][]Interface{got, heard} {
		for _, i := range slices.Concat(has, want) {
			if slices.Contains(has, i) != slices.Contains(want, i) {
				t.Fatalf("%+v: it has it: %v, there is one: %v", i, slices.Contains(has, i), slices.Contains(want, i))
			}
		}
	}
	t.FailNow()
}

// What is there at the start is in the first announcement.
func TestMonitorBegins(t *testing.T) {
	ns := lab.New(t).A
	m, a := monitorIn(t, ns, roomWanted, never)
	if got, want := m.All(), listOf(t, ns); !slices.Equal(got, want) || len(got) < 2 {
		t.Errorf("it has %+v, want %+v", got, want)
	}
	agrees(t, ns, m, a)
	if len(a.calls) != 1 {
		t.Errorf("%d announcements, want 1", len(a.calls))
	}
	if i, ok := m.ByIndex(1 << 20); ok {
		t.Errorf("an interface that does not exist: %+v", i)
	}
}

// Each kind of change is announced as what it is.
func TestMonitorAnnounces(t *testing.T) {
	l := lab.New(t)
	ns := l.A
	ns.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	m, a := monitorIn(t, ns, roomWanted, never)
	agrees(t, ns, m, a)
	had := func(c Change, was, is func(Interface) bool) bool { return is(c.New) && was(c.Old) }
	up := func(i Interface) bool { return i.Up }
	down := func(i Interface) bool { return i.Index != 0 && !i.Up }
	mtu := func(n uint32) func(Interface) bool { return func(i Interface) bool { return i.MTU == n } }
	for _, c := range []struct {
		argv string
		is   func(Change) bool
	}{
		{"link add name x0 index 77 type bridge", func(c Change) bool { return c.Added() && c.New.Name == "x0" && c.New.Index == 77 }},
		{"link set x0 up", func(c Change) bool { return had(c, down, up) }},
		{"link set x0 mtu 1400", func(c Change) bool { return had(c, mtu(1500), mtu(1400)) }},
		{"link set x0 down", func(c Change) bool { return had(c, up, down) }},
		{"link set x0 name x1", func(c Change) bool { return c.Renamed() && c.Old.Name == "x0" && c.New.Name == "x1" }},
		{"link del x1", func(c Change) bool { return c.Gone() && c.Old.Name == "x1" }},
		{"tuntap add mode tun name t0", func(c Change) bool { return c.Added() && c.New.Hatype == unix.ARPHRD_NONE }},
		{"link set t0 netns " + l.B.Name, func(c Change) bool { return c.Gone() && c.Old.Name == "t0" }},
	} {
		before := len(a.since(0))
		ns.Run(t, "ip", strings.Fields(c.argv)...)
		agrees(t, ns, m, a)
		if got := a.since(before); !slices.ContainsFunc(got, c.is) {
			t.Errorf("ip %s: announced as %+v", c.argv, got)
		}
	}
	// Messages of the bridge about its port are not about the interface: one says that it is deleted.
	before := len(a.since(0))
	ns.Run(t, "ip", "link", "set", lab.IfName, "master", "br0")
	ns.Run(t, "ip", "link", "set", lab.IfName, "nomaster")
	ns.Run(t, "ip", "link", "set", "br0", "mtu", "1300") // comes after them
	for len(a.since(before)) == 0 {
		time.Sleep(time.Millisecond)
	}
	if slices.ContainsFunc(a.since(before), func(c Change) bool { return c.Old.Name == lab.IfName }) {
		t.Errorf("a port that leaves its bridge: %+v", a.since(before))
	}
	agrees(t, ns, m, a)
}

// burst is for ip -batch: 300 interfaces of all kinds that need no module are made, renamed, set up and in part
// deleted again, some one by one and some at once.
func burst() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for n := range 75 {
		line("link add name b%d group %d type bridge", n, 1+n%2)
		line("link add name v%d group %d type veth peer name w%d", n, 1+n%2, n)
		line("tuntap add mode tap name t%d", n)
		line("link set t%d group 2", n)
	}
	for n := range 75 {
		line("link set b%d name c%d", n, n)
		line("link set c%d up", n)
		line("link set v%d mtu %d", n, 1000+n)
		line("link set v%d up", n)
	}
	for n := range 5 {
		line("link del c%d", n)
		line("link del w%d", n)
	}
	line("link del group 1")
	return b.String()
}

// clean deletes what burst has left.
const clean = "link del group 2"

func batch(t *testing.T, ns *lab.NS, lines string) {
	t.Helper()
	cmd := ns.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v: %s", err, out)
	}
}

// After bursts of changes the Monitor has what the kernel has: by messages alone, by lists where the socket has no room
// for messages or announcements take long, and with lists and messages at once.
func TestMonitorKeepsUpWithBursts(t *testing.T) {
	for _, c := range []struct {
		name    string
		room    int
		refresh time.Duration
		slow    time.Duration
		lists   bool // more than the first one are needed
	}{
		{"messages", roomWanted, never, 0, false},
		{"no room", little, never, 0, true},
		{"slow", 64 << 10, never, 150 * time.Millisecond, true},
		{"lists all the time", roomWanted, 2 * time.Millisecond, 0, true},
		{"lists all the time, no room", little, 2 * time.Millisecond, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := lab.New(t).A
			m, a := monitorIn(t, ns, c.room, c.refresh)
			a.mu.Lock()
			a.slow = c.slow
			a.mu.Unlock()
			batch(t, ns, burst())
			agrees(t, ns, m, a)
			batch(t, ns, clean)
			agrees(t, ns, m, a)
			m.Close()
			if c.lists && m.seq < 2 {
				t.Error("no list was asked for but the first: the test is not of what it says")
			}
			for n := 1; n < len(a.calls); n++ {
				if pause := a.calls[n].Sub(a.calls[n-1]); pause < announcePause*3/4 { // the clock is read elsewhere
					t.Errorf("announcements within %v", pause)
				}
			}
			t.Logf("%d changes in %d announcements, %d lists", len(a.all), len(a.calls), m.seq)
		})
	}
}

// The kernel drops messages without a word from an overflow to the end of the queue: a list that is asked for before
// that could be out of date. The test runs the Monitor by hand.
func TestMonitorAsksAtTheEndOfTheQueue(t *testing.T) {
	ns := lab.New(t).A
	var m *Monitor
	do(t, ns, func() (err error) {
		m, err = openMonitor(func([]Change) {}, little, never)
		return err
	})
	defer m.file.Close()
	now := time.Now()
	work := func() { // when the next list may come
		t.Helper()
		now = now.Add(listPause)
		if err := m.work(now); err != nil {
			t.Fatal(err)
		}
	}
	receive := func() {
		t.Helper()
		if err := m.receive(); err != nil {
			t.Fatal(err)
		}
	}
	for work(); m.listing; {
		receive()
	}
	setMTU := func(mtu string) {
		ns.Run(t, "sh", "-c", "for i in "+mtu+"; do echo link set "+lab.IfName+" mtu $i; done | ip -batch -")
	}
	setMTU("$(seq 1300 1330)")
	for !m.congested {
		receive()
	}
	setMTU("1400")
	for m.congested {
		if work(); m.listing {
			t.Fatal("a list is asked for while the kernel drops messages")
		}
		receive()
	}
	has := func(mtu uint32) bool {
		return slices.ContainsFunc(m.All(), func(i Interface) bool { return i.MTU == mtu })
	}
	if !m.stale || has(1400) {
		t.Errorf("after the overflow: a list is needed %v; there was a message of the last change: %v", m.stale, has(1400))
	}
	for work(); m.listing; {
		receive()
	}
	if !has(1400) {
		t.Errorf("after the list it has %+v", m.All())
	}
}

// A change that no message tells of is found by the list that comes in any case.
func TestMonitorFindsWhatNoMessageTells(t *testing.T) {
	ns := lab.New(t).A
	m, a := monitorIn(t, ns, roomWanted, 50*time.Millisecond)
	agrees(t, ns, m, a)
	var err error
	if e := m.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, unix.RTNLGRP_LINK)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	ns.Run(t, "ip", "link", "add", "x0", "type", "bridge")
	agrees(t, ns, m, a)
	ns.Run(t, "ip", "link", "del", "x0")
	agrees(t, ns, m, a)
}

// A change is announced soon. The bound leaves room for a busy machine.
func TestMonitorIsQuick(t *testing.T) {
	const bound = time.Second
	ns := lab.New(t).A
	m, a := monitorIn(t, ns, roomWanted, never)
	agrees(t, ns, m, a)
	var took []time.Duration
	for n := range 10 {
		time.Sleep(2 * announcePause)
		before := len(a.since(0))
		at := time.Now()
		ns.Run(t, "ip", "link", "set", lab.IfName, "mtu", fmt.Sprint(1400+n))
		for len(a.since(before)) == 0 && time.Since(at) < patience {
			time.Sleep(100 * time.Microsecond)
		}
		a.mu.Lock()
		took = append(took, a.calls[len(a.calls)-1].Sub(at))
		a.mu.Unlock()
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > bound {
		t.Errorf("announced %v after ip(8) was started, want less than %v", median, bound)
	}
	t.Log(took)
}

// Close and the end of the context end all of it, and leave nothing behind.
func TestMonitorEnds(t *testing.T) {
	ns := lab.New(t).A
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	monitor := func(ctx context.Context) (m *Monitor, err error) {
		return m, ns.Do(func() (err error) {
			m, err = NewMonitor(ctx, func([]Change) {})
			return err
		})
	}
	ends := func(how string, m *Monitor, want error) {
		t.Helper()
		select {
		case <-m.Done():
		case <-time.After(patience):
			t.Fatalf("%s does not end it", how)
		}
		if err := m.Err(); !errors.Is(err, want) {
			t.Errorf("after %s: %v, want %v", how, err, want)
		}
		if len(m.All()) == 0 {
			t.Errorf("after %s it has no interfaces any more", how)
		}
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := monitor(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m.Err() != nil {
			t.Error("an error while it runs")
		}
		cancel()
		ends("the end of the context", m, context.Canceled)
		if m, err := monitor(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v, %v", m, err)
		}
		if m, err = monitor(context.Background()); err != nil {
			t.Fatal(err)
		}
		m.Close()
		m.Close()
		ends("Close", m, context.Canceled)
		broken, err := newMonitor(context.Background(), func([]Change) {}, roomWanted, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if e := broken.raw.Control(func(fd uintptr) { err = unix.Dup3(int(null.Fd()), int(fd), unix.O_CLOEXEC) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		_ = null.Close() // it was read only
		ends("something else in place of its socket", broken, unix.ENOTSOCK)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || descriptors() > files; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d", runtime.NumGoroutine(), descriptors(), goroutines, files)
		}
	}
}

// What the messages of the kernel do to a Monitor, in an order that cannot be had from the kernel at will.
func TestMonitorReads(t *testing.T) {
	const port, seq = 4711, testSeq
	br0 := bridge(2, "br0")
	link := func(family byte, mtu uint32, attrs ...[]byte) []byte {
		b := info(1, 2, 0, append(attrs, attr(ifName, []byte("br0\x00")), attr(ifMTU, u32(mtu)))...)
		b[0] = family
		return b
	}
	deleted := func(family byte) []byte {
		return datagram(unix.RTM_DELLINK, 0, 0, link(family, 1500))
	}
	answer := func(b []byte) []byte { // to this socket
		for rest := b; len(rest) > 0; {
			size := int(binary.NativeEndian.Uint32(rest))
			copy(rest[12:], u32(port))
			rest = rest[min(align(size), len(rest)):]
		}
		return b
	}
	end := func(flags uint16) []byte { return answer(datagram(netlinkDone, multi|flags, seq, u32(0))) }
	other := br0
	other.MTU = 1400
	for _, c := range []struct {
		name  string
		in    []byte // while a list is read; before that there is br0
		want  []Interface
		stale bool // another list is asked for
	}{
		{"a change", datagram(newLink, 0, 0, link(0, 1400)), []Interface{other}, false},
		{"a change with the number of the list, made by another socket", datagram(newLink, 0, seq, link(0, 1400)), []Interface{other}, false},
		{"a deletion", deleted(unix.AF_UNSPEC), nil, false},
		{"a port that leaves a bridge", deleted(unix.AF_BRIDGE), []Interface{br0}, false},
		{"a port's change", datagram(newLink, 0, 0, link(unix.AF_BRIDGE, 1400)), []Interface{br0}, false},
		{"a wireless event", datagram(newLink, 0, 0, info(1, 2, 0, attr(ifName, []byte("br0\x00")), attr(11, u32(0)))), []Interface{br0}, false},
		{"a list without it", end(0), nil, false},
		{"an interrupted list without it", end(dumpIntr), []Interface{br0}, true},
		{"a list that says otherwise", append(answer(datagram(newLink, multi, seq, link(0, 1400))), end(0)...), []Interface{other}, false},
		{"a list that was given up", append(answer(datagram(newLink, multi, seq-1, link(0, 1400))), answer(datagram(netlinkDone, multi, seq-1, u32(0)))...), []Interface{br0}, false},
		{"a list that the kernel gives up", answer(datagram(netlinkDone, multi, seq, u32(^uint32(unix.EMSGSIZE-1)))), []Interface{br0}, true},
		{"a list that the kernel refuses", answer(datagram(netlinkError, 0, seq, u32(^uint32(unix.EBUSY-1)))), []Interface{br0}, true},
		{"a malformed message, then the end of the list", append(answer(datagram(newLink, multi, seq, []byte{0})), end(0)...), []Interface{br0}, true},
		{"a malformed change", datagram(newLink, 0, 0, []byte{0}), []Interface{br0}, true},
		{"half a message", make([]byte, 15), []Interface{br0}, true},
		{"a change, then an older part of the list", slices.Concat(datagram(newLink, 0, 0, link(0, 1400)), answer(datagram(newLink, multi, seq, link(0, 1500))), end(0)),
			[]Interface{other}, false},
		{"messages of something else", datagram(unix.RTM_NEWADDR, 0, 0, make([]byte, 8)), []Interface{br0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &Monitor{links: newLinks(), port: port, seq: seq, listing: true, ready: true}
			m.links.set(&br0)
			m.links.beginList()
			if err := m.read(c.in); err != nil {
				t.Fatal(err)
			}
			if got := m.All(); !slices.Equal(got, c.want) || m.stale != c.stale {
				t.Errorf("%+v, another list: %v; want %+v, %v", got, m.stale, c.want, c.stale)
			}
		})
	}
	full := &Monitor{links: newLinks(), port: port, seq: seq, listing: true}
	if err := full.read(answer(datagram(netlinkError, 0, seq, u32(^uint32(unix.ENOBUFS-1))))); err != nil || !full.stale {
		t.Errorf("the first list finds no room: %v, another one: %v; want nil and true", err, full.stale)
	}
	first := &Monitor{links: newLinks(), port: port, seq: seq, listing: true}
	if err := first.read(answer(datagram(netlinkError, 0, seq, u32(^uint32(unix.EPERM-1))))); !errors.Is(err, unix.EPERM) {
		t.Errorf("the first list is refused: %v, want %v", err, unix.EPERM)
	}
}
