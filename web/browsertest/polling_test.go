package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	// status are the rounds of requests that the page has begun and had an answer in. The browser keeps 250 entries of all kinds.
	status = `performance.getEntriesByType("resource").filter((r) => r.name.includes("/api/v1/status"))`

	// stopped notes that no round may begin from now on; a clock may be coarse by 0.1 ms.
	stopped = "; globalThis.quietSince = performance.now() + 1"
)

// hasten has the timers of pages that are loaded from now on go off ten times as soon: a round follows half a second after
// the one before. A hidden page's timers go off once a second at most, whatever they are set to.
func hasten(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
			Source: `{ const timer = setTimeout; globalThis.setTimeout = (run, ms, ...rest) => timer(run, ms / 10, ...rest) }`,
		})
		return err
	}))
}

// goesOn wants the page to ask again and again.
func goesOn(t *testing.T, ctx context.Context) {
	t.Helper()
	before := value[int](t, ctx, status+".length")
	await(t, ctx, fmt.Sprintf("%s.length >= %d", status, before+3))
}

// rests wants the page to begin no round after what has set stopped last, for the time of several.
func rests(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	const quiet = 2500 * time.Millisecond
	time.Sleep(quiet)
	if n := value[int](t, ctx, status+".filter((r) => r.startTime > quietSince).length"); n != 0 {
		t.Errorf("%s: %d rounds begun in %v, want none", when, n, quiet)
	}
}

// window puts the browser's window into a state, and waits until the page knows whether it can be seen. Without a window
// manager a tab behind another one is still visible, but one of a minimized window is hidden.
func window(t *testing.T, ctx context.Context, state browser.WindowState) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		w, err := chromedp.CallBrowser(ctx, browser.GetWindowForTarget, browser.GetWindowForTargetParams{TargetID: tab.TargetID})
		if err == nil {
			_, err = chromedp.CallBrowser(ctx, browser.SetWindowBounds, browser.SetWindowBoundsParams{
				WindowID: w.WindowID, Bounds: &browser.Bounds{WindowState: state},
			})
		}
		return err
	}))
	await(t, ctx, fmt.Sprintf(`document.hidden === %t`, state == browser.WindowStateMinimized))
}

// The page asks as long as somebody can see it and wants it to: not in a window that is minimized, and not while it is paused. It goes
// on as soon as it is shown, or no longer paused.
func TestAsksWhileItIsSeen(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	e := startExporter(t, s.Addr())
	s.connect(t, "127.1.0.1", 10_000)
	ctx := openTab(t)
	hasten(t, ctx)
	do(t, ctx, chromedp.Navigate("http://"+e.address+"/"))
	await(t, ctx, rows+".length === 2")
	goesOn(t, ctx)

	do(t, ctx, run(`document.addEventListener("visibilitychange", () => { if (document.hidden) { 0`+stopped+` } })`))
	window(t, ctx, browser.WindowStateMinimized)
	rests(t, ctx, "hidden")
	window(t, ctx, browser.WindowStateNormal)
	goesOn(t, ctx)
	const sort = `document.querySelector("#streams th[data-name=packets] button").click()`
	do(t, ctx, run(`document.addEventListener("visibilitychange", () => { `+sort+stopped+` }, { once: true })`))
	window(t, ctx, browser.WindowStateMinimized)
	rests(t, ctx, "hidden in the midst of a round")
	window(t, ctx, browser.WindowStateNormal)
	goesOn(t, ctx)

	const click = `document.querySelector("#pause").click()`
	pressed := func(want string) {
		t.Helper()
		if is := value[string](t, ctx, `document.querySelector("#pause").ariaPressed`); is != want {
			t.Errorf("the button says that it is pressed: %s, want %s", is, want)
		}
	}
	pressed("false")
	do(t, ctx, run(click+stopped))
	pressed("true")
	rests(t, ctx, "paused")
	do(t, ctx, run(click+"; "+click+stopped)) // the first begins a round
	pressed("true")
	rests(t, ctx, "paused in the midst of a round")
	window(t, ctx, browser.WindowStateMinimized)
	window(t, ctx, browser.WindowStateNormal)
	rests(t, ctx, "paused, hidden and shown again")

	// What the reader asks for is shown all the same, once.
	do(t, ctx, run(`document.querySelector("#streams th[data-name=delay] button").click()`+stopped))
	rests(t, ctx, "sorted while it is paused")
	if n := value[int](t, ctx, status+".filter((r) => r.startTime > quietSince - 100).length"); n != 1 {
		t.Errorf("sorted while it is paused: %d rounds, want 1", n)
	}
	do(t, ctx, run(click))
	pressed("false")
	goesOn(t, ctx)
}
