package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	manyConnections = 1000 // two streams each: 4.5 MB of an answer
	fewConnections  = 100
	pressureRate    = 30_000 // packets a second

	// memoryBound is by how much the exporter may grow under a fault, at its peak. A scrape holds a
	// copy of all streams (here 0.2 MB), and at most four hold one at the same time; a connection
	// holds two buffers of 4 KiB and a stack or two of 8 KiB (128 of them: 4 MB), and leaves them as
	// garbage when another one takes its place. The collector of garbage lets it come to twice as much
	// before it collects, and the runtime keeps some spans for later use: 24 MB, however many come and
	// however long they stay.
	memoryBound = 24 << 20
)

// pressure is the set-up of every fault: an exporter beside A, packets of many streams whose counts
// are known, and a real transfer between the namespaces.
type pressure struct {
	*lab.Exporter
	l        *lab.Lab
	s        *server
	c        *client
	gen      *generator // of the newest load
	tcpgen   string
	streams  float64 // of all loads so far
	stop     func()  // ends the transfer
	resident int64   // bytes, before the fault
}

// newPressure starts the exporter as a process of the given words, its flags behind them, then
// everything else. When it returns all streams are known.
func newPressure(t *testing.T, connections int, words ...string) *pressure {
	t.Helper()
	return newPressureTLS(t, nil, connections, words...)
}

// newPressureTLS is newPressure of an exporter that is asked by TLS.
func newPressureTLS(t *testing.T, config *tls.Config, connections int, words ...string) *pressure {
	t.Helper()
	p := &pressure{l: lab.New(t), tcpgen: buildGenerator(t)}
	p.s, p.c = serve(t, p.l.A, p.l.A.Addr), newClient(t, p.l.B)
	p.Exporter = p.l.A.StartExporterTLS(t, config, words[0], append(words[1:], "-interface", lab.IfName)...)
	p.load(t, connections)
	p.awaitStreams(t)
	p.resident = resident(t, p.PID())
	return p
}

// load starts packets of so many new connections, and the transfer.
func (p *pressure) load(t *testing.T, connections int) {
	t.Helper()
	p.streams += 2 * float64(connections)
	seed := strconv.Itoa(int(p.streams)) // another one each time
	p.gen = generateConnections(t, p.l.B, p.tcpgen, connections, pressureRate, "-seed", seed)
	p.stop = keepTrafficUp(t, p.s, p.c, 5*time.Millisecond)
	t.Cleanup(p.stop) // before the server goes
}

// unload ends them, and returns how many packets there were.
func (p *pressure) unload(t *testing.T) (packets float64) {
	t.Helper()
	p.stop()
	p.gen.cmd.Process.Signal(syscall.SIGTERM)
	return p.gen.wait(t)
}

// awaitStreams waits until the exporter knows the streams of all loads and of the transfer.
func (p *pressure) awaitStreams(t *testing.T) {
	t.Helper()
	p.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if n := m["tcp_stream_count"]; n < p.streams+2 {
			return fmt.Errorf("tcp_stream_count is %v, want %v and those of the transfer", n, p.streams)
		}
		return nil
	})
}

// calm ends the load, and wants every packet of it to be accounted, the figures of every stream to
// be what its sender says, and the memory to have stayed within its bound.
func (p *pressure) calm(t *testing.T) lab.Metrics {
	t.Helper()
	return p.calmWithin(t, memoryBound)
}

// calmWithin is calm with another bound of memory.
func (p *pressure) calmWithin(t *testing.T, bound int64) lab.Metrics {
	t.Helper()
	sent := p.unload(t)
	m := p.Settle(t)
	nothingDropped(t, m)
	sameBytes(t, m, p.s, p.c)
	p.gen.checkStreams(t, m)
	grown := peak(t, p.PID()) - p.resident
	conn, _ := p.s.with(t, p.c)
	t.Logf("%v packets of %d streams and a transfer of %d bytes, nothing dropped; resident memory %.1f MB, peak %.1f MB more",
		sent, 2*p.gen.connections, conn.written.Load(), float64(p.resident)/1e6, float64(grown)/1e6)
	if grown > bound {
		t.Errorf("resident memory grew by %d bytes from %d, want at most %d more", grown, p.resident, bound)
	}
	return m
}

// nothingDropped wants the exporter's counters of lost packets to be 0.
func nothingDropped(t *testing.T, m lab.Metrics) {
	t.Helper()
	for _, name := range []string{
		"capture_dropped_packets_total", "capture_queue_freezes_total",
		"tcp_stream_exporter_no_room_packets_total", "tcp_stream_exporter_ring_blocks_bad_total",
	} {
		if v, ok := m[name]; !ok || v != 0 {
			t.Errorf("%s is %v (there: %v), want 0", name, v, ok)
		}
	}
}

// resident returns the resident memory of a process in bytes, from which peak counts from now on
// (proc_pid_clear_refs(5)).
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return memory(t, pid, "VmRSS")
}

// peak returns the largest resident memory of a process so far, in bytes.
func peak(t *testing.T, pid int) int64 { return memory(t, pid, "VmHWM") }

// memory returns a field of /proc/PID/status in bytes.
func memory(t *testing.T, pid int, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			if err != nil {
				t.Fatalf("%s of process %d: %v", field, pid, err)
			}
			return kib << 10
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return 0
}

// processor returns a function that returns the share of one processor that a process has had since,
// from /proc/PID/stat.
func processor(t *testing.T, pid int) (share func() float64) {
	t.Helper()
	const tick = 10 * time.Millisecond // of the kernel's count, USER_HZ (proc_pid_stat(5))
	used := func() time.Duration {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		// The name in brackets is the second field and may hold anything; utime and stime are the
		// 14th and 15th.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		var sum time.Duration
		for _, field := range fields[11:13] {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(n) * tick
		}
		return sum
	}
	before, begin := used(), time.Now()
	return func() float64 { return float64(used()-before) / float64(time.Since(begin)) }
}
