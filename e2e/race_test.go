//go:build race

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// The exporter itself, built with the race detector: two workers under load, scrapes of every kind at
// the same time, the interface going away and coming back, and the end in the middle of it. The
// detector has a program that raced exit with status 66. One of "make race".
func TestRaceDetectorFindsNothing(t *testing.T) {
	path := racing(t)
	p := newPressure(t, fewConnections, path, "-workers", "2", "-stream-age", "3s", "-finalized-age", "1s",
		"-streams-top", "150", "-process-metrics")
	stop := make(chan struct{})
	var scrapers sync.WaitGroup
	var answers atomic.Int64
	for _, header := range [][2]string{
		{"Accept-Encoding", "identity"}, {"Accept-Encoding", "gzip"}, {"Accept-Encoding", "zstd"},
		{"Accept", "application/openmetrics-text; version=1.0.0"},
	} {
		scrapers.Go(func() {
			client := p.l.A.HTTPClient(10 * time.Second)
			for i, page := range cycle(stop, "/metrics", "/", "/metrics?name[]=tcp_stream_count", "/metrics") {
				r, err := http.NewRequest("GET", "http://"+lab.Address+page, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set(header[0], header[1])
				if resp, err := p.Send(client, r); err == nil { // once it has ended there is no answer
					if i%3 != 0 { // the others hang up in the middle
						io.Copy(io.Discard, resp.Body)
					}
					resp.Body.Close()
					answers.Add(1)
				}
			}
		})
	}
	time.Sleep(time.Second)
	for _, state := range []string{"down", "up"} {
		p.l.A.Run(t, "ip", "link", "set", lab.IfName, state)
		time.Sleep(time.Second)
	}
	time.Sleep(2 * time.Second)
	m := p.Scrape(t)
	if m["tcp_stream_exporter_ring_reopened_total"] < 1 || m["capture_packets_processed_total"] == 0 {
		t.Errorf("%v packets, the interface back %v times", m["capture_packets_processed_total"], m["tcp_stream_exporter_ring_reopened_total"])
	}
	status, _ := p.Stop(t, syscall.SIGTERM)
	close(stop)
	scrapers.Wait()
	if n := answers.Load(); n < 20 {
		t.Errorf("%d answers, want some more", n)
	}
	if out := p.Output(); status != 0 || strings.Contains(out, "DATA RACE") {
		t.Errorf("exit status %d, want 0 and no word of a race:\n%s", status, out)
	}
}

// TestGroupReadings with that exporter. A reading takes it up to a second, so the short form has fewer.
func TestRaceDetectorFindsNothingInReadings(t *testing.T) {
	e := readGroups(t, racing(t), 20)
	if status, _ := e.Stop(t, syscall.SIGTERM); status != 0 || strings.Contains(e.Output(), "DATA RACE") {
		t.Errorf("exit status %d, want 0 and no word of a race", status) // the lab logs what it said
	}
}

// racing returns the path of the exporter with the race detector; it is built for the first test that asks.
func racing(t *testing.T) string {
	t.Helper()
	path, err := buildRacing()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildRacing = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	path := filepath.Join(binDir, "tcp-stream-exporter-race")
	// Without the profile, so that the packages are those that the tests have been built with.
	build := exec.Command("go", "build", "-C", "..", "-race", "-pgo=off", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=1") // what the detector needs, however the tests are built
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the exporter with the race detector: %w\n%s", err, out)
	}
	return path, nil
})

// cycle yields the pages again and again until stop is closed.
func cycle(stop <-chan struct{}, pages ...string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if !yield(i, pages[i%len(pages)]) {
				return
			}
		}
	}
}
