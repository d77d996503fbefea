package capture

import (
	"context"
	"net"
	"testing"
	"time"

	"tcp-stream-exporter/worker"
)

// Live, the times of packets are real time, and pieces are counted with how long they took.
func TestLiveExtrasAndHolds(t *testing.T) {
	l := echoServer(t)
	c := loCapture(t, l.Addr().(*net.TCPAddr).Port)
	from := time.Now()
	talk(t, l, 1000)
	to := time.Now()
	s := worker.Snapshot{WithExtras: true}
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
