package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// -interface any sees lo and the veth at once, each under its own name; what passes lo twice is counted once.
func TestAnyInterface(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	overVeth, veth := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	overLo, lo := serve(t, l.A, netip.MustParseAddr("127.0.0.1")), newClient(t, l.A)
	e := l.A.StartExporter(t, binary(t), "-interface", "any", "-packet-filter", "tcp port 8080")
	if err := veth.exchange(overVeth, uploadBytes, downloadBytes); err != nil {
		t.Fatal(err)
	}
	if err := lo.exchange(overLo, uploadBytes, downloadBytes); err != nil {
		t.Fatal(err)
	}
	m := e.Settle(t)
	if got := m["tcp_stream_count"]; got != 4 {
		t.Errorf("tcp_stream_count: %v, want 4", got)
	}
	if got := m["capture_dropped_packets_total"]; got != 0 {
		t.Fatalf("capture_dropped_packets_total: %v, want 0", got)
	}
	checkBytes(t, m.On(lab.IfName), overVeth, veth)
	checkBytes(t, m.On("lo"), overLo, lo)
	for _, name := range []string{"lo", lab.IfName} {
		if up := m[lab.Key("tcp_stream_exporter_interface_up", "interface", name)]; up != 1 {
			t.Errorf("interface_up of %s is %v", name, up)
		}
	}
}

// downTime is how long the interface is away: long enough for the exporter to notice.
const downTime = 500 * time.Millisecond

// An interface may be down at the start, and go down and come back later.
func TestInterfaceThatIsDownAtStart(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	link := func(state string) { l.A.Run(t, "ip", "link", "set", "dev", lab.IfName, state) }
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	link("down")
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName)
	if got := e.Scrape(t)["capture_packets_processed_total"]; got != 0 {
		t.Errorf("capture_packets_processed_total while the interface is down: %v, want 0", got)
	}

	for range 2 {
		link("up")
		awaitCapture(t, e, s, c)
		c.CloseIdleConnections() // the next exchange is seen from its first packet on
		if err := c.exchange(s, uploadBytes, downloadBytes); err != nil {
			t.Fatal(err)
		}
		m := e.Settle(t)
		checkBytes(t, m, s, c)
		if got := m["capture_dropped_packets_total"]; got != 0 {
			t.Errorf("capture_dropped_packets_total: %v, want 0", got)
		}
		c.CloseIdleConnections()
		e.Settle(t) // no packet of before is left to be counted later
		link("down")
		time.Sleep(downTime)
	}
}

// awaitCapture sends a little on new connections until the exporter sees some of it.
func awaitCapture(t *testing.T, e *lab.Exporter, s *server, c *client) {
	t.Helper()
	const packets = "capture_packets_processed_total"
	before := e.Scrape(t)[packets]
	e.Await(t, 5*time.Second, func(lab.Metrics) error {
		c.CloseIdleConnections()
		if err := c.exchange(s, 1000, 1000); err != nil {
			t.Fatal(err)
		}
		if now := e.Scrape(t)[packets]; now == before {
			return fmt.Errorf("%s stays at %v although the interface is up and used", packets, now)
		}
		return nil
	})
}
