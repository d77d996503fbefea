package collector

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/worker"
)

// patience bounds every wait of these tests; none comes near it unless something is wrong.
const patience = 15 * time.Second

// await polls until ok, which some other goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about in %v", what, patience)
		}
	}
}

// places is how many scrapes have a place.
func places(h *Handler) int {
	open, _ := h.queue.counts()
	return open
}

func TestTwoScrapesAtWork(t *testing.T) {
	release := make(chan struct{})
	var inside, most atomic.Int32
	src := &fakeSource{views: fixedViews(), enter: func(context.Context) error {
		n := inside.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		inside.Add(-1)
		return nil
	}}
	h := New(src, Options{})
	var wg sync.WaitGroup
	codes := make(chan int, 10)
	for range 10 {
		wg.Go(func() { codes <- scrapeOnce(h, "GET", "/metrics").Code })
	}
	await(t, "work", func() bool { return inside.Load() == maxWorking && places(h) == maxOpen })

	// One more, with little time: it gives up, says so, and takes no snapshot.
	before := src.snapshots.Load()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "gave up waiting") {
		t.Errorf("a scrape without patience: %d %q", w.Code, w.Body)
	}
	oneLine(t, w)
	if n := src.snapshots.Load(); n != before || most.Load() != maxWorking {
		t.Errorf("%d snapshots at once, %d begun while the places were taken", most.Load(), n-before)
	}

	close(release)
	wg.Wait()
	close(codes)
	for code := range codes {
		if code != 200 {
			t.Errorf("a scrape that waited got %d", code)
		}
	}
	if most.Load() != maxWorking {
		t.Errorf("%d scrapes were at work at once, want %d", most.Load(), maxWorking)
	}
	atRest(t, h)
}

func TestAnEndedContextGetsNoFreePlace(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := make(gate, 1000)
	for range cap(g) {
		if err := g.enter(ctx); err == nil {
			t.Fatal("let in after the end of the context")
		}
	}
}

// A scrape that is in, but waits for a place at work, also ends with its context.
func TestGivingUpBeforeWork(t *testing.T) {
	release := make(chan struct{})
	src := &fakeSource{enter: func(context.Context) error { <-release; return nil }}
	h := New(src, Options{})
	var wg sync.WaitGroup
	for range maxWorking {
		wg.Go(func() { scrapeOnce(h, "GET", "/metrics") })
	}
	await(t, "work", func() bool { return len(h.working) == maxWorking })
	ctx, cancel := context.WithCancel(context.Background())
	w := httptest.NewRecorder()
	wg.Go(func() { h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil)) })
	await(t, "a scrape that waits", func() bool { return places(h) == maxWorking+1 })
	cancel()
	await(t, "giving up", func() bool { return places(h) == maxWorking })
	close(release)
	wg.Wait()
	if w.Code != 503 || !strings.Contains(w.Body.String(), "at work") {
		t.Errorf("%d %q, want 503", w.Code, w.Body)
	}
	atRest(t, h)
}

// stuckClient asks for the metrics and reads nothing.
func stuckClient(t *testing.T, srv *httptest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// Clients that ask and do not read hold neither the source nor a place at work: others are
// served meanwhile, and when they hang up their scrapes end.
func TestSlowReadersHoldOnlyTheirBuffers(t *testing.T) {
	var inside atomic.Int32
	src := &fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), 15_000)} // about 30 MB: more than a socket buffers
	src.enter = func(context.Context) error { inside.Add(1); return nil }
	h := New(wrapped{src, &inside}, Options{})
	srv := httptest.NewServer(h)
	defer srv.Close()

	var slow []net.Conn
	for range maxOpen - 1 {
		c := stuckClient(t, srv)
		defer c.Close()
		slow = append(slow, c)
	}
	await(t, "three stuck scrapes", func() bool { return places(h) == maxOpen-1 && len(h.working) == 0 })
	if n := inside.Load(); n != 0 {
		t.Errorf("%d snapshots are held while clients do not read", n)
	}
	for range 2 {
		resp, err := (&http.Client{Timeout: patience}).Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || n < 10<<20 {
			t.Fatalf("beside slow readers: %s, %d bytes, %v", resp.Status, n, err)
		}
	}
	if places(h) < maxOpen-1 {
		t.Error("the slow readers were not stuck after all")
	}
	for _, c := range slow {
		c.Close()
	}
	await(t, "the end of the stuck scrapes", func() bool { return places(h) == 0 && len(h.working) == 0 })
}

// More clients than there are places ask and do not read. One that reads gets its answer all the
// same, and as long as nobody waits they are left in peace.
func TestStuckReadersGiveWay(t *testing.T) {
	h := New(&fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), 15_000)}, Options{})
	srv := httptest.NewServer(h)
	defer srv.Close()
	var conns []net.Conn
	defer func() { // before the server
		for _, c := range conns {
			c.Close()
		}
	}()
	stuck := func(n int) {
		for range n {
			conns = append(conns, stuckClient(t, srv))
		}
	}
	stuck(maxOpen)
	await(t, "all places taken by clients that do not read", func() bool { return places(h) == maxOpen && len(h.working) == 0 })
	time.Sleep(stallTime * 5 / 4)
	if n := places(h); n != maxOpen {
		t.Errorf("%d of %d stuck scrapes are left although nobody waits", n, maxOpen)
	}
	stuck(1) // takes the place of one that is overdue
	begin := time.Now()
	resp, err := (&http.Client{Timeout: patience}).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if took := time.Since(begin); err != nil || resp.StatusCode != 200 || n < 10<<20 || took > 10*time.Second { // without it: the minute that the server gives a client
		t.Errorf("beside %d stuck clients: %s, %d bytes, %v after %v", maxOpen+1, resp.Status, n, err, took)
	}
}

// wrapped counts a snapshot as left when Snapshot returns.
type wrapped struct {
	*fakeSource
	inside *atomic.Int32
}

func (w wrapped) Snapshot(ctx context.Context, s *worker.Snapshot) error {
	defer w.inside.Add(-1)
	return w.fakeSource.Snapshot(ctx, s)
}

func TestConcurrentScrapesAreWholeAndRight(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(4, 4)), 400)
	want := expected(views)
	active := 0
	for i := range views {
		if !views[i].Finalized {
			active++
		}
	}
	want["tcp_stream_count"] = float64(active)
	want["capture_packets_processed_total"] = 5
	want["capture_dropped_packets_total"] = 0
	want["capture_queue_freezes_total"] = 0
	h := New(&fakeSource{views: views, stats: totals(5, 0, 0)}, Options{})
	srv := httptest.NewServer(h)
	defer srv.Close()
	texts := make(chan []byte, 24)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				resp, err := srv.Client().Get(srv.URL)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil {
					t.Error(err)
					return
				}
				texts <- text
			}
		})
	}
	wg.Wait()
	close(texts)
	if len(texts) != 24 {
		t.Errorf("%d of 24 scrapes were answered", len(texts))
	}
	for text := range texts {
		sameSeries(t, parseText(t, text).values, want)
	}
	await(t, "rest", func() bool { return places(h) == 0 && len(h.working) == 0 })
}
