package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// Killed at its busiest, the exporter leaves nothing behind, and the next one captures everything
// from its first packet on.
func TestKilledAndRestartedUnderLoad(t *testing.T) {
	p := newPressure(t, fewConnections, binary(t))
	if n := packetSockets(t, p.l.A); n != 1 {
		t.Errorf("%d packet sockets beside the exporter, want its own", n)
	}
	p.Stop(t, syscall.SIGKILL)
	if n := packetSockets(t, p.l.A); n != 0 {
		t.Errorf("%d packet sockets after SIGKILL, want none", n)
	}

	// Everything still runs. What the new one sees from the first packet on must be exact.
	p.Exporter = p.l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	p.awaitStreams(t)
	p.unload(t)
	p.c.CloseIdleConnections()
	p.load(t, fewConnections)
	p.awaitStreams(t)
	p.resident = resident(t, p.PID())
	time.Sleep(500 * time.Millisecond)
	p.calm(t)
	if status, after := p.Stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d, %v after SIGTERM, want 0", status, after)
	}
	if n := packetSockets(t, p.l.A); n != 0 {
		t.Errorf("%d packet sockets after SIGTERM, want none", n)
	}
}

// packetSockets returns how many packet sockets there are in a namespace.
func packetSockets(t *testing.T, ns *lab.NS) int {
	t.Helper()
	return strings.Count(ns.Run(t, "cat", "/proc/net/packet"), "\n") - 1 // a heading
}

// A SIGTERM ends the exporter within a second, whatever its scrapers do: one reads as fast as it
// can, others do not read at all.
func TestStopsDuringAScrape(t *testing.T) {
	p := newPressure(t, manyConnections, binary(t))
	const stalled = 3 // with the quick one as many as the exporter serves at once
	var conns []*net.TCPConn
	for range stalled {
		conns = append(conns, request(t, p.l.B, netip.AddrPortFrom(p.l.A.Addr, 9100).String()))
	}
	results := make(chan error, 1)
	scraped := make(chan struct{}, 1)
	go func() {
		for n := 0; ; n++ {
			resp, body, err := p.Do("GET", "/metrics")
			if err != nil {
				results <- nil
				return
			}
			if _, parse := lab.ParseMetrics(strings.NewReader(body)); parse != nil || resp.StatusCode != http.StatusOK {
				results <- fmt.Errorf("a scrape that ended well: %s, %v", resp.Status, parse)
				return
			}
			select {
			case scraped <- struct{}{}:
			default:
			}
		}
	}()
	<-scraped
	time.Sleep(50 * time.Millisecond) // somewhere in the next
	const patience = time.Second
	if status, after := p.Stop(t, syscall.SIGTERM); status != 0 || after > patience {
		t.Errorf("exit status %d after %v, want 0 within %v", status, after, patience)
	} else {
		t.Logf("ended %v after SIGTERM", after)
	}
	for _, c := range conns {
		// What is in the kernel's buffers comes, then the end, and no wait.
		n, err := io.Copy(io.Discard, c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stalled scraper hangs after %d bytes", n)
		}
		t.Logf("a stalled scraper got %d bytes, then %v", n, err)
	}
	select {
	case err := <-results:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(httpTimeout):
		t.Error("the quick scraper hangs")
	}
	if n := packetSockets(t, p.l.A); n != 0 {
		t.Errorf("%d packet sockets after the end, want none", n)
	}
}

// request asks for /metrics over a connection of its own with a small window, from which nothing is
// read yet; all reads together end within httpTimeout.
func request(t *testing.T, ns *lab.NS, address string) *net.TCPConn {
	t.Helper()
	conn, err := ns.Dial(context.Background(), "tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := conn.(*net.TCPConn)
	c.SetReadBuffer(32 << 10)
	c.SetDeadline(time.Now().Add(httpTimeout))
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// Where logs go nowhere, or to a reader that has stopped reading, the exporter works as ever. The
// interface goes down and up, so that there is something to say.
func TestLogsThatCannotBeWritten(t *testing.T) {
	t.Parallel() // mostly it waits
	full := func(t *testing.T) string {
		need.File(t, "/dev/full")
		return "/dev/full"
	}
	for name, log := range map[string]func(*testing.T) string{"full device": full, "full disk": fullDisk, "stuck reader": stuckPipe} {
		t.Run(name, func(t *testing.T) {
			p := newPressure(t, fewConnections, "sh", "-c", `exec "$@" 2>>"$0"`, log(t), binary(t), "-debug")
			p.calm(t)
			p.l.A.Run(t, "ip", "link", "set", lab.IfName, "down")
			p.l.A.Run(t, "ip", "link", "set", lab.IfName, "up")
			reopened := p.Await(t, 3*time.Second, func(m lab.Metrics) error {
				if m["tcp_stream_exporter_ring_reopened_total"] != 1 {
					return errors.New("tcp_stream_exporter_ring_reopened_total is not 1 after the interface was down")
				}
				return nil
			})
			nothingDropped(t, reopened)
			awaitCapture(t, p.Exporter, p.s, p.c)
			if status, after := p.Stop(t, syscall.SIGTERM); status != 0 || after > time.Second {
				t.Errorf("exit status %d after %v, want 0 within a second", status, after)
			}
		})
	}
}

// fullDisk returns a file on a file system of one page, which it fills.
func fullDisk(t *testing.T) string {
	t.Helper()
	need.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4096"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount the tmpfs: %v", err)
		}
	})
	path := dir + "/log"
	if err := os.WriteFile(path, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stuckPipe returns a pipe that is full and that nobody reads.
func stuckPipe(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/log"
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for err == nil {
		_, err = unix.Write(fd, make([]byte, 1))
	}
	if err != unix.EAGAIN {
		t.Fatalf("filling a pipe: %v, want %v", err, unix.EAGAIN)
	}
	return path
}

// Connections cannot take all file descriptors. Each of many more than there are is answered, the idle
// ones make room, and scrapes and the capture go on beside them.
func TestFileDescriptorsDoNotRunOut(t *testing.T) {
	need.Tool(t, "prlimit")
	const limit = 32
	p := newPressure(t, fewConnections, "prlimit", fmt.Sprintf("--nofile=%d:%[1]d", limit), binary(t))
	before := descriptors(t, p.PID())
	for i := range 3 * limit {
		c := connect(t, p.l.A, 1, "GET / HTTP/1.1\r\nHost: exporter\r\n\r\n")[0]
		c.SetReadDeadline(time.Now().Add(httpTimeout))
		if status, err := bufio.NewReader(c).ReadString('\n'); err != nil || status != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("connection %d: %q, %v", i+1, status, err)
		}
	}
	busy := processor(t, p.PID())
	time.Sleep(time.Second)
	share := busy()
	p.Scrape(t)
	t.Logf("%d descriptors before, %d with %d connections, limit %d; %.1f%% of a processor", before, descriptors(t, p.PID()), 3*limit, limit, 100*share)
	if share > 0.5 {
		t.Errorf("%.0f%% of a processor while connections are not closed, want at most 50%%", 100*share)
	}
	if strings.Contains(p.Output(), "Accept error") {
		t.Error("connections could not be accepted")
	}
	p.calm(t)
}

// A scraper that takes one byte a second costs the others nothing.
func TestAScraperThatReadsAByteASecond(t *testing.T) {
	t.Parallel() // mostly it waits
	p := newPressure(t, manyConnections, binary(t))
	const finished = "tcp_stream_exporter_scrape_duration_seconds_count"
	before := p.Scrape(t)[finished]
	slow := request(t, p.l.A, lab.Address)
	const seconds = 3
	scrapes, longest, size := 0.0, time.Duration(0), 0
	for range seconds {
		if _, err := slow.Read(make([]byte, 1)); err != nil {
			t.Fatalf("the slow scraper: %v", err)
		}
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			begin := time.Now()
			_, body, err := p.Do("GET", "/metrics")
			if err != nil || !strings.Contains(body, "\ntcp_stream_count ") {
				t.Fatalf("a scrape beside it: %d bytes, %v", len(body), err)
			}
			scrapes, longest, size = scrapes+1, max(longest, time.Since(begin)), len(body)
		}
	}
	// Its own and those beside it: the slow one's answer has not just gone into buffers.
	if got := p.Scrape(t)[finished] - before; got != 1+scrapes {
		t.Errorf("%v scrapes have ended, want the %v others: an answer of %d bytes is too short for this test", got, 1+scrapes, size)
	}
	t.Logf("%v scrapes of %.1f MB beside the slow one, the longest took %v", scrapes, float64(size)/1e6, longest)
	p.calm(t)
}

// 64 scrapers at once all get their answer.
func TestManyScrapersAtOnce(t *testing.T) {
	p := newPressure(t, manyConnections, binary(t))
	const scrapers = 64
	var group sync.WaitGroup
	begin := time.Now()
	for range scrapers {
		group.Go(func() {
			resp, err := p.Open(30 * time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			series := 0
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "tcp_bytes_transferred_total{") {
					series++
				}
			}
			if err := lines.Err(); err != nil || resp.StatusCode != http.StatusOK || series < 2*manyConnections {
				t.Errorf("%s, %d streams, %v; want 200, %d and the transfer's", resp.Status, series, err, 2*manyConnections)
			}
		})
	}
	group.Wait()
	t.Logf("%d scrapes at once took %v", scrapers, time.Since(begin))
	p.calm(t)
}
