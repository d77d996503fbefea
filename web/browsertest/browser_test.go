package browsertest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"tcp-stream-exporter/internal/need"
)

// browserName is the program: Chromium without a window.
const browserName = "chromium-headless-shell"

// patience bounds a wait for the page, which asks every five seconds.
const patience = 30 * time.Second

// openTab starts a browser and returns the context of its tab. What the page complains of fails the test, but for answers that
// are errors.
func openTab(t *testing.T) context.Context {
	t.Helper()
	need.Root(t)
	need.Tool(t, browserName)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browserName), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience), chromedp.Env("TMPDIR="+os.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("an exception: %s: %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError {
				t.Errorf("an error on the console: %s", e.Args[0].Description)
			}
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
				t.Errorf("refused: %s", e.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return ctx
}

// do runs steps in a tab.
func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	get(t, ctx, chromedp.Steps(steps...))
}

// get runs one step in a tab, and returns what it comes to.
func get[T any](t *testing.T, ctx context.Context, step chromedp.Action[T]) T {
	t.Helper()
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := chromedp.Run(bounded, step)
	if err != nil {
		t.Fatalf("in the browser: %v", err)
	}
	return v
}

// value returns what an expression comes to in the page, and what a promise does.
func value[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return get(t, ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// await waits until an expression is true in the page.
func await(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if value[bool](t, ctx, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never true: %s; the page reads:\n%.3000s", expression, value[string](t, ctx, "document.body.innerText"))
		}
	}
}
