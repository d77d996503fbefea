package collector

import (
	"context"
	"errors"
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

	"tcp-stream-exporter/exposition/expositiontest"
)

// await polls until ok, which some other goroutine brings about.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about in %v", what, patience)
		}
	}
}

// places returns how many scrapes have a place.
func places(h *Handler) int {
	open, _ := h.streams.queue.counts()
	return open
}

func TestTwoScrapesAtWork(t *testing.T) {
	release := make(chan struct{})
	var inside, most atomic.Int32
	src := &fakeSource{views: expositiontest.Fixed(), enter: func(context.Context) error {
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
	g := make(semaphore, 1000)
	for range cap(g) {
		if err := g.acquire(ctx); err == nil {
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
	await(t, "work", func() bool { return len(h.streams.work) == maxWorking })
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
	src := &fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 15_000)} // about 30 MB: more than a socket buffers
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
	await(t, "three stuck scrapes", func() bool { return places(h) == maxOpen-1 && len(h.streams.work) == 0 })
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
	await(t, "the end of the stuck scrapes", func() bool { return places(h) == 0 && len(h.streams.work) == 0 })
}

// More clients than there are places ask and do not read. One that reads gets its answer all the
// same, and as long as nobody waits they are left in peace.
func TestStuckReadersGiveWay(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 15_000)}, Options{})
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
	await(t, "all places taken by clients that do not read", func() bool { return places(h) == maxOpen && len(h.streams.work) == 0 })
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

func (w wrapped) Snapshot(ctx context.Context, s *Snapshot) error {
	defer w.inside.Add(-1)
	return w.fakeSource.Snapshot(ctx, s)
}

func TestConcurrentScrapesAreWholeAndRight(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(4, 4)), 400)
	want := expositiontest.Expected(views)
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
		expositiontest.SameSeries(t, expositiontest.Parse(t, text).Values, want)
	}
	await(t, "rest", func() bool { return places(h) == 0 && len(h.streams.work) == 0 })
}

// As many scrapes wait as may. Each one more has the one that has waited longest refused, at once, and the
// newest is the next to get a place.
func TestTheLongestWaitingScrapeIsRefused(t *testing.T) {
	const most = 3
	release := make(chan struct{})
	h := New(&fakeSource{views: expositiontest.Fixed(), enter: func(context.Context) error {
		<-release
		return nil
	}}, Options{MaxWaiting: most})
	answers := make([]chan *httptest.ResponseRecorder, maxOpen+most+2)
	for i := range answers {
		answers[i] = make(chan *httptest.ResponseRecorder, 1)
		go func() { answers[i] <- scrapeOnce(h, "GET", "/metrics") }()
		await(t, "a scrape in its place", func() bool {
			open, waiting := h.streams.queue.counts()
			refused, _ := h.streams.queue.turnedAway()
			return open == min(i+1, maxOpen) && waiting == min(max(i+1-maxOpen, 0), most) && int(refused) == max(i+1-maxOpen-most, 0)
		})
	}
	for i := maxOpen; i < maxOpen+2; i++ {
		w := <-answers[i]
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("scrape %d: %d, Retry-After %q; want 503 and 1", i, w.Code, w.Header().Get("Retry-After"))
		}
		oneLine(t, w)
	}
	close(release)
	for i, answer := range answers {
		if i >= maxOpen && i < maxOpen+2 {
			continue
		}
		if w := <-answer; w.Code != http.StatusOK {
			t.Errorf("scrape %d: %d, want 200", i, w.Code)
		}
	}
	atRest(t, h)
}

// The newest gets the place, whoever gives up waiting leaves no trace, and no place is lost.
func TestTheNewestWaiterIsNext(t *testing.T) {
	q := newQueue(1, 10)
	first := new(output)
	if err := q.enter(context.Background(), first, time.Now()); err != nil {
		t.Fatal(err)
	}
	order := make(chan int, 10)
	var wg sync.WaitGroup
	impatient, giveUp := context.WithCancel(context.Background())
	for i := range 5 {
		ctx := context.Background()
		if i == 2 {
			ctx = impatient
		}
		wg.Go(func() {
			o := new(output)
			if err := q.enter(ctx, o, time.Now()); err != nil {
				if i != 2 || !errors.Is(err, context.Canceled) {
					t.Errorf("waiter %d: %v", i, err)
				}
				return
			}
			order <- i
			q.leave(o)
		})
		await(t, "a waiter", func() bool { _, n := q.counts(); return n == i+1 })
	}
	giveUp()
	await(t, "one less", func() bool { _, n := q.counts(); return n == 4 })
	q.leave(first)
	wg.Wait()
	close(order)
	got := fmt.Sprint(<-order, <-order, <-order, <-order)
	if got != "4 3 1 0" {
		t.Errorf("the places went to %s, want 4 3 1 0", got)
	}
	if open, waiting := q.counts(); open != 0 || waiting != 0 {
		t.Errorf("%d have a place and %d wait, want none", open, waiting)
	}
}

// The scrape that came to the server last is the newest, in whatever order the goroutines get here, and the one that
// came first is refused when too many wait.
func TestTheNewestIsWhoCameLast(t *testing.T) {
	q := newQueue(1, 4)
	begin := time.Now()
	first := new(output)
	if err := q.enter(context.Background(), first, begin); err != nil {
		t.Fatal(err)
	}
	var waiters [6]*waiter
	for _, i := range []int{3, 5, 1, 4, 0, 2} { // the fifth and the sixth are one too many
		waiters[i] = q.join(new(output), begin.Add(time.Duration(i)*time.Second))
	}
	for _, i := range []int{0, 1} {
		select {
		case err := <-waiters[i].call:
			if !errors.Is(err, errCrowded) {
				t.Errorf("waiter %d: %v, want %v", i, err, errCrowded)
			}
		default:
			t.Errorf("waiter %d waits, want it refused", i)
		}
	}
	leaving := first
	for _, i := range []int{5, 4, 3, 2} {
		q.leave(leaving)
		select {
		case err := <-waiters[i].call:
			if err != nil {
				t.Fatalf("waiter %d: %v", i, err)
			}
		default:
			t.Fatalf("waiter %d did not get the place", i)
		}
		leaving = waiters[i].out
	}
}

// Scrapes that give up at the moment in which they get their place give it back.
func TestGivingUpLosesNoPlace(t *testing.T) {
	q := newQueue(2, 4)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(i), 1))
			for range 300 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(dice.IntN(200))*time.Microsecond)
				o := new(output)
				if q.enter(ctx, o, time.Now()) == nil {
					time.Sleep(time.Duration(dice.IntN(100)) * time.Microsecond)
					q.leave(o)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if open, waiting := q.counts(); open != 0 || waiting != 0 {
		t.Errorf("%d have a place and %d wait, want none", open, waiting)
	}
}

// Many times more clients than there are places ask and do not read. One that reads is served soon
// all the same, and those that wait or are refused cost no goroutine but their own.
func TestAGoodScrapeBesideManyThatStall(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 3000)}, Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(32 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	srv.Start()
	defer srv.Close()
	const clients = 300
	for range clients {
		defer stuckClient(t, srv).Close()
	}
	await(t, "refusals", func() bool {
		open, waiting := h.streams.queue.counts()
		refused, stalled := h.streams.queue.turnedAway()
		return int(refused+stalled)+open+waiting == clients
	})
	for range 3 {
		begin := time.Now()
		resp, err := (&http.Client{Timeout: patience}).Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		took := time.Since(begin)
		t.Logf("%d bytes in %v", n, took)
		if err != nil || resp.StatusCode != 200 || n < 2<<20 || took > 14*stallTime { // in turn: 64/4 times stallTime
			t.Errorf("beside %d stalled clients: %s, %d bytes, %v after %v", clients, resp.Status, n, err, took)
		}
	}
}

// While scrapes end by themselves, a client that stalls is left in peace although others wait; once none
// has ended for stallTime, it loses its place.
func TestNobodyIsCutOffWhileScrapesEnd(t *testing.T) {
	for range 10 {
		if scrapesEndBesideAStalledOne(t) {
			return
		}
	}
	t.Error("the machine was too busy ten times: no scrape ended in time")
}

// scrapesEndBesideAStalledOne reports false if the machine was too busy to have scrapes end in time.
func scrapesEndBesideAStalledOne(t *testing.T) bool {
	q := newQueue(2, 1000)
	stalled := &output{w: httptest.NewRecorder()}
	if err := q.enter(context.Background(), stalled, time.Now()); err != nil {
		t.Fatal(err)
	}
	stalled.writing.Store(sinceStart())
	work := new(output)
	if err := q.enter(context.Background(), work, time.Now()); err != nil {
		t.Fatal(err)
	}
	var last *output
	for begin := time.Now(); time.Since(begin) < 2*stallTime; {
		next := new(output)
		w := q.join(next, time.Now())
		before := time.Now()
		time.Sleep(stallTime / 50)
		if time.Since(before) > stallTime/2 {
			return false
		}
		q.leave(work)
		if err := <-w.call; err != nil {
			t.Fatal(err)
		}
		work = next
		if stalled.cut.Load() {
			t.Fatalf("cut off %v after the last scrape ended", time.Since(before))
		}
		last = next
	}
	begin := time.Now()
	w := q.join(new(output), time.Now())
	await(t, "the end of the stalled scrape", stalled.cut.Load)
	if took := time.Since(begin); took > 20*stallTime {
		t.Errorf("cut off after %v", took)
	}
	q.leave(stalled)
	if err := <-w.call; err != nil || last.cut.Load() {
		t.Errorf("%v; the scrape that does not stall was cut off: %v", err, last.cut.Load())
	}
	return true
}
