package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

const (
	ipv6Connections = 20
	ipv6Forth       = 30_000 // bytes of each connection from the client
	ipv6Back        = 50_000 // and to it
)

// Without -ipv6 groups and API have IPv6 to the byte, and the metrics by stream have none of it, but say how much they
// leave out. IPv4 beside it counts in both.
func TestGroupsHaveIPv6(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	four := [2]netip.Addr{l.A.Addr, l.B.Addr}
	six := [2]netip.Addr{netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("2001:db8::b")}
	for i, ns := range []*lab.NS{l.A, l.B} {
		ns.Run(t, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/"+lab.IfName+"/disable_ipv6")
		ns.Run(t, "ip", "addr", "add", six[i].String()+"/64", "dev", lab.IfName, "nodad")
	}
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-service-ports", "none", "-stream-age", "1m",
		"-group", "four=10.99.0.0/16", "-group", "six=2001:db8::/64")
	transfer := func(addrs [2]netip.Addr) lab.Transferred {
		return lab.Transfer{
			From: &lab.NS{Name: l.B.Name, Addr: addrs[1]}, To: &lab.NS{Name: l.A.Name, Addr: addrs[0]},
			Connections: ipv6Connections, Forth: ipv6Forth, Back: ipv6Back,
		}.Run(t)
	}
	transfer(four)
	sent := transfer(six)
	of := map[string]combination{"four": {"four", "four", "other"}, "six": {"six", "six", "other"}}
	e.Settle(t)
	// The exporter's own figures are a second old, or two.
	m := e.Await(t, 10*time.Second, func(m lab.Metrics) error {
		if hidden, six := m["tcp_stream_exporter_hidden_ipv6_packets_total"], groupSum(m, "tcp_group_packets_total", "client_group", "six"); hidden != six {
			return fmt.Errorf("%v packets are hidden, want the %v of the group", hidden, six)
		}
		return nil
	})
	nothingDropped(t, m)
	for name, c := range of {
		bytes := groupSum(m, "tcp_group_bytes_total", "client_group", name) - groupSum(m, "tcp_group_retransmitted_bytes_total", "client_group", name)
		if want := float64(ipv6Connections * (ipv6Forth + ipv6Back)); bytes != want {
			t.Errorf("%v bytes of group %s without those sent again, want %v", bytes, name, want)
		}
		for _, family := range []string{"tcp_group_connections_opened_total", "tcp_group_connections_established_total"} {
			if n := m[c.key(family)]; n != ipv6Connections {
				t.Errorf("%s of group %s: %v, want %v", family, name, n, ipv6Connections)
			}
		}
		if n := groupSum(m, "tcp_group_connections_closed_total", "client_group", name, "reason", "fin"); n != ipv6Connections {
			t.Errorf("%v connections of group %s were closed, want %v", n, name, ipv6Connections)
		}
	}
	hidden := groupSum(m, "tcp_group_packets_total", "client_group", "six")
	for series, want := range map[string]float64{
		"tcp_stream_exporter_hidden_ipv6_packets_total":                        hidden,
		"tcp_stream_exporter_hidden_ipv6_streams":                              2 * ipv6Connections,
		lab.Key("tcp_stream_exporter_skipped_packets_total", "reason", "ipv6"): hidden,
		lab.Key("tcp_stream_exporter_streams", "state", "finalized"):           2 * ipv6Connections, // of IPv4
		"tcp_stream_exporter_connections":                                      2 * ipv6Connections,
		lab.Key("tcp_stream_exporter_streams_closed_total", "reason", "fin"):   2 * ipv6Connections,
		"tcp_stream_exporter_streams_opened_total":                             2 * ipv6Connections,
	} {
		if m[series] != want {
			t.Errorf("%s: %v, want %v", series, m[series], want)
		}
	}
	streams := 0
	for key := range m {
		if strings.Contains(key, `src_ip="`) {
			streams++
		}
		if strings.Contains(key, sent.Server.Addr().String()) {
			t.Errorf("a series by stream in IPv6: %s", key)
		}
	}
	if streams == 0 {
		t.Error("there are no series by stream")
	}
	_, text, err := e.Do("GET", "/api/v1/streams?limit=1000&addr=2001:db8::/64")
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		InTable       int  `json:"streams_in_table"`
		Matched       int  `json:"streams_matched"`
		Accounted     bool `json:"ipv6_accounted"`
		InMetrics     bool `json:"ipv6_in_stream_metrics"`
		Skipped       int  `json:"ipv6_skipped_packets"`
		HiddenPackets int  `json:"ipv6_hidden_packets"`
		HiddenStreams int  `json:"ipv6_hidden_streams"`
		Streams       []struct {
			Bytes float64 `json:"tcp_bytes_transferred_total"`
		}
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	bytes := 0.0
	for _, s := range a.Streams {
		bytes += s.Bytes
	}
	if a.InTable != 4*ipv6Connections || a.Matched != 2*ipv6Connections || bytes != groupSum(m, "tcp_group_bytes_total", "client_group", "six") {
		t.Errorf("the API has %d streams of %d, of %v bytes: %s", a.Matched, a.InTable, bytes, text)
	}
	if !a.Accounted || a.InMetrics || a.Skipped != 0 || a.HiddenPackets != int(hidden) || a.HiddenStreams != 2*ipv6Connections {
		t.Errorf("the API says %+v, want %v packets of %d streams hidden", a, hidden, 2*ipv6Connections)
	}
}
