package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const (
	oneWayConnections = 20
	oneWayBytes       = 300_000 // of each, from the side that is not seen
)

// Of connections of which one direction is seen there are no round trips and no duplicate ACKs, though their receiver
// sends many for what is lost on the way to it; nor are they established or over. A gauge has them while they last. The
// same traffic has all of that if both directions are seen.
func TestGroupOneWay(t *testing.T) {
	need.Tool(t, "nft")
	for _, row := range []struct {
		direction string
		oneWay    bool
	}{{"in", true}, {"both", false}} {
		t.Run(row.direction, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			l.Offloads(t, false)
			l.B.Run(t, "nft", "add table ip loss; add chain ip loss in { type filter hook input priority 0; }; "+
				"add rule ip loss in meta l4proto tcp ip length > 1000 numgen random mod 100 < 1 drop")
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-direction", row.direction, "-finalized-age", "1s")
			ln, err := l.A.Listen("tcp4", netip.AddrPortFrom(l.A.Addr, 0).String())
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			ends := make([]net.Conn, 0, 2*oneWayConnections) // they stay open until all has been looked at
			var running sync.WaitGroup
			for range oneWayConnections {
				c, err := l.B.Dial(t.Context(), "tcp4", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				s, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				ends = append(ends, c, s)
				running.Go(func() {
					if _, err := s.Write(make([]byte, oneWayBytes)); err != nil {
						t.Error(err)
					}
				})
				running.Go(func() {
					_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // it is open
					_, err := c.Write([]byte("request"))
					if err == nil {
						_, err = io.ReadFull(c, make([]byte, oneWayBytes))
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			running.Wait()
			m := e.Settle(t)
			nothingDropped(t, m)
			seen := map[string]float64{}
			for name, labels := range map[string][]string{
				"tcp_group_rtt_seconds_count": nil, "tcp_group_handshake_seconds_count": nil, "tcp_group_duplicate_acks_total": nil,
				"tcp_group_connections_established_total": nil, "tcp_group_connections": {"state", "established"},
			} {
				seen[name] = groupSum(m, name, labels...)
				if n := seen[name]; row.oneWay != (n == 0) {
					t.Errorf("%s: %v; one direction is seen: %v", name, n, row.oneWay)
				}
			}
			want := 0.0
			if row.oneWay {
				want = oneWayConnections
			}
			if n := groupSum(m, "tcp_group_one_way_connections"); n != want {
				t.Errorf("%v connections of one direction, want %v", n, want)
			}
			for key := range m {
				if row.oneWay && strings.HasPrefix(key, "tcp_group_duplicate_acks_total") {
					t.Errorf("%s is there, and tells nothing", key)
				}
			}
			t.Logf("%v in one direction; %v", want, seen)
			if n := groupSum(m, "tcp_group_connections_opened_total"); n != oneWayConnections {
				t.Errorf("%v connections were opened, want %v", n, oneWayConnections)
			}
			for _, c := range ends {
				c.Close()
			}
			m = e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if n := m["tcp_stream_count"] + finalizedStreams(m) + groupSum(m, "tcp_group_one_way_connections"); n != 0 {
					return fmt.Errorf("%v streams and connections in one direction are left", n)
				}
				return nil
			})
			ended := groupSum(m, "tcp_group_connections_closed_total") + groupSum(m, "tcp_group_connections_failed_total")
			if want := oneWayConnections - want; ended != want {
				t.Errorf("%v connections were closed or failed, want %v", ended, want)
			}
		})
	}
}
