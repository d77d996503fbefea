package capture

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/stream"
)

func TestASnapshotIsWhatWasAskedFor(t *testing.T) {
	w := newWorker(t, Config{})
	const connections = 200
	for i := range connections {
		src := netip.AddrPortFrom(client.Addr(), uint16(10_000+i))
		send(w, packet.TCP{Src: src, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 10}, sec+int64(i)*ms)
	}
	var s Snapshot
	defer s.Close()
	take := func(totalsOnly, withExtras bool) {
		t.Helper()
		s.TotalsOnly, s.WithExtras = totalsOnly, withExtras
		if err := w.Snapshot(&s); err != nil {
			t.Fatal(err)
		}
		if s.Stats.Active != connections || s.Stats.Packets != connections {
			t.Errorf("%+v", s.Stats)
		}
	}
	take(true, true)
	if len(s.Views) != 0 || len(s.Extras) != 0 {
		t.Errorf("%d streams although only totals were asked for", len(s.Views))
	}
	take(false, false)
	if len(s.Views) != connections || len(s.Extras) != 0 {
		t.Errorf("%d streams, %d extras; want %d and none", len(s.Views), len(s.Extras), connections)
	}
	take(false, true)
	if len(s.Views) != connections || len(s.Extras) != connections {
		t.Fatalf("%d streams, %d extras; want %d of both", len(s.Views), len(s.Extras), connections)
	}
	for i, e := range s.Extras {
		at := sec + int64(s.Views[i].SrcPort-10_000)*ms
		if want := (stream.Extra{First: at, Last: at, Handshake: -1}); e != want {
			t.Errorf("the stream from port %d: %+v, want %+v", s.Views[i].SrcPort, e, want)
		}
	}
	s.Keep(7)
	if len(s.Views) != 7 || len(s.Extras) != 7 {
		t.Errorf("kept %d streams and %d extras, want 7", len(s.Views), len(s.Extras))
	}
	s.Release()
	take(false, false)
	if len(s.Views) != connections {
		t.Errorf("after Keep and Release: %d streams", len(s.Views))
	}
}

// What Keep dropped counts when memory is given back: it was written all the same.
func TestReleaseKnowsWhatKeepDropped(t *testing.T) {
	s := Snapshot{WithExtras: true, Views: make([]stream.View, 10), Extras: make([]stream.Extra, 10)}
	s.Keep(8)
	s.Keep(3)
	if s.most != 10 || len(s.Views) != 3 {
		t.Errorf("%d of %d", len(s.Views), s.most)
	}
	if s.Release(); s.most != 0 || s.Views != nil || s.Extras != nil {
		t.Errorf("%+v after Release", s)
	}
}

// Live, the times of packets are real time, and pieces are counted with how long they took.
func TestLiveExtrasAndHolds(t *testing.T) {
	l := echoServer(t)
	c := loCapture(t, l.Addr().(*net.TCPAddr).Port)
	from := time.Now()
	talk(t, l, 1000)
	to := time.Now()
	s := Snapshot{WithExtras: true}
	defer s.Close()
	for end := time.Now().Add(2 * time.Second); len(s.Views) < 2 || s.Views[0].Bytes+s.Views[1].Bytes < 2000; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d streams", len(s.Views))
		}
		if err := c.Snapshot(context.Background(), &s); err != nil {
			t.Fatal(err)
		}
	}
	// The clocks are read one after the other, and a frame's time is bounded to the turn's.
	const slack = 2 * time.Millisecond
	for i, e := range s.Extras {
		for name, ns := range map[string]int64{"first": e.First, "last": e.Last, "SYN": e.Syn} {
			if at := time.Unix(0, ns); at.Before(from.Add(-slack)) || at.After(to.Add(slack)) {
				t.Errorf("stream %d: the %s packet at %v, want between %v and %v", i, name, at, from, to)
			}
		}
		if e.Last < e.First || e.Handshake < 0 || e.Handshake > int64(to.Sub(from)) {
			t.Errorf("stream %d: %+v", i, e)
		}
	}
	before := s.Stats.Holds
	if err := c.Snapshot(context.Background(), &s); err != nil {
		t.Fatal(err)
	}
	pieces := uint64(0)
	for i, n := range s.Stats.Holds.Counts {
		pieces += n - before.Counts[i]
	}
	// The totals are taken within the piece, which is counted after it.
	if took := s.Stats.Holds.Sum - before.Sum; pieces != 1 || took == 0 || took > uint64(time.Second) {
		t.Errorf("the snapshot before had %d pieces of %d ns", pieces, took)
	}
}

func TestHoldsAreCountedByTheirLength(t *testing.T) {
	var h, sum Holds
	for _, ns := range []int64{0, 10_000, 10_001, 50_000, 50_001, 10_000_000, 10_000_001, 1 << 60} {
		h.note(ns)
	}
	if want := [...]uint64{2, 1, 1, 1, 0, 0, 0, 1, 2}; h.Counts != want {
		t.Errorf("%v, want %v", h.Counts, want)
	}
	sum.add(&h)
	sum.add(&h)
	if sum.Sum != 2*h.Sum || sum.Counts[0] != 4 || sum.Counts[8] != 4 {
		t.Errorf("%+v", sum)
	}
}
