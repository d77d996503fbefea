package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// TestClientsThatDoNotRead has more of them with
//
//	go test -v ./e2e -run ClientsThatDoNotRead -args -clients 5000
var clients = flag.Int("clients", 1000, "clients that do not read")

const (
	// goodScrapeTime bounds scrapes by a client that reads, whatever others do: half of them, as a busy machine
	// may need longer now and then, and worstScrapeTime all of them. Beside unbounded clients there was no answer
	// in five seconds.
	goodScrapeTime  = time.Second
	worstScrapeTime = 3 * time.Second
	// quietTime is longer than any client may hold what another one waits for.
	quietTime = 2 * time.Second
)

// crowd is many connections to an exporter from which nothing is read.
type crowd []net.Conn

// connect opens n connections with a small receive buffer inside the namespace, and sends request on each.
func connect(t *testing.T, ns *lab.NS, n int, request string) crowd {
	t.Helper()
	dialer := net.Dialer{Timeout: httpTimeout, Control: func(_, _ string, raw syscall.RawConn) (err error) {
		_ = raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		})
		return err
	}}
	var all crowd
	t.Cleanup(func() { all.leave() })
	err := ns.Do(func() error {
		for range n {
			c, err := dialer.DialContext(context.Background(), "tcp4", lab.Address)
			if err != nil {
				return err
			}
			all = append(all, c)
			_, _ = io.WriteString(c, request) // fails if it has been turned away meanwhile
		}
		return nil
	})
	if err != nil {
		t.Fatalf("connection %d: %v", len(all)+1, err)
	}
	return all
}

func (c crowd) leave() {
	for _, conn := range c {
		conn.Close()
	}
}

const scrapeRequest = "GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n"

// 1,000 clients (-clients) ask for 1,000 streams, or do not even ask, and read nothing. Whoever reads gets its
// answer in time, at once and later, and they cost the exporter little.
func TestClientsThatDoNotRead(t *testing.T) {
	const asking = "ask for the metrics" // beside these no good scrape is refused even once
	for name, request := range map[string]string{
		asking:                    scrapeRequest,
		"never end the header":    "GET /metrics HTTP/1.1\r\nHost: ",
		"never send the body":     "POST /metrics HTTP/1.1\r\nHost: exporter\r\nContent-Length: 1000\r\n\r\n",
		"connect and say nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPressure(t, 500, binary(t), "-go-metrics")
			begin := time.Now()
			connect(t, p.l.A, *clients, request)
			t.Logf("%d clients connected in %v", *clients, time.Since(begin))
			busy := processor(t, p.PID())
			pauses := []time.Duration{0, 0, time.Second / 2}
			if name == asking {
				pauses = append(pauses, quietTime)
			}
			late := 0
			for i, pause := range pauses {
				time.Sleep(pause)
				begin := time.Now()
				resp, body, err := p.Do("GET", "/metrics")
				for name != asking && err == nil && resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "" && time.Since(begin) < worstScrapeTime {
					t.Log("refused: ", body)
					time.Sleep(50 * time.Millisecond)
					resp, body, err = p.Do("GET", "/metrics")
				}
				took := time.Since(begin)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("scrape %d beside %d clients failed after %v: %v %v", i, *clients, took, resp, err)
				}
				m, err := lab.ParseMetrics(strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("scrape %d: %v for %.1f MB of %v streams; %v goroutines, %d descriptors, %.1f MB resident", i, took,
					float64(len(body))/1e6, m["tcp_stream_count"], m["go_goroutines"], descriptors(t, p.PID()), float64(memory(t, p.PID(), "VmRSS"))/1e6)
				if took > goodScrapeTime {
					late++
				}
				if took > worstScrapeTime || m["tcp_stream_count"] < p.streams {
					t.Errorf("scrape %d beside %d clients: %v for %v streams, want %v or more within %v", i, *clients, took,
						m["tcp_stream_count"], p.streams, worstScrapeTime)
				}
			}
			if 2*late > len(pauses) {
				t.Errorf("%d of %d scrapes took longer than %v", late, len(pauses), goodScrapeTime)
			}
			t.Logf("%.1f%% of a processor", 100*busy())
			p.calm(t)
		})
	}
}

// descriptors returns how many files a process has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A client that reads 100 kB/s all the time gets its whole answer, as nobody waits for its place.
func TestASlowHonestScraper(t *testing.T) {
	t.Parallel()
	p := newPressure(t, fewConnections*2, binary(t))
	c := connect(t, p.l.A, 1, "GET /metrics HTTP/1.0\r\n\r\n")[0]
	var all strings.Builder
	begin := time.Now()
	for {
		n, err := io.CopyN(&all, c, 10_000)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes and %v: %v", all.Len(), time.Since(begin), err)
		}
		time.Sleep(time.Duration(n) * time.Second / 100_000)
	}
	head, body, _ := strings.Cut(all.String(), "\r\n\r\n")
	m, err := lab.ParseMetrics(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", head, err)
	}
	t.Logf("%d bytes in %v", all.Len(), time.Since(begin))
	series := 0
	for key := range m {
		if strings.HasPrefix(key, "tcp_bytes_transferred_total{") {
			series++
		}
	}
	if float64(series) < p.streams {
		t.Errorf("%d streams, want %v", series, p.streams)
	}
	p.calm(t)
}

// Clients take all the descriptors that they get. An interface that goes and comes back is captured again
// all the same, and scrapes are answered.
func TestReopensBesideClientsThatTakeAllDescriptors(t *testing.T) {
	need.Tool(t, "prlimit")
	const limit = 32
	for name, request := range map[string]string{"silent": "", "asking": scrapeRequest} {
		for _, workers := range []string{"1", "2"} {
			t.Run(name+" with workers="+workers, func(t *testing.T) {
				l := lab.New(t)
				e := l.A.StartExporter(t, "prlimit", fmt.Sprintf("--nofile=%d:%[1]d", limit), binary(t), "-interface", lab.IfName, "-workers", workers, "-numblocks", "16")
				idle := descriptors(t, e.PID())
				connect(t, l.A, 5*limit, request)
				said := func(line string) {
					t.Helper()
					begin := time.Now()
					for !strings.Contains(e.Output(), line) {
						if time.Since(begin) > 2*resumeWithin {
							t.Fatalf("the log does not say %q within %v; %d descriptors of %d", line, time.Since(begin), descriptors(t, e.PID()), limit)
						}
						time.Sleep(10 * time.Millisecond)
					}
				}
				t.Logf("%d descriptors without clients, %d with %d of them, limit %d", idle, descriptors(t, e.PID()), 5*limit, limit)
				l.A.Run(t, "ip", "link", "del", lab.IfName)
				said("the interface went away")
				time.Sleep(300 * time.Millisecond) // the old ring's descriptors are free by now
				(&life{l: l}).makeVeth(t)
				said("capturing again")
				if m := e.Scrape(t); m[interfaceUp] != 1 {
					t.Errorf("%s is %v after the interface came back", interfaceUp, m[interfaceUp])
				}
			})
		}
	}
}
