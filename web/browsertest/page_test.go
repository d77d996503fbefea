package browsertest

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/crypto/bcrypt"
)

var screenshots = flag.String("screenshots", "", "`folder` for pictures of the page")

//go:embed axe/axe.min.js
var axe string

const (
	rows  = `document.querySelectorAll("#streams tbody tr")`
	first = `document.querySelector("#streams tbody tr th").innerText`
)

// The page shows what goes on, sorted and filtered as the reader wants it, and keeps up.
func TestPage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	e := startExporter(t, s.Addr())
	small := s.connect(t, "127.1.0.1", 10_000)
	s.connect(t, "127.1.0.2", 1_000_000)
	ctx := openTab(t)
	do(t, ctx, chromedp.Navigate("http://"+e.address+"/"))
	await(t, ctx, rows+".length === 4")
	await(t, ctx, `performance.getEntriesByName("shown").length === 1`)
	if from := value[string](t, ctx, first); !strings.Contains(from, "127.1.0.2") {
		t.Errorf("the largest stream is not the first: %s", from)
	}
	if state := value[string](t, ctx, `document.querySelector("#lamp").dataset.state`); state != "complete" && state != "incomplete" {
		t.Errorf("the lamp: %s", state)
	}
	if text := value[string](t, ctx, `document.querySelector("#interfaces tbody").innerText`); !strings.Contains(text, "lo") || !strings.Contains(text, "loopback") || !strings.Contains(text, "65,536") {
		t.Errorf("interfaces: %s", text)
	}

	// Sorted by a heading, as the address bar has it.
	do(t, ctx, chromedp.Click(`#streams th[data-name=packets] button`))
	await(t, ctx, `document.querySelector("#streams th[aria-sort]").dataset.name === "packets" && location.search === "?sort=packets"`)
	do(t, ctx, chromedp.Click(`#streams th[data-name=health] button`))
	await(t, ctx, `document.querySelector("#streams th[data-name=health]").ariaSort === "ascending" && !document.querySelector("#streams th[data-name=packets]").ariaSort`)

	// Filtered by an address, and wrongly.
	do(t, ctx, chromedp.SendKeys(`#filter [name=addr]`, "127.1.0.1"))
	await(t, ctx, rows+`.length === 2 && location.search === "?sort=health&addr=127.1.0.1"`)
	do(t, ctx, chromedp.SendKeys(`#filter [name=addr]`, "x"))
	await(t, ctx, `document.querySelector("#streams-error").innerText.includes("addr=127.1.0.1x")`)
	do(t, ctx, chromedp.Click(`#filter [type=reset]`))
	await(t, ctx, rows+`.length === 4 && location.search === "?sort=health" && document.querySelector("#streams-error").innerText === ""`)

	// The address bar alone brings the view back, and a step back does.
	do(t, ctx, chromedp.Navigate("http://"+e.address+"/?addr=127.1.0.1&sort=packets&groups_sort=client"))
	await(t, ctx, rows+`.length === 2 && document.querySelector("#streams th[aria-sort]").dataset.name === "packets" && document.querySelector("#groups th[aria-sort]")?.ariaSort === "ascending"`)
	do(t, ctx, chromedp.Click(`#filter [type=reset]`))
	await(t, ctx, rows+".length === 4")
	do(t, ctx, run("history.back()"))
	await(t, ctx, rows+".length === 2")
	do(t, ctx, chromedp.Navigate("http://"+e.address+"/"))
	await(t, ctx, rows+".length === 4")

	// A click on a group filters by it.
	await(t, ctx, `[...document.querySelectorAll("#groups tbody button")].some((b) => b.innerText === "clients")`)
	do(t, ctx, run(`[...document.querySelectorAll("#groups tbody button")].find((b) => b.innerText === "clients").click()`))
	await(t, ctx, `location.search.includes("group=clients") && document.querySelector("#filter [name=group]").value === "clients"`)

	// What comes later shows by itself, and what has the focus keeps it.
	do(t, ctx, chromedp.Focus(`#groups tbody button`))
	small.exchange(3_000_000)
	s.connect(t, "127.1.0.3", 1000)
	await(t, ctx, rows+`.length === 6 && `+first+`.includes("127.1.0.1")`)
	if !value[bool](t, ctx, `document.activeElement.matches("#groups tbody button")`) {
		t.Error("the focus is lost")
	}

	// Paused, the button shows it.
	do(t, ctx, chromedp.Click("#pause"))
	if !value[bool](t, ctx, `document.querySelector("#pause").ariaPressed === "true"`) {
		t.Error("the button does not say that it is pressed")
	}

	check(t, ctx, "")
	pictures(t, ctx, "page")
}

// run has the page run a script.
func run(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[any](script+"\n;0"))
		return err
	})
}

// check has axe look for what keeps people from using the page.
func check(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	do(t, ctx, run(axe))
	type violation struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	for _, v := range value[[]violation](t, ctx, `axe.run().then((r) => r.violations.map((v) => ({ID: v.id, Help: v.help, Nodes: v.nodes.map((n) => ({HTML: n.html, FailureSummary: n.failureSummary}))})))`) {
		t.Errorf("axe%s: %s: %s: %+v", when, v.ID, v.Help, v.Nodes)
	}
}

// pictures takes pictures of the page, wide and narrow, light and dark, if they are asked for; dark is looked at by axe too.
func pictures(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			do(t, ctx, chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				return err
			}))
			if n := value[int](t, ctx, "document.documentElement.scrollWidth"); n > int(width) {
				t.Errorf("%d pixels wide on a screen of %d", n, width)
			}
			if scheme == "dark" {
				check(t, ctx, fmt.Sprint(" dark, ", width))
			}
			if *screenshots == "" {
				continue
			}
			png := get(t, ctx, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(*screenshots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const notice = `document.querySelector("#notice").innerText`

// While the exporter is away the page says so, and goes on when it is back.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	e := startExporter(t, s.Addr())
	c := s.connect(t, "127.1.0.1", 10_000)
	ctx := openTab(t)
	do(t, ctx, chromedp.Navigate("http://"+e.address+"/"))
	await(t, ctx, rows+".length === 2")
	e.stop()
	await(t, ctx, notice+`.includes("does not answer") && document.body.classList.contains("stale")`)
	e.start()
	c.exchange(1000)
	await(t, ctx, notice+` === "" && `+rows+`.length === 2 && !document.body.classList.contains("stale")`)
}

// A door that closes is told of, and passed when it is open again; the page works below another path for the metrics.
func TestPasswords(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	users := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	users("basic_auth_users:\n  somebody: " + string(hash) + "\n")
	s := startServer(t)
	e := startExporter(t, s.Addr(), "-web.config.file", file, "-web.telemetry-path", "/tcp")
	s.connect(t, "127.1.0.1", 10_000)
	ctx := openTab(t)
	do(t, ctx, chromedp.Navigate("http://somebody:right@"+e.address+"/"))
	await(t, ctx, rows+".length === 2")
	if !value[bool](t, ctx, `document.querySelector('header a[href="/tcp"]') !== null`) {
		t.Error("no link to the metrics")
	}
	other, err := bcrypt.GenerateFromPassword([]byte("other"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users("basic_auth_users:\n  somebody: " + string(other) + "\n")
	await(t, ctx, notice+`.includes("401")`)
	// A browser without a window forgets a password that was refused, where one with a window asks for another: the door
	// has to open for it.
	users("basic_auth_users: {}\n")
	await(t, ctx, notice+` === "" && !document.body.classList.contains("stale")`)
}
