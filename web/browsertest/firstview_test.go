package browsertest

import (
	"context"
	"flag"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// On a machine at rest the bound is 300 ms:
//
//	make test-browser BROWSER="-v -run FirstView -firstview 300ms"
var firstView = flag.Duration("firstview", 5*time.Second, "how long the first view of the page may take")

// mostBytes bounds what the first view loads, headers included. It has no chart yet, and few rows.
const mostBytes = 100_000

// load is what a tab has loaded.
type load struct{ answers, bytes atomic.Int64 }

// countLoaded counts the answers that a tab gets, and their bytes as they come by the network, as long as its events are
// told: chromedp has the browser do so from the start.
func countLoaded(t *testing.T, ctx context.Context) *load {
	t.Helper()
	var l load
	err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*network.EventLoadingFinished); ok {
			l.bytes.Add(int64(e.EncodedDataLength))
			l.answers.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &l
}

// call sends a command without parameters to a tab.
func call(t *testing.T, ctx context.Context, command cdp.Command[cdp.Empty, cdp.Empty]) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, command, cdp.Empty{})
		return err
	}))
}

// The first view, all figures included, loads little and is there soon, in a browser that has kept nothing of the page. The
// time of a browser that has just begun is told besides: most of it is the browser's.
func TestFirstView(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	e := startExporter(t, s.Addr())
	s.connect(t, "127.1.0.1", 10_000)
	s.connect(t, "127.1.0.2", 1_000_000)
	ctx := openTab(t)
	loaded := countLoaded(t, ctx)
	open := func() (took time.Duration) {
		t.Helper()
		call(t, ctx, network.ClearBrowserCache)
		do(t, ctx, chromedp.Navigate("http://"+e.address+"/"))
		await(t, ctx, rows+".length === 4")
		await(t, ctx, `performance.getEntriesByName("shown").length === 1`)
		return time.Duration(value[float64](t, ctx, `performance.getEntriesByName("shown")[0].startTime`) * float64(time.Millisecond))
	}
	begun := open()
	requests := value[int64](t, ctx, `performance.getEntriesByType("navigation").length + performance.getEntriesByType("resource").length`)
	for end := time.Now().Add(patience); loaded.answers.Load() < requests && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	call(t, ctx, network.Disable)
	bytes, answers := loaded.bytes.Load(), loaded.answers.Load()

	times := []time.Duration{open(), open(), open()}
	slices.Sort(times)
	took := times[1] // the machine has other things to do now and then
	t.Logf("the first view: %d bytes in %d answers, %v; %v in a browser that has just begun", bytes, answers, took, begun)
	if answers < requests || requests < 14 {
		t.Errorf("%d answers to %d requests: want those of the page, its ten parts and its three kinds of figures", answers, requests)
	}
	if bytes > mostBytes || took > *firstView {
		t.Errorf("the first view takes %d bytes and %v, want %d and %v at most", bytes, took, mostBytes, *firstView)
	}
}
