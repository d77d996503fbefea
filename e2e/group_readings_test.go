package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	readingConnections = 500    // open at once
	readingRate        = 20_000 // packets a second
	readingChurn       = 1000   // connections closed a second
)

// readings is how many there are in the long form: 1,000 take two minutes, more than ten with the race detector.
var readings = flag.Int("readings", 0, "readings of TestGroupReadings and TestRaceDetectorFindsNothingInReadings; 0: the short form")

// Of many readings under load, while connections end and expire at two workers, no counter of any is below one of a
// reading before. In the end all connections and packets are in the groups, each once.
func TestGroupReadings(t *testing.T) { readGroups(t, binary(t), 100) }

// readGroups is TestGroupReadings of the exporter at path, which it returns; short is how many readings there are without
// -readings.
func readGroups(t *testing.T, path string, short int) *lab.Exporter {
	t.Helper()
	n := *readings
	if n == 0 {
		n = short
	}
	return groupsOfChurn(t, path, func(e *lab.Exporter) {
		begin := time.Now()
		for range n { // the lab compares them
			resp, _, err := e.Do("GET", "/metrics/summary")
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp, err)
			}
		}
		t.Logf("%d readings in %v", n, time.Since(begin))
	})
}

// An exporter that is kept from its processors for longer than any stream's age comes back to packets in its ring that
// are older than that. It counts as if it had been there.
func TestGroupsOfAStoppedExporter(t *testing.T) {
	groupsOfChurn(t, binary(t), func(e *lab.Exporter) {
		for range 2 {
			time.Sleep(300 * time.Millisecond)
			for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
				if err := syscall.Kill(e.PID(), s); err != nil {
					t.Fatal(err)
				}
				if s == syscall.SIGSTOP {
					time.Sleep(2 * time.Second)
				}
			}
		}
	})
}

// groupsOfChurn runs the exporter at path beside connections that come and go, and in the end wants all that was sent in
// the groups, each connection once. during is called meanwhile. The ages are longer than the generator may be kept from
// its processor on a busy machine: a connection whose packets come farther apart is two.
func groupsOfChurn(t *testing.T, path string, during func(e *lab.Exporter)) *lab.Exporter {
	t.Helper()
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, path, "-interface", lab.IfName, "-workers", "2", "-stream-age", "1500ms", "-finalized-age", "1s",
		"-syn-age", "1s", "-group", "clients/16=10.0.0.0/8", "-group-metrics", "default,tcp_group_connection_.*")
	g := generateConnections(t, l.B, tcpgen, readingConnections, readingRate, "-duration", "1h", "-churn", strconv.Itoa(readingChurn),
		"-rst", "0.3", "-syn-flood", "0.02")
	during(e)
	if g.ended() {
		t.Fatal("the generator ended too early: not all took place under load")
	}
	g.cmd.Process.Signal(syscall.SIGTERM)
	packets := g.wait(t)
	opened, flood, closed := g.reports(t, "connections_opened"), g.reports(t, "flood"), g.reports(t, "connections_closed")
	m := e.AwaitPath(t, 20*time.Second, "/metrics/summary", func(m lab.Metrics) error {
		n := groupSum(m, "tcp_group_connections") + groupSum(m, "tcp_group_one_way_connections")
		if got := groupSum(m, "tcp_group_packets_total"); got != packets || n != 0 {
			return fmt.Errorf("%v packets, want %v; %v connections are left, want none", got, packets, n)
		}
		return nil
	})
	nothingDropped(t, m)
	t.Logf("%v packets of %v connections that were opened, %v closed, and a flood of %v", packets, opened, closed, flood)
	if closed < 500 {
		t.Fatalf("%v connections were closed, want more for this test", closed)
	}
	for _, row := range []struct {
		family string
		labels []string
		want   float64
	}{
		{"tcp_group_bytes_total", nil, g.reports(t, "payload_bytes")},
		{"tcp_group_connections_opened_total", nil, opened + flood},
		{"tcp_group_connections_established_total", nil, opened},
		{"tcp_group_connections_closed_total", nil, opened},
		{"tcp_group_connections_closed_total", []string{"reason", "timeout"}, opened - closed},
		{"tcp_group_connections_closed_total", []string{"reason", "fin"}, closed - g.reports(t, "rst")},
		{"tcp_group_connections_closed_total", []string{"reason", "reset_by_client"}, g.reports(t, "rst")},
		{"tcp_group_connections_failed_total", nil, flood},
		{"tcp_group_connections_failed_total", []string{"reason", "unanswered"}, flood},
		{"tcp_group_connection_duration_seconds_count", nil, opened},
		{"tcp_group_retransmitted_packets_total", nil, 0},
	} {
		if n := groupSum(m, row.family, row.labels...); n != row.want {
			t.Errorf("%s%v: %v, want %v", row.family, row.labels, n, row.want)
		}
	}
	return e
}

// reports returns a figure that the generator, which has ended, has printed.
func (g *generator) reports(t *testing.T, name string) float64 {
	t.Helper()
	out, err := os.ReadFile(g.out)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`\b` + name + `=(\d+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("the generator does not print %s:\n%s", name, out)
	}
	n, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
