package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"tcp-stream-exporter/api"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// idleGroup returns workers that know so many streams each and that have no ring: they serve readers, as while
// the interface is away, but in turns as if they had one.
func idleGroup(tb testing.TB, workers, streams int) *Workers {
	g := &Workers{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range workers {
		w := newWorker(tb, worker.Config{MaxConnections: streams/2 + 1, StreamAge: time.Hour, FinalizedAge: time.Hour})
		newLoad(streams, 1).open(&walk{worker: w})
		c := New(w, nil, nil, testClock, func(Change) {})
		g.captures = append(g.captures, c)
		g.capacity += w.Capacity()
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mono, real := c.now()
				c.beginTurn(mono, real)
				if !c.serve() {
					select {
					case <-c.wake:
					case <-stop:
					}
				}
			}
		})
	}
	tb.Cleanup(func() {
		close(stop)
		running.Wait()
	})
	return g
}

// Every stream is in one part, of every worker, and no part is larger than it may be.
func TestEveryStreamIsInOnePart(t *testing.T) {
	const workers, streams = 2, 3*worker.PartStreams + 10
	g := idleGroup(t, workers, streams)
	var p worker.Parts
	defer p.Close()
	type key struct {
		stream.Ends
		src, dst uint16
	}
	seen, parts := map[key]int{}, 0
	for range 3 {
		s, err := g.Each(t.Context(), &p, func(s *worker.Snapshot) {
			parts++
			if len(s.Views) > worker.PartStreams {
				t.Errorf("a part of %d streams", len(s.Views))
			}
			for i := range s.Views {
				v := &s.Views[i]
				seen[key{v.Ends(s.Wide), v.SrcPort, v.DstPort}]++
			}
		})
		if err != nil || s.Streams != workers*streams {
			t.Fatalf("%v, %d streams in the totals", err, s.Streams)
		}
	}
	if len(seen) != streams || parts != 3*workers*4 { // both workers know the same addresses
		t.Errorf("%d streams in %d parts", len(seen), parts)
	}
	for k, n := range seen {
		if n != 3*workers {
			t.Fatalf("%v is there %d times", k, n)
		}
	}
}

// A reader of parts that gives up leaves nothing behind, wherever it was.
func TestAReaderOfPartsThatGivesUp(t *testing.T) {
	const streams = 5 * worker.PartStreams
	g := idleGroup(t, 1, streams)
	var p worker.Parts
	defer p.Close()
	for n := range 12 {
		ctx, cancel := context.WithCancel(t.Context())
		parts := 0
		_, err := g.Each(ctx, &p, func(*worker.Snapshot) {
			if parts++; parts == n {
				cancel()
			}
		})
		if n == 0 {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		got := 0
		if _, err := g.Each(t.Context(), &p, func(s *worker.Snapshot) { got += len(s.Views) }); err != nil || got != streams {
			t.Fatalf("given up after part %d: then %d streams, %v", n, got, err)
		}
		cancel()
	}
}

// Readers of parts and of whole snapshots take turns while packets come in.
func TestPartsWhileCapturing(t *testing.T) {
	l := echoServer(t)
	c := loCapture(t, l.Addr().(*net.TCPAddr).Port)
	g := &Workers{captures: []*Capture{c}, capacity: c.capacity}
	const connections = 20
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for k := range 4 {
		readers.Go(func() {
			var s worker.Snapshot
			var p worker.Parts
			defer s.Close()
			defer p.Close()
			for before := 0; ; {
				select {
				case <-stop:
					return
				default:
				}
				n, err := 0, error(nil)
				if k%2 == 0 {
					_, err = g.Each(t.Context(), &p, func(s *worker.Snapshot) { n += len(s.Views) })
				} else if err = g.Snapshot(t.Context(), &s); err == nil {
					n = len(s.Views)
				}
				if err != nil || n < before || n > 2*connections {
					t.Errorf("%d streams, want %d of the reading before to %d; %v", n, before, 2*connections, err)
					return
				}
				before = n
			}
		})
	}
	for range connections {
		talk(t, l, 10_000)
	}
	close(stop)
	readers.Wait()
}

// A run of pieces ends with the first one that finds a block in the ring.
func TestPiecesGiveWayToPackets(t *testing.T) {
	l := echoServer(t)
	rings := loRings(t, 1)
	w := newWorker(t, worker.Config{StreamAge: time.Minute, FinalizedAge: time.Minute})
	newLoad(2000, 1).open(&walk{worker: w})
	c := New(w, rings[0], nil, testClock, func(Change) {})
	var s worker.Snapshot
	if err := s.Empty(w.Capacity()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	serve := func() (pos int) {
		t.Helper()
		s.Views, s.Wide = s.Views[:0], s.Wide[:0]
		q := c.post(request{into: &s})
		if !c.serve() {
			t.Fatal("nothing was done")
		}
		c.wanted.Store(nil)
		return q.pos
	}
	const piece = 16 // records of two streams
	longest := 0     // others may talk on lo meanwhile: one quiet run of many is enough
	for range 100 {
		for c.blockReady() {
			c.ring.Release()
		}
		longest = max(longest, serve())
	}
	if longest != runPieces*piece {
		t.Errorf("without packets %d records in a run, want %d", longest, runPieces*piece)
	}
	talk(t, l, 1000)
	for end := time.Now().Add(patience); !c.blockReady(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no block has come")
		}
	}
	if pos := serve(); pos != piece {
		t.Errorf("with a block %d records in a run, want %d", pos, piece)
	}
}

// BenchmarkReading reads the streams of an idle capture: a whole snapshot, a walk over its parts, and a request to the API,
// from its query to its last byte.
func BenchmarkReading(b *testing.B) {
	for _, streams := range benchStreams {
		g := idleGroup(b, 1, streams)
		b.Run(fmt.Sprintf("impl=snapshot/streams=%d", streams), func(b *testing.B) {
			var s worker.Snapshot
			defer s.Close()
			for b.Loop() {
				if err := g.Snapshot(b.Context(), &s); err != nil || len(s.Views) != streams {
					b.Fatal(err, len(s.Views))
				}
				s.Release()
			}
		})
		b.Run(fmt.Sprintf("impl=parts/streams=%d", streams), func(b *testing.B) {
			var p worker.Parts
			defer p.Close()
			for b.Loop() {
				n := 0
				if _, err := g.Each(b.Context(), &p, func(s *worker.Snapshot) { n += len(s.Views) }); err != nil || n != streams {
					b.Fatal(err, n)
				}
			}
		})
		for _, query := range []string{"limit=20", "limit=1000&addr=10.0.0.0/8"} {
			b.Run(fmt.Sprintf("impl=api/query=%s/streams=%d", query, streams), func(b *testing.B) {
				h := api.New(g, api.Options{})
				b.ReportAllocs()
				for b.Loop() {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("GET", api.StreamsPath+"?"+query, nil))
					if w.Code != 200 {
						b.Fatal(w.Body)
					}
				}
			})
		}
	}
}
