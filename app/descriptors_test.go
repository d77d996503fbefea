package app

import (
	"os"
	"strings"
	"testing"

	"tcp-stream-exporter/web"
)

// Whatever the limit of open files is, connections, refusals and everything else stay within it.
func TestClientsWithinTheLimitOfOpenFiles(t *testing.T) {
	for name, o := range map[string]*options{
		"defaults":        {workers: 1},
		"eight workers":   {workers: 8},
		"profiles":        {workers: 1, pprof: ":6060"},
		"process metrics": func() *options { o := &options{workers: 1}; o.metrics.ProcessMetrics = true; return o }(),
	} {
		t.Run(name, func(t *testing.T) {
			const open = 7
			before, bound := 0, 0
			for limit := uint64(1); limit < 400; limit++ {
				n, err := o.clientsWithin(limit, open)
				if err != nil {
					if bound > 0 {
						t.Fatalf("%d files are too few, fewer were enough: %v", limit, err)
					}
					if message := err.Error(); !strings.Contains(message, "RLIMIT_NOFILE") || !strings.Contains(message, "LimitNOFILE=") || strings.Contains(message, "\n") {
						t.Fatalf("%q does not name the limit and the remedy in one line", message)
					}
					continue
				}
				if n < before || n < minClients || n > maxClients || uint64(open+laterFiles+filesPerWorker*o.workers+n+web.Refusing(n)) > limit {
					t.Errorf("%d connections within %d files, %d with one less", n, limit, before)
				}
				before, bound = n, n
			}
			if bound != maxClients {
				t.Errorf("%d connections within 400 files, want %d", bound, maxClients)
			}
		})
	}
	if n, err := (&options{workers: 1}).clientsWithin(32, 5); err != nil || n < 4 {
		t.Errorf("%d connections within 32 files, %v; want 4 or more", n, err)
	}
	if n, err := (&options{workers: 1}).clientsWithin(1<<64-1, 5); err != nil || n != maxClients { // RLIM_INFINITY
		t.Errorf("%d connections without a limit, %v", n, err)
	}
	const inFiles = "needed with -workers 3: raise it"
	if _, err := (&options{workers: 3}).clientsWithin(20, 5); err == nil || !strings.Contains(err.Error(), inFiles) {
		t.Errorf("%v, want %q in it", err, inFiles)
	}
}

func TestOpenFiles(t *testing.T) {
	before := openFiles()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n := openFiles(); n != before+2 {
		t.Errorf("%d files are open with two more than %d", n, before)
	}
}
