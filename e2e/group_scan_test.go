package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	scanSubnets = 64 // that have room
	scanTable   = 16_384
	scanFill    = 30_000 // fills the table and the subnets' room, before the scan is looked at
	scanSources = 100_000
	scanRate    = 50_000 // SYNs a second
	scanSynAge  = time.Second
	// scanSpare is by how much the resident memory may grow while the scan lasts. 100,000 combinations with room of
	// their own would take 800 MB.
	scanSpare = 8 << 20
)

// A scan from 100,000 addresses, each a group of its own of the kind NAME/32, where 64 have room: the others count as
// other and in the counter of those that found none, every attempt is counted once, the memory stays where it is and
// nothing is dropped. A group with a name keeps its room.
func TestGroupScanOverflows(t *testing.T) {
	l := lab.New(t)
	tcpgen := buildGenerator(t)
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-syn-age", scanSynAge.String(), "-service-ports", "none",
		"-group", "home="+l.B.Addr.String()+"/32", "-group", "all/32=0.0.0.0/0", "-group-max-subnets", strconv.Itoa(scanSubnets),
		"-max-connections", strconv.Itoa(scanTable))
	scan := func(seed string, packets int) float64 {
		return generateConnections(t, l.B, tcpgen, 1, scanRate, "-syn-flood", "1", "-packets", strconv.Itoa(packets), "-seed", seed).wait(t)
	}
	figures := func(m lab.Metrics) (opened, overflow float64) {
		return groupSum(m, "tcp_group_connections_opened_total"), m["tcp_stream_exporter_group_overflow_connections_total"]
	}
	const families = "/metrics/summary"
	await := func(syns float64) lab.Metrics {
		t.Helper()
		return e.AwaitPath(t, 20*time.Second, families, func(m lab.Metrics) error {
			if opened, _ := figures(m); opened != syns {
				return fmt.Errorf("%v connections were opened, want the %v SYNs", opened, syns)
			}
			return nil
		})
	}
	syns := scan("1", scanFill)
	await(syns)
	before := resident(t, e.PID())
	syns += scan("2", scanSources)
	m := await(syns)
	grown := peak(t, e.PID()) - before
	opened, overflow := figures(m)
	rest := groupSum(m, "tcp_group_connections_opened_total", "client_group", "other", "server_group", "other")
	used := m[lab.Key("tcp_stream_exporter_group_combinations", "kind", "subnets")]
	t.Logf("%v SYNs: %v counted as other, %v found no room; %v combinations of subnets; memory %.1f MB, %.1f MB more at its peak",
		syns, rest, overflow, used, float64(before)/1e6, float64(grown)/1e6)
	if used != scanSubnets {
		t.Errorf("%v combinations of subnets, want %v", used, scanSubnets)
	}
	// A source that comes again among those that have room counts there.
	if rest != overflow || opened-overflow < scanSubnets || opened-overflow > 2*scanSubnets {
		t.Errorf("of %v connections %v count as other and %v found no room, want all but %v or a few more in both", opened, rest, overflow, scanSubnets)
	}
	if grown > scanSpare {
		t.Errorf("resident memory grew by %d bytes from %d, want at most %d", grown, before, scanSpare)
	}
	lab.Transfer{From: l.B, To: l.A, Connections: 1, Forth: 1000, Back: 1000}.Run(t)
	m = e.AwaitPath(t, 20*time.Second, families, func(m lab.Metrics) error {
		if n := groupSum(m, "tcp_group_connections_failed_total", "reason", "unanswered"); n != syns {
			return fmt.Errorf("%v attempts were not answered, want the %v SYNs", n, syns)
		}
		return nil
	})
	nothingDropped(t, m)
	if sum := groupSum(m, "tcp_group_packets_total", "direction", "from_client"); sum < syns+3 {
		t.Errorf("%v packets of clients, want the %v SYNs and those of the transfer", sum, syns)
	}
}
