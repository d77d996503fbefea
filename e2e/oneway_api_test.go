package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// oneDirectionShows are the fields of a stream that its own packets alone can show.
var oneDirectionShows = []string{
	"src_ip", "src_port", "dst_ip", "dst_port", "state", "src_group", "dst_group", "service",
	"tcp_bitrate_bps", "tcp_bitrate_variance", "tcp_bytes_transferred_total", "tcp_out_of_order_packets_total", "tcp_packet_rate_pps",
	"tcp_packet_size_variance", "tcp_packets_total", "tcp_interarrival_variance_seconds", "tcp_resets_total", "tcp_retransmits_total",
	"tcp_sequence_gaps_total", "tcp_stream_uptime_seconds", "tcp_window_size_bytes", "tcp_zero_window_events_total",
}

// A filter that lets one direction pass leaves nothing in the JSON API that takes both, in streams and in groups. A
// server that has accepted and says nothing is no failure.
func TestAPIOfOneDirection(t *testing.T) {
	for _, row := range []struct{ name, filter string }{{"server", "tcp src port %d"}, {"client", "tcp dst port %d"}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			ln, err := l.A.Listen("tcp4", netip.AddrPortFrom(l.A.Addr, 0).String())
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-syn-age", "1s", "-group", "all=10.99.0.0/16",
				"-packet-filter", fmt.Sprintf(row.filter, ln.Addr().(*net.TCPAddr).Port))
			open := func() (client, server net.Conn) {
				client, err := l.B.Dial(t.Context(), "tcp4", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { client.Close() })
				if server, err = ln.Accept(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { server.Close() })
				return client, server
			}
			open() // and neither says anything
			client, server := open()
			b := make([]byte, 2000)
			for range 20 {
				for _, c := range []net.Conn{client, server} {
					if _, err := c.Write(b); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
			want := 2.0
			if m := e.Settle(t); groupSum(m, "tcp_group_one_way_connections") != want || groupSum(m, "tcp_group_connections") != 0 {
				t.Errorf("%v connections in one direction and %v others, want %v and none", groupSum(m, "tcp_group_one_way_connections"), groupSum(m, "tcp_group_connections"), want)
			}
			get := func(path string) (rows []map[string]any) {
				_, text, err := e.Do("GET", path)
				if err != nil {
					t.Fatal(err)
				}
				var a struct{ Streams, Groups []map[string]any }
				if err := json.Unmarshal([]byte(text), &a); err != nil {
					t.Fatalf("%v: %s", err, text)
				}
				return append(a.Streams, a.Groups...)
			}
			streams := get("/api/v1/streams")
			if len(streams) != 2 {
				t.Errorf("%d streams, want 2: %v", len(streams), streams)
			}
			for _, s := range streams {
				for field := range s {
					if !slices.Contains(oneDirectionShows, field) {
						t.Errorf("%s is there: %v", field, s[field])
					}
				}
			}
			groups := get("/api/v1/groups")
			if len(groups) == 0 || groups[0]["tcp_group_one_way_connections"] != 2.0 {
				t.Fatalf("the first group has not 2 connections in one direction: %v", groups)
			}
			for field := range groups[0] { // the one with the most bytes
				if strings.Contains(field, "rtt") || strings.Contains(field, "handshake_seconds") || strings.Contains(field, "duplicate") {
					t.Errorf("%s is there: %v", field, groups[0][field])
				}
			}
			// The silent connection's age, while only SYNs were seen of it, is over.
			m := e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if n := m["tcp_stream_count"]; n != 1 && row.name == "server" {
					return fmt.Errorf("%v streams, want 1", n)
				}
				return nil
			})
			for _, family := range []string{"tcp_group_connections_failed_total", "tcp_group_connections_established_total", "tcp_group_connections_closed_total", "tcp_group_rtt_seconds_count"} {
				if n := groupSum(m, family); n != 0 {
					t.Errorf("%s: %v, want 0", family, n)
				}
			}
		})
	}
}
