package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	routerConnections = 3
	routerForth       = 300_000 // bytes of each connection to the server
	routerBack        = 500_001 // and back
)

// views says how a connection is seen through an interface of the router: by whose addresses.
type views map[string]func(lab.Transferred) (client []netip.AddrPort)

func asClient(x lab.Transferred) []netip.AddrPort { return x.Clients }
func asServer(x lab.Transferred) []netip.AddrPort { return x.SeenAs }

// What a router forwards is seen once on each interface that is captured, to the byte, with as many repeats as the
// endpoints' kernels count, whatever is around it on the way and whoever translates its addresses. With -direction in it
// is seen once in all.
func TestRouter(t *testing.T) {
	const toA, toB, wire = "toa", "tob", lab.WireName
	for _, row := range []struct {
		name   string
		config lab.RouterConfig
		args   []string
		views  views
		only   bool // the streams have no interface
	}{
		{"any", lab.RouterConfig{}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer}, false},
		{"two interfaces", lab.RouterConfig{}, []string{"-interface", toA + "," + toB}, views{toA: asClient, toB: asServer}, false},
		{"a pattern, two workers", lab.RouterConfig{}, []string{"-interface", "to*", "-workers", "2"}, views{toA: asClient, toB: asServer}, false},
		{"one interface", lab.RouterConfig{}, []string{"-interface", toA}, views{toA: asClient}, true},
		{"arriving", lab.RouterConfig{}, []string{"-interface", "any,!lo", "-direction", "in"}, views{"": asClient}, true},
		{"arriving, two workers", lab.RouterConfig{}, []string{"-interface", "toa,tob", "-direction", "in", "-workers", "2"}, views{"": asClient}, true},
		{"sent", lab.RouterConfig{}, []string{"-interface", "toa,tob", "-direction", "out"}, views{}, false},
		{"NAT, any", lab.RouterConfig{NAT: true}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer}, false},
		{"bridge and port", lab.RouterConfig{Bridge: true}, []string{"-interface", "any,!lo"}, views{toA: asClient, lab.BridgeName: asClient, toB: asServer}, false},
		{"a tag", lab.RouterConfig{Around: lab.Dot1Q}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer, wire: asServer}, false},
		{"two tags", lab.RouterConfig{Around: lab.QinQ}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer, wire: asServer}, false},
		{"PPPoE", lab.RouterConfig{Around: lab.PPPoE, NAT: true}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer, wire: asServer}, false},
		{"MPLS", lab.RouterConfig{Around: lab.MPLS}, []string{"-interface", "any,!lo"}, views{toA: asClient, toB: asServer, wire: asServer}, false},
	} {
		for _, offloads := range []bool{true, false} {
			if offloads && row.config.Around != lab.Plain { // the link that it is on has none in any case
				continue
			}
			t.Run(fmt.Sprintf("%s/offloads=%v", row.name, offloads), func(t *testing.T) {
				t.Parallel() // mostly it waits
				r := lab.NewRouter(t, row.config)
				r.Offloads(t, offloads)
				e := r.M.StartExporter(t, binary(t), row.args...)
				x := lab.Transfer{From: r.A, To: r.B, Connections: routerConnections, Forth: routerForth, Back: routerBack}.Run(t)
				m := e.Settle(t)
				nothingDropped(t, m)
				for name, clients := range row.views {
					on := m
					if !row.only {
						on = m.On(name)
					}
					checkForwarded(t, name, on, x, clients(x), !offloads)
				}
				streams := float64(2 * routerConnections * max(len(row.views), 1))
				if row.name == "sent" {
					streams = 2 * routerConnections // one direction of each, on each interface
				}
				if got := m["tcp_stream_count"] + finalizedStreams(m); got != streams {
					t.Errorf("%v streams, want %v", got, streams)
				}
				if labelled := strings.Contains(fmt.Sprint(m), `interface="to`); row.only && hasInterface(m) || !row.only && !labelled {
					t.Errorf("streams have a label interface: %v", labelled)
				}
				e.Await(t, 5*time.Second, func(m lab.Metrics) error {
					if m["tcp_stream_exporter_capture_complete"] != 1 {
						return fmt.Errorf("the figures are not complete")
					}
					return nil
				})
			})
		}
	}
}

// checkForwarded wants the bytes of each connection, and no more repeats than were sent again.
func checkForwarded(t *testing.T, name string, m lab.Metrics, x lab.Transferred, clients []netip.AddrPort, segments bool) {
	t.Helper()
	retransmits, later := 0.0, 0.0
	for _, client := range clients {
		f := lab.Flow{Src: client, Dst: x.Server}
		for _, d := range []struct {
			lab.Flow
			bytes float64
		}{{f, routerForth}, {f.Reverse(), routerBack}} {
			figures := m.Of(d.Flow, "finalized")
			again := figures["tcp_retransmits_total"] + figures["tcp_out_of_order_packets_total"]
			retransmits += figures["tcp_retransmits_total"]
			later += figures["tcp_out_of_order_packets_total"]
			got, there := figures["tcp_bytes_transferred_total"]
			if !there || got < d.bytes || again == 0 && got != d.bytes {
				t.Errorf("%s: %v: %v bytes (there: %v), want %v", name, d.Flow, got, there, d.bytes)
			}
			if _, timed := figures["tcp_avg_delay_seconds"]; !timed {
				t.Errorf("%s: %v has no delay", name, d.Flow)
			}
		}
	}
	if sum := retransmits + later; segments && (sum > float64(x.RetransSegs)+1 || sum < float64(x.RetransSegs)-1) {
		t.Errorf("%s: %v segments came again, %d were sent again", name, sum, x.RetransSegs)
	}
}

// finalizedStreams is how many streams are over.
func finalizedStreams(m lab.Metrics) (n float64) {
	for key := range m {
		if strings.HasPrefix(key, "tcp_bytes_transferred_total{") && strings.Contains(key, `state="finalized"`) {
			n++
		}
	}
	return n
}

// hasInterface reports whether a stream has the label interface.
func hasInterface(m lab.Metrics) bool {
	for key := range m {
		if strings.HasPrefix(key, "tcp_bytes_transferred_total{") && strings.Contains(key, `interface="`) {
			return true
		}
	}
	return false
}
