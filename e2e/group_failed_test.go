package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	failedAttempts = 1000 // of each kind
	failedSynAge   = 3 * time.Second

	dropPort, rejectPort, unfinishedPort, openPort = 4001, 4002, 4003, 4004
)

// 1,000 attempts at a port that drops SYNs, at one that rejects them and at one whose answer the client never
// acknowledges count as such, exactly, and at one that accepts them as connections.
func TestGroupFailures(t *testing.T) {
	t.Parallel() // mostly it waits
	need.Tool(t, "nft")
	r := lab.NewRouter(t, lab.RouterConfig{})
	r.B.Run(t, "nft", fmt.Sprintf("add table ip fail; add chain ip fail in { type filter hook input priority 0; }; "+
		"add rule ip fail in tcp dport %d drop", dropPort))
	r.A.Run(t, "nft", fmt.Sprintf("add table ip fail; add chain ip fail out { type filter hook output priority 0; }; "+
		"add rule ip fail out tcp dport %d tcp flags & syn == 0 drop", unfinishedPort))
	for _, port := range []int{unfinishedPort, openPort} {
		ln, err := r.B.Listen("tcp4", fmt.Sprintf("%v:%d", r.B.Addr, port))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
	}
	// A second repeat of the SYN+ACK would come when the connection is over and done with, and begin another one.
	r.B.Run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_synack_retries")
	e := r.M.StartExporter(t, binary(t), append(routerGroups, "-interface", "tob", "-syn-age", failedSynAge.String(),
		"-service-ports", fmt.Sprintf("%d,%d,%d,%d", dropPort, rejectPort, unfinishedPort, openPort))...)
	// What the kernels send again behind the handshakes: a queue of the machine's that others fill may lose a FIN.
	again := func() (n float64) {
		for _, ns := range []*lab.NS{r.A, r.B} {
			counters := ns.Counters(t)
			handshakes, ok := counters["TcpExtTCPSynRetrans"]
			if !ok {
				t.Fatal("the kernel does not count SYNs sent again")
			}
			n += float64(counters["TcpRetransSegs"] - handshakes)
		}
		return n
	}
	before := again()
	for _, port := range []int{dropPort, rejectPort, unfinishedPort, openPort} {
		attempt(t, r.A, r.B, port)
	}
	failed := func(m lab.Metrics, port int, reason string) float64 {
		return m[combination{"home", "remote", fmt.Sprint(port)}.key("tcp_group_connections_failed_total", "reason", reason)]
	}
	begin := time.Now()
	m := e.Await(t, 30*time.Second, func(m lab.Metrics) error {
		a, b, c := failed(m, dropPort, "unanswered"), failed(m, rejectPort, "refused"), failed(m, unfinishedPort, "unfinished")
		if half := groupSum(m, "tcp_group_connections", "state", "half_open"); a+b+c < 3*failedAttempts || half != 0 {
			return fmt.Errorf("%v unanswered, %v refused, %v unfinished, %v half-open; want %v of each and none half-open", a, b, c, half, failedAttempts)
		}
		return nil
	})
	nothingDropped(t, m)
	t.Logf("all after %v; %v SYNs and SYN+ACKs came again", time.Since(begin), groupSum(m, "tcp_group_handshake_retransmits_total"))
	for _, row := range []struct {
		port   int
		reason string
	}{{dropPort, "unanswered"}, {rejectPort, "refused"}, {unfinishedPort, "unfinished"}} {
		if n := failed(m, row.port, row.reason); n != failedAttempts {
			t.Errorf("port %d: %v %s, want %v", row.port, n, row.reason, failedAttempts)
		}
	}
	for _, row := range []struct {
		family string
		labels []string
		want   float64
	}{
		{"tcp_group_connections_failed_total", nil, 3 * failedAttempts},
		{"tcp_group_connections_opened_total", nil, 4 * failedAttempts},
		{"tcp_group_connections_established_total", nil, failedAttempts},
		{"tcp_group_connections_established_total", []string{"service", fmt.Sprint(openPort)}, failedAttempts},
	} {
		if n := groupSum(m, row.family, row.labels...); n != row.want {
			t.Errorf("%s%v: %v, want %v", row.family, row.labels, n, row.want)
		}
	}
	n, most := groupSum(m, "tcp_group_retransmitted_packets_total"), again()-before
	t.Logf("tcp_group_retransmitted_packets_total is %v, the kernels' %v", n, most)
	if n > most {
		t.Errorf("tcp_group_retransmitted_packets_total is %v, and the kernels have sent %v again, without handshakes", n, most)
	}
}

// attempt begins failedAttempts connections at once, and gives them up before the kernel sends a SYN again.
func attempt(t *testing.T, from, to *lab.NS, port int) {
	t.Helper()
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	err := from.Do(func() error {
		for range failedAttempts {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			fds = append(fds, fd)
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: to.Addr.As4()})
			if err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.ECONNREFUSED) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("attempt %d at port %d: %v", len(fds), port, err)
	}
	time.Sleep(200 * time.Millisecond) // for the answers; the first repeat comes after 1 s (RFC 6298 section 2)
}
