package worker

import (
	"net/netip"
	"testing"

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
