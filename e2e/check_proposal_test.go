package e2e

import (
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// TestCheckProposalHolds sends as fast as the generator goes, for 10 s, with
//
//	go test -v ./e2e -run CheckProposal -args -proposal 10s -proposalrate 0
//
// Between other tests it takes less time, and leaves room for whatever else the machine is doing.
var (
	proposalTime = flag.Duration("proposal", time.Second, "length of the traffic of TestCheckProposalHolds")
	proposalRate = flag.Int("proposalrate", 100_000, "packets a second of TestCheckProposalHolds; 0: as fast as it goes")
)

// A check of busy traffic with a ring and a table that are far too small proposes larger ones, and an exporter with them
// loses nothing of the same traffic: every stream's counts are exact.
func TestCheckProposalHolds(t *testing.T) {
	const connections = 1000
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	binary(t) // so that no compiler runs beside the traffic
	given := []string{"-interface", lab.IfName, "-numblocks", "4", "-max-connections", "500"}

	traffic := generateConnections(t, l.B, tcpgen, connections, *proposalRate, "-duration", "1m")
	text, complaints, status := checked(t, l.A, "", given...)
	traffic.cmd.Process.Signal(syscall.SIGTERM)
	traffic.wait(t)
	if status != 0 {
		t.Fatalf("status %d: %s\n%s", status, complaints, text)
	}
	flags := proposed(text)
	t.Logf("proposed: %q", flags)
	for _, want := range []string{"-numblocks", "-max-connections"} {
		if !strings.Contains(strings.Join(flags, " "), want+" ") {
			t.Fatalf("%s is not proposed:\n%s", want, text)
		}
	}

	e := l.A.StartExporter(t, binary(t), replaced(given, flags)...)
	g := generateConnections(t, l.B, tcpgen, connections, *proposalRate, "-duration", proposalTime.String())
	sent := g.wait(t)
	m := e.Await(t, 10*time.Second, func(m lab.Metrics) error {
		if n := m["capture_packets_processed_total"] + m["capture_dropped_packets_total"]; n < sent {
			return fmt.Errorf("%v packets of %v", n, sent)
		}
		return nil
	})
	t.Logf("%v packets, %.0f a second", sent, sent/proposalTime.Seconds())
	if n := m["capture_dropped_packets_total"]; n != 0 {
		t.Errorf("%v of %v packets are dropped with %q, which was proposed by:\n%s", n, sent, flags, text)
	}
	if *proposalRate != 0 && sent < 0.5*float64(*proposalRate)*proposalTime.Seconds() {
		t.Logf("the machine is busy: %v packets were sent in %v", sent, *proposalTime)
	}
	if n := m["capture_packets_processed_total"]; n < sent || n > sent+50 { // the kernels' own neighbour and router messages are not TCP
		t.Errorf("%v packets processed, %v sent", n, sent)
	}
	g.checkStreams(t, e.Settle(t))
}

// replaced returns arguments with the values that others give their flags, and the others.
func replaced(args, by []string) []string {
	values := map[string]string{}
	for i := 0; i < len(by); i++ {
		value := ""
		if i+1 < len(by) && !strings.HasPrefix(by[i+1], "-") {
			value = by[i+1]
		}
		values[by[i]] = value
		if value != "" {
			i++
		}
	}
	var all []string
	for i := 0; i+1 < len(args); i += 2 {
		if _, again := values[args[i]]; !again {
			all = append(all, args[i], args[i+1])
		}
	}
	return append(all, by...)
}
