package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	// ringsOfMemory is the part of the available memory that large rings take together, and mostRings how
	// many MiB at most: seconds of work for the kernel, if the memory is cold.
	ringsOfMemory = 4
	mostRings     = 2 << 10
	// openedWithin is patience with a kernel whose host has no memory at hand.
	openedWithin = time.Minute
	// stopsWithin is a second, and time for a busy machine.
	stopsWithin = 3 * time.Second
)

// A signal comes while the kernel allocates rings, one of gigabytes or as many as there may be: the end
// does not wait for them, and the log has its last line.
func TestStopsWhileRingsAreOpened(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 256} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Run("at the start", func(t *testing.T) {
				l := lab.New(t)
				e := l.A.LaunchExporter(t, binary(t), largeRings(t, workers)...)
				stopAmid(t, l.A, e, workers, "msg=starting")
			})
			t.Run("when the interface is back", func(t *testing.T) {
				l := lab.New(t)
				f := &life{l: l}
				e := l.A.LaunchExporter(t, binary(t), largeRings(t, workers)...)
				awaitLine(t, e, "msg=starting")
				l.A.Run(t, "ip", "link", "del", lab.IfName)
				awaitLine(t, e, "the interface went away")
				for begin := time.Now(); packetSockets(t, l.A) != 0; time.Sleep(10 * time.Millisecond) {
					if time.Since(begin) > openedWithin {
						t.Fatal("the rings of an interface that has gone stay open")
					}
				}
				f.makeVeth(t)
				stopAmid(t, l.A, e, workers, "capturing again")
			})
		})
	}
}

// largeRings returns the flags for rings that take a good part of the memory that is available.
func largeRings(t *testing.T, workers int) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	_, available, _ := strings.Cut(string(text), "MemAvailable:")
	kib, err := strconv.Atoi(strings.Fields(available)[0])
	if err != nil {
		t.Fatal(err)
	}
	const block = 1 << 20 // blocks of 1 MiB
	blocks := max(min(kib>>10/ringsOfMemory, mostRings)/workers, 1)
	t.Logf("%d rings of %d MiB", workers, blocks*block>>20)
	return []string{
		"-interface", lab.IfName, "-workers", strconv.Itoa(workers), "-max-connections", "10000",
		"-blocksize", strconv.Itoa(block), "-numblocks", strconv.Itoa(blocks),
	}
}

func awaitLine(t *testing.T, e *lab.Exporter, line string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(e.Output(), line); time.Sleep(10 * time.Millisecond) {
		if e.Ended() || time.Since(begin) > openedWithin {
			t.Fatalf("the log does not say %q after %v", line, time.Since(begin))
		}
	}
}

// stopAmid stops an exporter that opens its rings, as soon as there is one, and has not logged opened yet.
func stopAmid(t *testing.T, ns *lab.NS, e *lab.Exporter, workers int, opened string) {
	t.Helper()
	rings := 0
	for begin := time.Now(); rings == 0; rings = packetSockets(t, ns) {
		if e.Ended() || time.Since(begin) > openedWithin {
			t.Fatalf("no ring after %v", time.Since(begin))
		}
	}
	early := rings <= workers/2 && !strings.Contains(e.Output(), opened)
	status, after := e.Stop(t, syscall.SIGTERM)
	t.Logf("ended %v after SIGTERM at %d packet sockets", after, rings)
	if status != 0 || after > stopsWithin {
		t.Errorf("exit status %d after %v, want 0 within %v", status, after, stopsWithin)
	}
	out := e.Output()
	if n := strings.Count(out, "msg=stopped"); n != 1 {
		t.Errorf("%d lines of the end, want one", n)
	}
	if early && strings.Contains(out, opened) {
		t.Errorf("the log says %q after the signal: it waited for the opening", opened)
	}
	nothingLeft(t, ns)
}
