package browsertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"
)

// object is one of JSON.
type object = map[string]any

// series returns a chart of ten minutes, with a gap and a peak.
func series(scale float64) []any {
	all := make([]any, 120)
	for i := range all {
		if i < 20 || i >= 25 {
			all[i] = math.Round(scale * (1 + math.Sin(float64(i)/9)))
		}
	}
	all[60] = 5 * scale
	return all
}

// fullStatus makes of an exporter's status that of a large router on a bad day.
func fullStatus(s object) {
	s["version"], s["uptime_seconds"], s["sample_ratio"] = "1.2.3-45-g0123456789ab-dirty", 8_640_123.4, 0.0625
	s["interface"] = "any,!lo,!docker*,!veth*"
	s["filter"] = "tcp and not (src net 192.0.2.0/24 and dst net 198.51.100.0/24) and not host 2001:db8:1234:5678:9abc:def0:1234:5678"
	s["stream_filters"] = []string{"addr", "port", "state", "group", "service", "interface", "vlan"}
	s["history"] = object{"interval_seconds": 5, "end_timestamp_seconds": s["timestamp_seconds"], "packets_per_second": series(700_000), "dropped_packets_per_second": series(0),
		"bits_per_second": series(9.9e9), "table_fill_ratio": series(0.5), "ring_fill_ratio": series(0.1)}
	maps.Copy(s["totals"].(object), object{"streams": 523_456, "active_streams": 498_765, "connections": 261_728, "packets_total": 123_456_789_012, "dropped_packets_total": 987_654_321,
		"ring_blocks_waiting": 17, "packets_per_second": 1_234_567.8, "dropped_packets_per_second": 12_345.6, "bits_per_second": 98.7e9})
	reasons := []object{}
	for _, name := range []string{"ring_full", "rx_missed_errors", "interface_away"} {
		reasons = append(reasons, object{"cause": name, "place": "interface", "interface": "enp129s0f0np0",
			"text": "123456789 packets found no buffer at enp129s0f0np0 (" + name + "): raise its receive ring, ethtool -G"})
	}
	s["capture"] = object{"state": "incomplete", "complete": false, "healthy": true, "ready": true, "summary": "much was lost", "lost_within_seconds": 60, "reasons": reasons}
	s["skipped"] = []object{{"reason": "not_tcp", "packets_total": 123_456_789, "text": "a packet of another protocol, which the filter lets pass"}}
	interfaces, workers := []object{}, []object{}
	for n, state := range []string{"captured", "captured", "down", "absent", "not_decoded", "below"} {
		k := object{"interface": fmt.Sprintf("enp129s0f%dnp%[1]d.4094", n), "state": state, "captured": state != "below", "named": false, "kind": "VLAN", "mtu_bytes": 9000, "driver": "802.1Q VLAN Support",
			"offloads": []string{"rx-gro", "rx-gro-hw", "tx-generic-segmentation", "tx-tcp-segmentation", "tx-tcp6-segmentation", "rx-vlan-hw-parse"}, "packets_per_second": 654_321.9, "bits_per_second": 8.76e9, "lost_packets_per_second": 12.3,
			"lost_packets_total": object{"rx_dropped": 12_345_678, "rx_missed_errors": 123_456_789, "rx_fifo_errors": 0, "rx_over_errors": 0},
			"history":            object{"packets_per_second": series(300_000), "bits_per_second": series(4e9), "lost_packets_per_second": series(1)}}
		if state == "absent" {
			k["kind"], k["mtu_bytes"], k["driver"], k["offloads"], k["packets_per_second"], k["bits_per_second"] = nil, nil, nil, nil, nil, nil
		}
		interfaces = append(interfaces, k)
	}
	for n := range 4 {
		workers = append(workers, object{"worker": n, "packets_total": 12_345_678_901, "dropped_packets_total": 246_913_580, "connections": 65_432, "connections_capacity": 65_536,
			"ring_blocks": 128, "ring_blocks_waiting": 4, "packets_per_second": 308_641.9, "dropped_packets_per_second": 3000, "since_turn_seconds": 0.001,
			"history": object{"packets_per_second": series(150_000), "dropped_packets_per_second": series(3000), "table_fill_ratio": series(0.5), "ring_fill_ratio": series(0.2)}})
	}
	s["interfaces"], s["workers"], s["interfaces_captured"] = interfaces, workers, 3
}

// fullStreams makes of an exporter's answer one with streams of the longest texts there are.
func fullStreams(s object) {
	streams := []object{}
	for n := range 20 {
		streams = append(streams, object{"src_ip": "2001:db8:1234:5678:9abc:def0:1234:5678", "src_port": 65_000 + n, "dst_ip": "2001:db8:8765:4321:cba9:fed:4321:8765", "dst_port": 65_535, "interface": "enp129s0f0np0.4094", "vlan": "4094.4094",
			"state": "finalized", "src_group": "subscribers-of-the-northern-region", "dst_group": "content-delivery-networks", "service": "65535", "tcp_bytes_transferred_total": 123_456_789_012_345, "tcp_bitrate_bps": 98.76e9,
			"tcp_packets_total": 987_654_321_098, "tcp_avg_delay_seconds": 0.123456, "tcp_jitter_seconds": 12.3456, "tcp_retransmits_total": 123_456_789, "tcp_stream_health_score": 100, "tcp_stream_uptime_seconds": 8_640_123.4})
	}
	s["streams"], s["streams_matched"], s["streams_in_table"] = streams, 498_765, 523_456
}

// fullGroups makes of an exporter's answer one with many groups of long names.
func fullGroups(s object) {
	both := object{"from_client": 123_456_789_012, "from_server": 987_654_321_098}
	leg := object{"count": 1_234_567, "sum_seconds": 12_345.6, "quantiles_seconds": object{"0.5": 0.0123, "0.95": 1.2345}, "buckets": []any{}}
	groups := []object{}
	for n := range 12 {
		groups = append(groups, object{"client_group": fmt.Sprintf("subscribers-of-the-northern-region-%d", n), "server_group": "content-delivery-networks", "service": "65535", "interface": "enp129s0f0np0.4094",
			"tcp_group_packets_total": both, "tcp_group_bytes_total": both, "tcp_group_retransmitted_packets_total": both,
			"tcp_group_connections": object{"half_open": 123_456, "established": 123_456_789}, "tcp_group_connections_opened_total": 123_456_789_012,
			"tcp_group_connections_failed_total": object{"unanswered": 123_456_789, "refused": 12_345, "unfinished": 678}, "tcp_group_rtt_seconds": object{"client": leg, "server": leg}})
	}
	s["groups"], s["groups_matched"], s["overflow_connections_total"] = groups, 1234, 123_456
}

// The longest texts and most figures that the page may have to show break neither its layout nor its contrast. They are put
// into an exporter's answers on their way.
func TestFullPage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	e := startExporter(t, s.Addr())
	s.connect(t, "127.1.0.1", 10_000)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: e.address})
	fill := map[string]func(object){"/api/v1/status": fullStatus, "/api/v1/streams": fullStreams, "/api/v1/groups": fullGroups}
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		put := fill[r.URL.Path]
		if put == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		answer, err := http.Get("http://" + e.address + r.URL.RequestURI())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		var all object
		if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		put(all)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // the browser may have gone
	}))
	t.Cleanup(between.Close)
	ctx := openTab(t)
	do(t, ctx, chromedp.Navigate(between.URL))
	await(t, ctx, rows+`.length === 20 && document.querySelectorAll("#groups tbody tr").length === 12 && document.querySelectorAll("#reasons li").length === 3`)
	await(t, ctx, `performance.getEntriesByName("shown").length === 1`)
	do(t, ctx, run(`document.querySelector("#pause").click()`))
	if values := value[string](t, ctx, `document.querySelector("main").innerText.match(/undefined|NaN|null|Infinity/g)?.join() ?? ""`); values != "" {
		t.Errorf("the page reads %s", values)
	}
	if fill := value[string](t, ctx, `document.querySelector("#workers tbody tr").cells[5].innerText`); fill != ">\u00a099\u00a0%" {
		t.Errorf("65,432 of 65,536 connections are %q", fill)
	}
	check(t, ctx, " full")
	pictures(t, ctx, "full")
}
