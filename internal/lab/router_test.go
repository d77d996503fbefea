package lab

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/netns"
)

// A delay is on its side of the router, for as long as it was asked for.
func TestRouterDelay(t *testing.T) {
	t.Parallel() // mostly it waits
	const client, server = 6 * time.Millisecond, 30 * time.Millisecond
	r := NewRouter(t, RouterConfig{ClientDelay: client, ServerDelay: server})
	for _, row := range []struct {
		from, to *NS
		least    time.Duration
	}{{r.A, r.M, client}, {r.B, r.M, server}, {r.A, r.B, client + server}} {
		ln, err := row.to.Listen("tcp4", netip.AddrPortFrom(row.to.Addr, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		best := time.Hour // the machine may be busy
		for range 5 {
			begin := time.Now()
			c, err := row.from.Dial(t.Context(), "tcp4", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
			c.Close()
		}
		if best < row.least || best > row.least+5*time.Millisecond { // the shortest delay is 6 ms
			t.Errorf("from %s to %s connecting takes %v, want %v", row.from.Name, row.to.Name, best, row.least)
		}
	}
	gotClient, gotServer := r.RoundTrips()
	t.Logf("the links took %v and %v", gotClient, gotServer)
	if gotClient < client || gotServer < server {
		t.Errorf("the links took %v and %v, want %v and %v", gotClient, gotServer, client, server)
	}
}

// A transfer passes the router however it is built, and goes the way that it is to go.
func TestRouter(t *testing.T) {
	for _, c := range []RouterConfig{
		{}, {NAT: true}, {Bridge: true},
		{Around: Dot1Q}, {Around: QinQ}, {Around: PPPoE}, {Around: MPLS}, {NAT: true, Bridge: true, Around: PPPoE},
	} {
		for _, on := range []bool{true, false} {
			t.Run(fmt.Sprintf("nat=%v/bridge=%v/around=%v/offloads=%v", c.NAT, c.Bridge, c.Around, on), func(t *testing.T) {
				r := NewRouter(t, c)
				r.Offloads(t, on)
				var onWire func() (around, others int64)
				if c.Around != Plain {
					onWire = watchWire(t, r.M, c.Around)
				}
				forwarded := r.M.Counters(t)["IpForwDatagrams"]
				const connections, forth, back = 3, 200_000, 100_001
				got := Transfer{From: r.A, To: r.B, Connections: connections, Forth: forth, Back: back}.Run(t)
				if got.Forth != connections*forth || got.Back != connections*back {
					t.Errorf("%d and %d bytes, want %d and %d", got.Forth, got.Back, connections*forth, connections*back)
				}
				seenAs := r.A.Addr
				if c.NAT {
					seenAs = r.M.Addr
				}
				all := func(got []netip.AddrPort, want netip.Addr) bool {
					return len(got) == connections && !slices.ContainsFunc(got, func(a netip.AddrPort) bool { return a.Addr() != want })
				}
				if !all(got.SeenAs, seenAs) || !all(got.Clients, r.A.Addr) {
					t.Errorf("clients %v, want %v; to the server they are %v, want %v", got.Clients, r.A.Addr, got.SeenAs, seenAs)
				}
				// No segment is longer than a super-packet of 64 KiB.
				if n := r.M.Counters(t)["IpForwDatagrams"] - forwarded; n < connections*(forth+back)>>16 {
					t.Errorf("the router forwarded %d packets", n)
				}
				folder := "/sys/class/net/" + BridgeName + "/brif"
				ports := strings.Fields(r.M.Run(t, "sh", "-c", "[ ! -e "+folder+" ] || ls "+folder))
				if c.Bridge != slices.Contains(ports, towardsA) || c.Bridge != slices.Contains(ports, sparePort) {
					t.Errorf("ports of the bridge: %q", ports)
				}
				if onWire != nil {
					const least = connections * (forth + back) / wireMTU
					if around, others := onWire(); around < least || others != 0 {
						t.Errorf("%d frames on the wire have the header and %d have not; want %d or more, and none", around, others, least)
					}
				}
				t.Logf("%d segments sent again", got.RetransSegs)
			})
		}
	}
}

// watchWire counts frames on the router's end of the wire, in both directions, by whether they have the header.
func watchWire(t *testing.T, ns *NS, e Encapsulation) (counts func() (around, others int64)) {
	t.Helper()
	var file *os.File
	err := ns.Do(func() (err error) {
		if file, err = openWire(); err != nil {
			return err
		}
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		if e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 0)
		}); e != nil {
			return e
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var around, others atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		_ = readWire(file, func(frame []byte) error { // until it is closed
			if _, err := e.take(frame); err != nil {
				others.Add(1)
				return nil
			}
			around.Add(1)
			return nil
		})
	})
	end := func() {
		_ = file.Close() // again, at the end of the test
		running.Wait()
	}
	t.Cleanup(end)
	return func() (int64, int64) {
		for n := int64(-1); n != around.Load()+others.Load(); time.Sleep(50 * time.Millisecond) { // what is queued
			n = around.Load() + others.Load()
		}
		end()
		return around.Load(), others.Load()
	}
}

// Segments that are sent again are counted, and nothing is left of the router.
func TestRouterLosesAndEnds(t *testing.T) {
	need.Root(t)
	need.Tool(t, "tc")
	var names []string
	t.Run("router", func(t *testing.T) {
		r := NewRouter(t, RouterConfig{Around: QinQ})
		r.Offloads(t, false)
		names = []string{r.A.Name, r.B.Name, r.M.Name}
		if r.A.RetransSegs(t) != 0 {
			t.Error("segments were sent again before any was sent")
		}
		// One frame at a time leaves, and few wait: a window of segments finds no place.
		r.A.Run(t, "tc", "qdisc", "add", "dev", IfName, "root", "tbf", "rate", "20mbit", "burst", "1600", "limit", "6000")
		got := Transfer{From: r.A, To: r.B, Forth: 300_000}.Run(t)
		if got.RetransSegs == 0 || got.RetransSegs != r.A.RetransSegs(t)+r.B.RetransSegs(t) {
			t.Errorf("%d segments sent again, by the counters %d and %d", got.RetransSegs, r.A.RetransSegs(t), r.B.RetransSegs(t))
		}
	})
	for _, name := range names {
		if netns.Exists(name) {
			t.Errorf("namespace %s is there after the test", name)
		}
	}
	if len(names) == 0 {
		t.Fatal("no router was made")
	}
}
