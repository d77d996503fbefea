package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
)

// reloading is a groupReloader with the groups that it has put into force, and its log.
type reloading struct {
	*groupReloader
	path string
	set  atomic.Pointer[group.Set]
	said *bytes.Buffer
}

// newReloading loads a file as the start of the program does.
func newReloading(t *testing.T, text string) *reloading {
	t.Helper()
	r := &reloading{path: write(t, text), said: &bytes.Buffer{}}
	o, err := parseFlags([]string{"-groups", r.path}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	set, state, err := o.groups.load()
	if err != nil {
		t.Fatal(err)
	}
	r.set.Store(set)
	r.groupReloader = newGroupReloader(r.path, state, o.groups.load, r.set.Store, slog.New(slog.NewTextHandler(r.said, nil)))
	return r
}

// now returns the label of an address that all files here have in a group.
func (r *reloading) now() string {
	set := r.set.Load()
	return set.Label(set.Find(parse.AddrFrom(netip.MustParseAddr("10.0.0.1"))))
}

// lines returns what was logged since the last call.
func (r *reloading) lines() string {
	defer r.said.Reset()
	return r.said.String()
}

// want fails the test if other groups are in force, or if something else was logged than one line with each part.
func (r *reloading) want(t *testing.T, says, group string, successful bool, logged ...string) {
	t.Helper()
	if got := r.now(); got != group {
		t.Errorf("%s: the group is %s, want %s", says, got, group)
	}
	if got := r.figures().Successful; got != successful {
		t.Errorf("%s: successful is %v", says, got)
	}
	lines := r.lines()
	if strings.Count(lines, "\n") != min(len(logged), 1) {
		t.Errorf("%s: logged\n%s, want one line with %q", says, lines, logged)
	}
	for _, part := range logged {
		if !strings.Contains(lines, part) {
			t.Errorf("%s: logged\n%s, want %q in it", says, lines, part)
		}
	}
}

func (r *reloading) change(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// The kernel's clock may not have moved on since the last change.
	changes++
	at := time.Unix(1_000_000_000+changes, 0)
	if err := os.Chtimes(r.path, at, at); err != nil {
		t.Fatal(err)
	}
}

var changes int64 // that were made to files, so that each has another time

func TestReload(t *testing.T) {
	r := newReloading(t, "a 10.0.0.0/8\n")
	first := r.figures().LastSuccess
	if time.Since(first) > time.Minute {
		t.Errorf("the start was at %v", first)
	}
	r.look()
	r.look()
	r.want(t, "nothing has changed", "a", true)

	r.change(t, "b 10.0.0.0/8\nc 11.0.0.0/8 12.0.0.0/8")
	r.look()
	r.want(t, "it has changed just now", "a", true)
	r.look()
	r.want(t, "it has not changed since", "b", true, `msg="groups read again"`, "groups=2", "prefixes=3", "file="+r.path)
	r.look()
	r.want(t, "it is read once", "b", true)

	r.change(t, "c 10.0.0.0/8")
	r.look()
	r.change(t, "d 10.0.0.0/8")
	r.look()
	r.want(t, "it is being written", "b", true)
	r.look()
	r.want(t, "it is written", "d", true, "groups=1")
	good := r.figures().LastSuccess
	if !good.After(first) {
		t.Errorf("the last success is %v, and was %v before", good, first)
	}

	r.change(t, "d 10.0.0.0/8\ne 10.0.0.0/8")
	r.look()
	r.look()
	r.want(t, "a bad file", "d", false, "level=WARN", "those before stay in force", "line 2: 10.0.0.0/8 is in group d already")
	for range 3 {
		r.look()
	}
	r.want(t, "a bad file that stays", "d", false)
	r.reload()
	r.want(t, "a bad file on a signal", "d", false, "line 2")
	if got := r.figures().LastSuccess; got != good {
		t.Errorf("the last success is %v, want %v", got, good)
	}
	r.change(t, "f 10.0.0.0/8 #")
	r.reload()
	r.want(t, "a good file on a signal", "f", true, "groups read again")
	r.look()
	r.look()
	r.want(t, "it is not read once more", "f", true)
}

func TestReloadOfAFileThatIsReplaced(t *testing.T) {
	r := newReloading(t, "a 10.0.0.0/8\n")
	info, err := os.Stat(r.path)
	if err != nil {
		t.Fatal(err)
	}
	other := r.path + ".new"
	if err := os.WriteFile(other, []byte("b 10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// With the same size and time, as a copy of a package may have.
	if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, r.path); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.look()
	r.want(t, "replaced", "b", true, "groups read again")

	if err := os.Rename(r.path, other); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.want(t, "away for a moment", "b", true)
	r.look()
	r.want(t, "away", "b", false, "no such file or directory: name a file")
	r.look()
	r.want(t, "still away", "b", false)
	if err := os.Rename(other, r.path); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.look()
	r.want(t, "there again", "b", true, "groups read again")
}

// TestReloadOnSignals runs the loop, with readers while sets are swapped.
func TestReloadOnSignals(t *testing.T) {
	r := newReloading(t, "g0 10.0.0.0/8\n")
	ctx, cancel := context.WithCancel(t.Context())
	hangUps := make(chan os.Signal)
	var all sync.WaitGroup
	all.Go(func() { r.run(ctx, hangUps) })
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				if got := r.now(); !strings.HasPrefix(got, "g") {
					t.Errorf("the group is %s", got)
					return
				}
				r.figures()
			}
		})
	}
	for i := 1; i <= 50; i++ { // g0 is in force: the wait for it would not wait
		r.change(t, fmt.Sprintf("g%d 10.0.0.0/8\n", i))
		hangUps <- syscall.SIGHUP
		for deadline := time.Now().Add(20 * time.Second); r.now() != fmt.Sprintf("g%d", i); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the group is %s after 20 s, want g%d", r.now(), i)
			}
		}
	}
	cancel()
	all.Wait()
}
