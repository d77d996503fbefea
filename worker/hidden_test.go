package worker

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// toIPv6 returns an endpoint in IPv6 whose address tells which one it stands for.
func toIPv6(p netip.AddrPort) netip.AddrPort {
	b := netip.MustParseAddr("2001:db8::").As16()
	v4 := p.Addr().As4()
	copy(b[12:], v4[:])
	return netip.AddrPortFrom(netip.AddrFrom16(b), p.Port())
}

// snapshotOf returns the streams of a worker as text, in order.
func snapshotOf(t *testing.T, w *Worker, hidden bool) (all []string) {
	t.Helper()
	s := Snapshot{WithHidden: hidden, WithExtras: true}
	defer s.Close()
	if err := w.Snapshot(&s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Views {
		v := s.Views[i]
		ends := v.Ends(s.Wide)
		v.SetEnds(stream.Ends{Src: parse.AddrFrom4(0), Dst: parse.AddrFrom4(0)}, nil) // where they stand is no figure
		e := s.Extras[i]
		e.RTTSum, e.Wire, e.Repeated, e.RTTs, e.SYNs, e.MSS = 0, 0, 0, 0, 0, 0 // which not all workers of a test have
		all = append(all, fmt.Sprintf("%v %v %+v %+v", ends.Src.Netip(), ends.Dst.Netip(), v, e))
	}
	slices.Sort(all)
	return all
}

// rowsOf returns the combinations of a worker by their keys.
func rowsOf(w *Worker) []group.Row {
	var r group.Reading
	w.Groups(&r)
	slices.SortFunc(r.Rows, func(a, b group.Row) int {
		return cmp.Or(cmp.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)))
	})
	return r.Rows
}

// TestHiddenIPv6 sends the same traffic, half of it in IPv6, to three workers: one that hides IPv6, one that has it among
// the streams, and one that skips it. Groups and readers that ask for hidden streams find with the first what they find
// with the second; all others find what the third has, totals and counters included.
func TestHiddenIPv6(t *testing.T) {
	for _, optional := range []bool{false, true} {
		t.Run(fmt.Sprint("optional=", optional), func(t *testing.T) {
			t.Parallel()
			sets := setsOfTest(t)
			cfg := Config{
				MaxConnections: 2000, StreamAge: 5 * time.Second, FinalizedAge: 700 * time.Millisecond, SynAge: 2 * time.Second,
				Optional: optional, GroupMax: 64, GroupMaxSubnets: 64, Groups: sets[1],
			}
			g := newGroupTest(t, 46, 400, cfg)
			for i := range g.tuples {
				if i%2 == 0 {
					g.tuples[i].client, g.tuples[i].server = toIPv6(g.tuples[i].client), toIPv6(g.tuples[i].server)
				}
			}
			hides := g.w
			cfg.IPv6, cfg.Optional = true, !optional
			has := newWorker(t, cfg)
			cfg.IPv6, cfg.Optional, cfg.GroupMax, cfg.GroupMaxSubnets, cfg.Groups = false, optional, 0, 0, nil
			skips := newWorker(t, cfg)
			all := []*Worker{hides, has, skips}
			packets6 := uint64(0)
			for n := range 40_000 {
				x := &g.tuples[g.r.IntN(len(g.tuples))]
				p := g.draw(x)
				g.now += 1 + g.r.Int64N(2e5)
				frame := p.Ethernet()
				if g.r.IntN(50) == 0 {
					p.Payload = 64
					frame, _ = p.Fragments(40)
				}
				if p.Src.Addr().Is6() {
					packets6++
				}
				for _, w := range all {
					w.Frame(parse.LinkEthernet, frame, uint32(len(frame)), g.now)
				}
				if g.r.IntN(1000) == 0 {
					g.now += 3 * sec
				}
				set := sets[g.r.IntN(len(sets))]
				for _, w := range all {
					w.Tick(g.now)
					for w.Expire(100) {
					}
					if n%3000 == 0 {
						w.SetGroups(set)
					}
					for n%3000 == 0 && w.Regroup() {
					}
				}
				if n%2000 != 0 {
					continue
				}
				if a, b := snapshotOf(t, hides, false), snapshotOf(t, skips, false); !slices.Equal(a, b) {
					t.Fatalf("packet %d: the streams without hidden ones:\n%s\nwithout IPv6:\n%s", n, a, b)
				}
				if a, b := snapshotOf(t, hides, true), snapshotOf(t, has, false); !slices.Equal(a, b) || n > 5000 && len(a) == len(snapshotOf(t, skips, false)) {
					t.Fatalf("packet %d: the streams with hidden ones:\n%s\nwith IPv6:\n%s", n, a, b)
				}
				if a, b := rowsOf(hides), rowsOf(has); !reflect.DeepEqual(a, b) {
					t.Fatalf("packet %d: groups with hidden IPv6:\n%+v\nwith IPv6:\n%+v", n, a, b)
				}
				a, b, c := hides.Stats(), has.Stats(), skips.Stats()
				if a.Tally != c.Tally || a.Skipped != c.Skipped || a.Packets != c.Packets || a.Hidden != packets6 {
					t.Fatalf("packet %d: totals with hidden IPv6:\n%+v\nwithout IPv6:\n%+v; %d packets of it", n, a, c, packets6)
				}
				sum := a.Tally
				sum.Add(&a.HiddenTally)
				if sum != b.Tally || a.Connections != b.Connections {
					t.Fatalf("packet %d: totals and hidden ones:\n%+v\nwith IPv6:\n%+v", n, sum, b.Tally)
				}
			}
			s := hides.Stats().HiddenTally
			if s.Expired == 0 || s.Replaced == 0 || s.ClosedFin == 0 || s.ClosedRst == 0 || s.Reopened == 0 {
				t.Errorf("too little happened to hidden streams: %+v", s)
			}
		})
	}
}

// TestAMappedAddressIsNotHidden wants a packet in IPv6 between addresses that map IPv4 ones skipped as without groups: its
// key is that of a connection in IPv4.
func TestAMappedAddressIsNotHidden(t *testing.T) {
	mapped := func(p netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(p.Addr().As16()), p.Port())
	}
	for _, cfg := range []Config{{}, {GroupMax: 1}} {
		w := newWorker(t, cfg)
		send(w, packet.TCP{Src: mapped(client), Dst: mapped(server), Flags: packet.ACK}, sec)
		if s := w.Stats(); s.Skipped[parse.IPv6] != 1 || s.Hidden != 0 || s.Connections != 0 {
			t.Errorf("%d groups: %d skipped, %d hidden, %d connections", cfg.GroupMax, s.Skipped[parse.IPv6], s.Hidden, s.Connections)
		}
	}
}

// TestHiddenConnectionsShareTheTable wants one that finds no room counted, and one that gives way counted apart.
func TestHiddenConnectionsShareTheTable(t *testing.T) {
	w := newWorker(t, Config{MaxConnections: 2, GroupMax: 1})
	open := func(port uint16, flags uint8) {
		send(w, packet.TCP{Src: toIPv6(netip.AddrPortFrom(client.Addr(), port)), Dst: toIPv6(server), Seq: 1, Ack: 1, Flags: flags}, sec)
	}
	open(1, packet.SYN)
	open(2, packet.ACK)
	send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK}, sec)
	open(3, packet.ACK)
	s := w.Stats()
	if s.RecycledHalfOpen != 1 || s.HiddenTally.Recycled != 1 || s.Tally.Recycled != 0 || s.NoRoom != 1 || s.HiddenTally.Streams != 1 || s.Streams != 1 {
		t.Errorf("%+v", s)
	}
	if got := snapshotOf(t, w, false); len(got) != 1 {
		t.Errorf("%d streams are not hidden: %s", len(got), got)
	}
}

// TestLossesOfHiddenConnections wants a gap across a loss of the capture in no stream, hidden ones included.
func TestLossesOfHiddenConnections(t *testing.T) {
	w := newWorker(t, Config{GroupMax: 1})
	p := packet.TCP{Src: toIPv6(client), Dst: toIPv6(server), Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 10}
	send(w, p, sec)
	w.flush()
	w.Lost()
	p.Seq = 1000
	send(w, p, 2*sec)
	if s := w.Stats(); s.HiddenTally.CaptureGaps != 1 || s.CaptureGaps != 0 {
		t.Errorf("%d and %d gaps of the capture", s.HiddenTally.CaptureGaps, s.CaptureGaps)
	}
}
