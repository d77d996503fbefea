package app

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/group"
)

// groupsInterval is how often the file of groups is looked at. One that has changed is read when it has been the same for
// as long: who writes it may not be done.
const groupsInterval = 2 * time.Second

// groupsInForce are the groups by which the workers count now.
type groupsInForce struct{ set atomic.Pointer[group.Set] }

// name returns the label of a group, also of one that a list before had.
func (g *groupsInForce) name(m group.Member) string { return g.set.Load().Label(m) }

// groupReloader reads the file of groups again when it changes and when it is told to. Groups that are bad, or cannot be
// read, change nothing.
type groupReloader struct {
	path  string
	load  func() (*group.Set, fileState, error) // of path, and what belongs to it
	apply func(*group.Set)
	log   *slog.Logger

	read fileState // the file as it was read last, good or bad
	seen fileState // the file at the last look

	mu     sync.Mutex // guards the rest
	failed bool
	last   time.Time // when groups were last read without an error
}

// newGroupReloader returns the groupReloader of a file that has been read without an error, when it was in a state.
func newGroupReloader(path string, state fileState, load func() (*group.Set, fileState, error), apply func(*group.Set), log *slog.Logger) *groupReloader {
	return &groupReloader{path: path, load: load, apply: apply, log: log, read: state, seen: state, last: time.Now()}
}

// run reads again at each signal, and when the file has changed, until ctx ends.
func (r *groupReloader) run(ctx context.Context, hangUps <-chan os.Signal) {
	ticker := time.NewTicker(groupsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUps:
			r.reload()
		case <-ticker.C:
			r.look()
		}
	}
}

// look reads the file again if it is another than the one that was read, and the same as at the last look.
func (r *groupReloader) look() {
	var now fileState // the zero value of one that cannot be found
	if info, err := os.Stat(r.path); err == nil {
		now = stateOf(info)
	}
	settled := now == r.seen
	r.seen = now
	if settled && now != r.read {
		r.reload()
	}
}

// reload reads the file and puts its groups into force, or logs why not.
func (r *groupReloader) reload() {
	begin := time.Now()
	set, state, err := r.load()
	r.read, r.seen = state, state
	r.note(err, begin)
	if err != nil {
		r.log.Warn("the groups cannot be read again: those before stay in force", "reason", err)
		return
	}
	r.apply(set)
	r.log.Info("groups read again", "file", r.path, "groups", set.Groups(), "prefixes", set.Prefixes(), "took", time.Since(begin).Round(time.Millisecond))
}

func (r *groupReloader) note(err error, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed = err != nil; !r.failed {
		r.last = at
	}
}

// figures returns how the last reading went, for the exporter's own families.
func (r *groupReloader) figures() collector.GroupReload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return collector.GroupReload{Successful: !r.failed, LastSuccess: r.last}
}

// fileState tells a file from what it was before: from one that was replaced or written to, also within the same second
// and with the time of another. The zero value is that of a file that cannot be found. Comparable.
type fileState struct {
	inode             uint64
	size              int64
	modified, changed int64 // ns since 1970; st_mtim, st_ctim in stat(2)
}

func stateOf(info os.FileInfo) fileState {
	s := fileState{size: info.Size(), modified: info.ModTime().UnixNano()}
	if more, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.changed = more.Ino, more.Ctim.Nano()
	}
	return s
}
