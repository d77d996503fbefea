package e2e

import (
	be "encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// soakTime is how long TestSoak lets connections come and go: go test ./e2e -run Soak -args -soak 10m
var soakTime = flag.Duration("soak", 4*time.Second, "length of the soak")

const (
	soakRate    = 300 // connections opened a second
	soakWorkers = 6   // that open them
	soakLong    = 20  // connections that stay, with some bytes every soakBeat
	soakBeat    = 100 * time.Millisecond

	soakStreamAge, soakFinalizedAge = 3 * time.Second, 2 * time.Second
	soakScrape                      = 2 * time.Second

	// What may differ between the start, when everything has been seen once, and any later time.
	// Scrapes make garbage until the heap has come to its goal, twice what is reachable, and is
	// collected: the goal, in bytes, has to stay, and memory may follow it.
	soakGoal       = 4 << 20
	soakResident   = 16 << 20
	soakGoroutines = 4 // of connections that are just being closed
	soakThreads    = 3
)

// Connections open and close for a long time while the exporter is scraped: its memory, threads and
// goroutines stay as they are, no packet is dropped, each connection is counted once, and when all is
// over nothing is left in the table.
func TestSoak(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-go-metrics", "-process-metrics", "-pprof", profilesAt,
		"-stream-age", soakStreamAge.String(), "-finalized-age", soakFinalizedAge.String())
	c := comeAndGo(t, l)
	time.Sleep(min(*soakTime/2, time.Minute)) // until everything has been seen once
	soakPoint(t, e)
	collect(t, l.A)
	first := soakPoint(t, e)
	t.Logf("%6s %9s %8s %9s %8s %8s %8s %8s %10s %8s", "s", "opened", "streams", "resident", "heap", "heap", "gorou-", "threads", "packets", "dropped")
	t.Logf("%6s %9s %8s %9s %8s %8s %8s %8s %10s %8s", "", "", "", "KiB", "KiB", "goal", "tines", "", "", "")
	first.log(t, 0)
	begin, logged := time.Now(), time.Duration(0)
	for end := begin.Add(*soakTime); time.Now().Before(end) && c.err() == nil; {
		time.Sleep(min(soakScrape, time.Until(end)))
		p := soakPoint(t, e)
		if err := p.check(first); err != nil {
			t.Error(err)
			break
		}
		if since := time.Since(begin); since-logged >= min(time.Minute, *soakTime/2) {
			logged = since - since%min(time.Minute, *soakTime/2)
			p.log(t, since)
		}
	}
	connections := c.stop(t)
	m := e.Await(t, soakStreamAge+agesLate, func(m lab.Metrics) error {
		if n := m["tcp_stream_exporter_connections"]; n != 0 {
			return fmt.Errorf("%v connections are left in the table, want none after %v of silence", n, soakStreamAge)
		}
		return nil
	})
	nothingDropped(t, m)
	if got := m["tcp_stream_exporter_streams_opened_total"]; got != 2*connections {
		t.Errorf("tcp_stream_exporter_streams_opened_total is %v, want two for each of the %v connections", got, connections)
	}
	t.Logf("%v connections, %v streams opened, none left", connections, m["tcp_stream_exporter_streams_opened_total"])
}

// collect has the exporter's garbage collected, so that the heap's goal is twice what is reachable now.
func collect(t *testing.T, ns *lab.NS) {
	t.Helper()
	answer, err := ns.HTTPClient(10 * time.Second).Get("http://" + profilesAt + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("heap profile: %s, %v", answer.Status, err)
	}
}

// point holds figures of the exporter by one scrape and by the kernel.
type point struct {
	opened, streams, goroutines, threads, packets, dropped float64
	resident, heap, goal                                   int64
}

func soakPoint(t *testing.T, e *lab.Exporter) point {
	t.Helper()
	m := e.Scrape(t)
	return point{
		opened: m["tcp_stream_exporter_streams_opened_total"] / 2, streams: m["tcp_stream_exporter_connections"] * 2,
		goroutines: m["go_goroutines"], threads: m["go_threads"],
		packets: m["capture_packets_processed_total"], dropped: m["capture_dropped_packets_total"],
		resident: memory(t, e.PID(), "VmRSS"), heap: int64(m["go_memstats_heap_alloc_bytes"]),
		goal: int64(m["go_memstats_next_gc_bytes"]),
	}
}

func (p point) log(t *testing.T, since time.Duration) {
	t.Helper()
	t.Logf("%6.0f %9.0f %8.0f %9d %8d %8d %8.0f %8.0f %10.0f %8.0f",
		since.Seconds(), p.opened, p.streams, p.resident>>10, p.heap>>10, p.goal>>10, p.goroutines, p.threads, p.packets, p.dropped)
}

// check holds p against the first point.
func (p point) check(first point) error {
	switch {
	case p.dropped != 0:
		return fmt.Errorf("%v packets were dropped", p.dropped)
	case p.packets <= first.packets || p.opened <= first.opened:
		return fmt.Errorf("%v packets of %v connections, no more than at the start", p.packets, p.opened)
	case p.resident > first.resident+soakResident:
		return fmt.Errorf("resident memory %d bytes, %d at the start: want at most %d more", p.resident, first.resident, int64(soakResident))
	case p.goal > first.goal+soakGoal:
		return fmt.Errorf("the heap's goal is %d bytes, %d at the start: want at most %d more", p.goal, first.goal, int64(soakGoal))
	case p.goroutines > first.goroutines+soakGoroutines:
		return fmt.Errorf("%v goroutines, %v at the start: want at most %v more", p.goroutines, first.goroutines, soakGoroutines)
	case p.threads > first.threads+soakThreads:
		return fmt.Errorf("%v threads, %v at the start: want at most %v more", p.threads, first.threads, soakThreads)
	}
	return nil
}

// traffic is connections from B to A that come and go.
type traffic struct {
	ended   chan struct{}
	running sync.WaitGroup
	opened  atomic.Int64
	failed  atomic.Pointer[error]
}

func comeAndGo(t *testing.T, l *lab.Lab) *traffic {
	t.Helper()
	to := netip.AddrPortFrom(l.A.Addr, 7)
	ln, err := l.A.Listen("tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	c := &traffic{ended: make(chan struct{})}
	t.Cleanup(func() { ln.Close() })
	go answer(ln)
	// Each runs on a thread of its own, which is in the namespace.
	work := func(n int, f func(k int) error) {
		for k := range n {
			c.running.Go(func() {
				if err := l.B.Do(func() error { return f(k) }); err != nil {
					c.failed.CompareAndSwap(nil, &err)
				}
			})
		}
	}
	dial := func() (*net.TCPConn, error) {
		conn, err := net.DialTimeout("tcp4", to.String(), httpTimeout)
		if err != nil {
			return nil, err
		}
		c.opened.Add(1)
		conn.SetDeadline(time.Now().Add(*soakTime + 2*time.Minute))
		return conn.(*net.TCPConn), nil
	}
	work(soakWorkers, func(k int) error {
		for n := k; c.sleep(time.Second * soakWorkers / soakRate); n++ {
			conn, err := dial()
			if err != nil {
				return err
			}
			if err := once(conn, n); err != nil {
				return fmt.Errorf("connection %d: %w", n, err)
			}
		}
		return nil
	})
	work(soakLong, func(k int) error {
		conn, err := dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		for c.sleep(soakBeat) {
			if err := ask(conn, 100*k, false); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(func() { c.end() })
	return c
}

// sleep waits, and reports whether to go on.
func (c *traffic) sleep(d time.Duration) bool {
	select {
	case <-c.ended:
		return false
	case <-time.After(d):
		return true
	}
}

func (c *traffic) err() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *traffic) end() {
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
	c.running.Wait()
}

// stop ends the traffic and returns how many connections there were.
func (c *traffic) stop(t *testing.T) float64 {
	t.Helper()
	c.end()
	if err := c.err(); err != nil {
		t.Fatal(err)
	}
	return float64(c.opened.Load())
}

// once is connection n from its first to its last byte: of ten, one is reset, five are closed by the
// client and four by the server.
func once(conn *net.TCPConn, n int) error {
	defer conn.Close()
	byServer := n%10 >= 6
	if err := ask(conn, n*977%20_000, byServer); err != nil {
		return err
	}
	if byServer {
		if k, err := conn.Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("%d bytes and %v at the end of the answer", k, err)
		}
	} else if n%10 == 0 {
		conn.SetLinger(0)
	}
	return nil
}

const askLen = 300

// ask sends a request for so many bytes, behind which the server may close, and reads them.
func ask(conn net.Conn, size int, last bool) error {
	request := be.BigEndian.AppendUint32(make([]byte, 0, askLen), uint32(size))
	if last {
		request = append(request, 1)
	}
	if _, err := conn.Write(request[:askLen]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(size))
	return err
}

// answer serves what ask asks for.
func answer(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer conn.Close()
			request := make([]byte, askLen)
			for {
				if _, err := io.ReadFull(conn, request); err != nil {
					return
				}
				size := be.BigEndian.Uint32(request)
				if _, err := io.CopyN(conn, zeros{}, int64(size)); err != nil || request[4] != 0 {
					return
				}
			}
		}()
	}
}
