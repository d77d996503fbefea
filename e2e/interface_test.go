package e2e

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	// resumeWithin is how soon after the interface is there again its packets are counted.
	resumeWithin = 2 * time.Second
	// recaptured is how soon after it is made again an interface is captured: about 5 ms on a machine at rest.
	recaptured = 250 * time.Millisecond
	// awayTime is how long the exporter is watched while the interface is away, and awayShare
	// how much of a processor it may take meanwhile. A loop that spins takes all of one.
	awayTime  = 2 * time.Second
	awayShare = 0.10
)

var (
	packetsTotal = "capture_packets_processed_total"
	reopensTotal = "tcp_stream_exporter_ring_reopened_total"
	interfaceUp  = lab.Key("tcp_stream_exporter_interface_up", "interface", lab.IfName)
)

// While packets come, the interface goes away and comes back in every way there is. Capture
// resumes, streams and counters stay, and the log, a gauge and a counter show it.
func TestInterfaceLife(t *testing.T) {
	t.Parallel() // mostly it waits
	f := newLife(t)
	for _, event := range []struct {
		name string
		away func(*testing.T) // takes the interface away; nil: it is away for a moment only
		back func(*testing.T)
		idle bool // watch the exporter while it is away
		// misses is the most packets that may arrive uncounted at the interface that is back. None is held
		// against what other packet sockets get, the rest against the interface's own counter, which
		// begins anew with the interface.
		misses float64
	}{
		{"down and up", f.ip("link set veth0 down"), f.ip("link set veth0 up"), true, 0},
		{"down and up at once", nil, f.ip("link set veth0 down", "link set veth0 up"), false, 0},
		{"deleted and made again", f.ip("link del veth0"), f.makeVeth, true, recaptured.Seconds() * beats},
		{"down, deleted and made again", f.ip("link set veth0 down", "link del veth0"), f.makeVeth, false, recaptured.Seconds() * beats},
		{"deleted and made again at once", nil, f.replaceVeth, false, math.Inf(1)},
		{"renamed and back", f.rename("veth0", "other0"), f.rename("other0", "veth0"), true, math.Inf(1)},
		{"renamed in silence, and another in its place", nil, f.supersede, false, math.Inf(1)},
	} {
		t.Run(event.name, func(t *testing.T) {
			wentAway, cameBack := f.lines()
			reopens := f.last[reopensTotal]
			came := f.arrived
			if event.misses == 0 {
				came = countDelivered(t, f.l.A).packets
			}
			arrived, counted := came(t), f.last[packetsTotal]
			f.beat.resume()
			if event.away != nil {
				event.away(t)
				f.gone(t)
				if event.idle {
					f.idle(t)
				}
				f.Settle(t) // what came before is counted
				arrived, counted = came(t), f.scrape(t)[packetsTotal]
			}
			event.back(t)
			f.resumed(t, reopens+1)
			f.settle(t)

			if !math.IsInf(event.misses, 1) {
				missed := came(t) - arrived - (f.last[packetsTotal] - counted)
				t.Logf("%v packets arrived uncounted: %v", missed, time.Duration(missed)*beatEvery)
				if missed < 0 || missed > event.misses {
					t.Errorf("%v packets arrived uncounted, want 0 to %v", missed, event.misses)
				}
			}
			if got := f.last[reopensTotal] - reopens; got != 1 {
				t.Errorf("%s grew by %v, want 1", reopensTotal, got)
			}
			if a, b := f.lines(); a-wentAway != 1 || b-cameBack != 1 {
				t.Errorf("%d lines of the interface going away and %d of it coming back, want one each", a-wentAway, b-cameBack)
			}
			f.kept(t)
		})
	}

	t.Run("another MTU", func(t *testing.T) {
		wentAway, cameBack := f.lines()
		came := countDelivered(t, f.l.A).packets
		before, arrived := f.last, came(t)
		f.beat.resume()
		for _, mtu := range []string{"1400", "9000", "1500"} {
			f.ip("link set veth0 mtu " + mtu)(t)
			time.Sleep(200 * time.Millisecond)
		}
		f.settle(t)
		all := came(t) - arrived
		if missed := all - (f.last[packetsTotal] - before[packetsTotal]); missed != 0 || all == 0 {
			t.Errorf("%v packets of %v are not counted, want none", missed, all)
		}
		if a, b := f.lines(); a != wentAway || b != cameBack || f.last[reopensTotal] != before[reopensTotal] || f.last[interfaceUp] != 1 {
			t.Errorf("the interface is taken for having been away: %s %v, %s %v", reopensTotal, f.last[reopensTotal], interfaceUp, f.last[interfaceUp])
		}
		f.kept(t)
	})
}

// life follows one exporter through the life of its interface.
type life struct {
	*lab.Exporter
	l     *lab.Lab
	beat  *beat
	known lab.Flow    // a stream of before
	bytes float64     // what it transferred
	last  lab.Metrics // the newest scrape: no counter may fall behind it
}

func newLife(t *testing.T, flags ...string) *life {
	t.Helper()
	l := lab.New(t)
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	f := &life{Exporter: l.A.StartExporter(t, binary(t), append(flags, "-interface", lab.IfName)...), l: l}
	if err := c.exchange(s, 1000, 1_000_000); err != nil {
		t.Fatal(err)
	}
	f.last = f.Settle(t)
	_, f.known = s.with(t, c)
	f.bytes = of(t, f.last, f.known, "tcp_bytes_transferred_total")
	f.beat = startBeat(t, l.B)
	f.resumed(t, 0)
	f.settle(t)
	return f
}

// beats a second.
const beats = float64(time.Second / beatEvery)

// ip returns a function that runs commands of ip(8) in A, one right behind the other.
func (f *life) ip(commands ...string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		f.l.A.Run(t, "sh", "-c", "ip "+strings.Join(commands, " && ip "))
	}
}

// rename gives the interface another name. Kernels before 6.2 do that while it is down only.
func (f *life) rename(from, to string) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		rename := fmt.Sprintf("ip link set %s name %s", from, to)
		f.l.A.Run(t, "sh", "-c", fmt.Sprintf("%s || { ip link set %s down && %[1]s && ip link set %s up; }", rename, from, to))
	}
}

// makeVeth makes the pair again. The kernel gives no index twice.
func (f *life) makeVeth(t *testing.T) {
	t.Helper()
	f.l.A.Run(t, "ip", "link", "add", lab.IfName, "type", "veth", "peer", "name", lab.IfName, "netns", f.l.B.Name)
	f.l.B.Run(t, "ip", "link", "set", lab.IfName, "up")
	f.l.A.Run(t, "ip", "link", "set", lab.IfName, "up")
}

func (f *life) replaceVeth(t *testing.T) {
	t.Helper()
	f.ip("link del " + lab.IfName)(t)
	f.makeVeth(t)
}

// supersede gives the interface another name while nothing comes and nobody asks, so that only who
// looks finds out, and makes another pair under its own.
func (f *life) supersede(t *testing.T) {
	t.Helper()
	f.beat.pause()
	time.Sleep(3 * time.Second / 2) // all that there is to say of the last packets has been said
	_, cameBack := f.lines()
	f.rename(lab.IfName, "old0")(t)
	f.l.B.Run(t, "ip", "link", "set", lab.IfName, "down")
	f.l.B.Run(t, "ip", "link", "set", lab.IfName, "name", "old0")
	f.makeVeth(t)
	t.Cleanup(func() { f.l.A.Run(t, "ip", "link", "del", "old0") })
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, n := f.lines(); n > cameBack {
			break
		}
		if time.Since(begin) > resumeWithin {
			t.Fatalf("the log says nothing of the new interface after %v", time.Since(begin))
		}
	}
	f.beat.resume()
}

// lines returns how often the log has the interface going away, and coming back.
func (f *life) lines() (away, back int) {
	out := f.Output()
	return strings.Count(out, "the interface went away"), strings.Count(out, "capturing again")
}

// scrape scrapes, and wants no counter to be less than at the last scrape, or to be missing.
func (f *life) scrape(t *testing.T) lab.Metrics {
	t.Helper()
	m := f.Scrape(t)
	for key, before := range f.last {
		name, _, _ := strings.Cut(key, "{")
		if !strings.HasSuffix(name, "_total") {
			continue
		}
		now, ok := m[key]
		if !ok { // the state is a label
			now, ok = m[strings.Replace(key, `state="active"`, `state="finalized"`, 1)]
		}
		if !ok || now < before {
			t.Errorf("%s is %v (there: %v) and was %v", key, now, ok, before)
		}
	}
	f.last = m
	return m
}

// gone waits until the exporter reports that the interface is away.
func (f *life) gone(t *testing.T) {
	t.Helper()
	begin := time.Now()
	for f.scrape(t)[interfaceUp] != 0 {
		if time.Since(begin) > resumeWithin {
			t.Fatalf("%s is still 1 after %v", interfaceUp, time.Since(begin))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("noticed within %v", time.Since(begin))
}

// idle watches how busy the exporter is.
func (f *life) idle(t *testing.T) {
	t.Helper()
	busy := processor(t, f.PID())
	time.Sleep(awayTime)
	share := busy()
	t.Logf("%.2f%% of a processor for %v without the interface", 100*share, awayTime)
	if share > awayShare {
		t.Errorf("%.1f%% of a processor while the interface is away, want at most %v%%", 100*share, 100*awayShare)
	}
}

// resumed waits until the interface is said to be back, and beats that came after that are counted.
func (f *life) resumed(t *testing.T, reopens float64) {
	t.Helper()
	begin := time.Now()
	bytes := func() float64 { return f.last[f.beat.flow.Key("tcp_bytes_transferred_total", "active")] }
	before := -1.0
	for {
		f.scrape(t)
		if back := f.last[interfaceUp] == 1 && f.last[reopensTotal] == reopens; back && before < 0 {
			before = bytes()
		} else if back && bytes() > before {
			t.Logf("resumed after %v", time.Since(begin))
			return
		}
		if time.Since(begin) > resumeWithin {
			t.Fatalf("not resumed after %v: %s %v, %s %v, %v bytes of %v", time.Since(begin), interfaceUp, f.last[interfaceUp],
				reopensTotal, f.last[reopensTotal], bytes(), f.beat.flow)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// settle pauses the beat and waits until all of it is counted.
func (f *life) settle(t *testing.T) {
	t.Helper()
	f.beat.pause()
	f.Settle(t)
	f.scrape(t)
}

// arrived returns the kernel's count of packets that arrived at the interface; 0 if there is none.
func (f *life) arrived(t *testing.T) float64 {
	t.Helper()
	text := f.l.A.Run(t, "sh", "-c", "cat /sys/class/net/veth0/statistics/rx_packets || echo 0")
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kept wants nothing to be dropped and the stream of before to be as it was.
func (f *life) kept(t *testing.T) {
	t.Helper()
	nothingDropped(t, f.last)
	if got := of(t, f.last, f.known, "tcp_bytes_transferred_total"); got != f.bytes {
		t.Errorf("%v has %v bytes now and had %v: it is to be kept", f.known, got, f.bytes)
	}
}

// The interface has just been deleted, and what the ring still holds is being waited for: the end
// comes as soon as ever.
func TestStopsAfterTheInterfaceVanished(t *testing.T) {
	t.Parallel() // mostly it waits
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	l.A.Run(t, "ip", "link", "del", lab.IfName)
	time.Sleep(50 * time.Millisecond)
	if status, after := e.Stop(t, syscall.SIGTERM); status != 0 || after > time.Second {
		t.Errorf("exit status %d after %v, want 0 within a second", status, after)
	} else {
		t.Logf("ended %v after SIGTERM", after)
	}
}
