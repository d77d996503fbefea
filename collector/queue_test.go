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
	"sync"
	"testing"
	"time"
)

// As many scrapes wait as may. Each one more has the one that has waited longest refused, at once, and the
// newest is the next to get a place.
func TestTheLongestWaitingScrapeIsRefused(t *testing.T) {
	const most = 3
	release := make(chan struct{})
	h := New(&fakeSource{views: fixedViews(), enter: func(context.Context) error {
		<-release
		return nil
	}}, Options{MaxWaiting: most})
	answers := make([]chan *httptest.ResponseRecorder, maxOpen+most+2)
	for i := range answers {
		answers[i] = make(chan *httptest.ResponseRecorder, 1)
		go func() { answers[i] <- scrapeOnce(h, "GET", "/metrics") }()
		await(t, "a scrape in its place", func() bool {
			open, waiting := h.queue.counts()
			refused, _ := h.queue.figures()
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
	if err := q.enter(context.Background(), first); err != nil {
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
			if err := q.enter(ctx, o); err != nil {
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
				if q.enter(ctx, o) == nil {
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
	h := New(&fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), 3000)}, Options{})
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
		open, waiting := h.queue.counts()
		refused, stalled := h.queue.figures()
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
	if err := q.enter(context.Background(), stalled); err != nil {
		t.Fatal(err)
	}
	stalled.writing.Store(sinceStart())
	work := new(output)
	if err := q.enter(context.Background(), work); err != nil {
		t.Fatal(err)
	}
	var last *output
	for begin := time.Now(); time.Since(begin) < 2*stallTime; {
		next := new(output)
		w := q.join(next)
		before := time.Now()
		time.Sleep(stallTime / 50)
		if time.Since(before) > stallTime/2 {
			return false
		}
		q.leave(work)
		if err := <-w.turn; err != nil {
			t.Fatal(err)
		}
		work = next
		if stalled.cut.Load() {
			t.Fatalf("cut off %v after the last scrape ended", time.Since(before))
		}
		last = next
	}
	begin := time.Now()
	w := q.join(new(output))
	await(t, "the end of the stalled scrape", stalled.cut.Load)
	if took := time.Since(begin); took > 20*stallTime {
		t.Errorf("cut off after %v", took)
	}
	q.leave(stalled)
	if err := <-w.turn; err != nil || last.cut.Load() {
		t.Errorf("%v; the scrape that does not stall was cut off: %v", err, last.cut.Load())
	}
	return true
}
