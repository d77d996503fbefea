package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// host is the dashboard of one machine or a few: the streams that lead, each by itself, and its services. It needs the
// per-stream families, /metrics or /metrics/streams.
func host() *dashboard.DashboardBuilder {
	d := newDashboard("TCP on a host", "tcp-stream-exporter-host",
		"The streams of a host that lead by bytes, retransmissions and delay, from tcp-stream-exporter's per-stream families. A stream is one direction of a connection.")
	const of = `{instance=~"$instance"}`
	const active = `{instance=~"$instance",state="active"}`
	const stream = "{{src_ip}}:{{src_port}} to {{dst_ip}}:{{dst_port}}"

	trust(d)

	d.WithRow(dashboard.NewRowBuilder("Streams"))
	d.WithPanel(over("Streams", "Active streams, those that are not exported included.", units.Short, third,
		query{`tcp_stream_count` + of, "{{instance}}"}))
	d.WithPanel(over("Streams opened and closed", "Streams a second: seen for the first time; ended, by reason.", units.CountsPerSecond, third,
		query{`sum(rate(tcp_stream_exporter_streams_opened_total` + of + `[$__rate_interval]))`, "opened"},
		query{`sum by (reason) (rate(tcp_stream_exporter_streams_closed_total` + of + `[$__rate_interval]))`, "{{reason}}"}))
	d.WithPanel(over("Round trips", "The mean delay that half and 90 % of the active streams stay below, from here to the receiver and back.", units.Seconds, third,
		query{`quantile(0.5, tcp_avg_delay_seconds` + active + `)`, "half"},
		query{`quantile(0.9, tcp_avg_delay_seconds` + active + `)`, "90 %"}))
	d.WithPanel(over("Streams that send most", "Payload of the last complete second of each, the first ten now.", units.BitsPerSecondSI, half,
		query{`topk(10, tcp_bitrate_bps` + active + `)`, stream}))
	d.WithPanel(over("Streams that repeat most", "Segments sent again a second, the first ten. Short streams show in the table below.", units.PacketsPerSecond, half,
		query{`topk(10, sum without (state) (rate(tcp_retransmits_total` + of + `[$__rate_interval])) > 0)`, stream}))

	d.WithRow(dashboard.NewRowBuilder("Who"))
	d.WithPanel(list("Streams in the worst state", "Health score, 100: no trouble seen, down to 0. It counts over a stream's whole life.", units.Short, half,
		`bottomk(20, tcp_stream_health_score`+active+`)`))
	d.WithPanel(list("Longest delays", "Mean round-trip time of the last 100 or so samples of each stream.", units.Seconds, half,
		`topk(20, tcp_avg_delay_seconds`+active+`)`))
	d.WithPanel(list("Retransmissions of the last hour", "Segments sent again over the whole life of each stream that was there in the last hour, ended ones included.", units.Short, half,
		`topk(20, max without (state) (max_over_time(tcp_retransmits_total`+of+`[1h])) > 0)`))
	d.WithPanel(list("Bytes of the last hour by address", "Payload of all streams that were there in the last hour, over their whole lives, by sender and receiver.", units.BytesSI, half,
		`topk(20, sum by (instance, src_ip, dst_ip) (max without (state) (max_over_time(tcp_bytes_transferred_total`+of+`[1h]))))`))

	d.WithRow(dashboard.NewRowBuilder("Trouble"))
	for _, p := range [][3]string{
		{"Sent again", "tcp_retransmits_total", "Segments a second, by sender."},
		{"Out of order", "tcp_out_of_order_packets_total", "Segments a second that were overtaken, by sender."},
		{"Sequence gaps", "tcp_sequence_gaps_total", "Segments a second that begin beyond the next expected byte, by sender: lost before this host's capture."},
		{"Duplicate ACKs", "tcp_duplicate_acks_total", "Segments a second, by who sends them: the receiver of the data."},
		{"Zero windows", "tcp_zero_window_events_total", "Segments a second that advertise a window of 0, by who sends them: a program there does not read."},
		{"Resets", "tcp_resets_total", "RST segments a second, by sender."},
	} {
		d.WithPanel(over(p[0], p[2], units.PacketsPerSecond, third,
			query{`topk(10, sum by (src_ip) (rate(` + p[1] + of + `[$__rate_interval])) > 0)`, "{{src_ip}}"}))
	}

	d.WithRow(dashboard.NewRowBuilder("Services"))
	d.WithPanel(over("Bytes by service", "TCP payload a second, both directions, by the server's port (-service-ports).", units.BytesPerSecondSI, third,
		query{`sum by (service) (rate(tcp_group_bytes_total` + of + `[$__rate_interval]))`, "{{service}}"}))
	d.WithPanel(over("Connections by service", "Established connections now.", units.Short, third,
		query{`sum by (service) (tcp_group_connections{instance=~"$instance",state="established"})`, "{{service}}"}))
	d.WithPanel(over("Attempts that failed", "Connections a second that were never established, by service and reason.", units.CountsPerSecond, third,
		query{`sum by (service, reason) (rate(tcp_group_connections_failed_total` + of + `[$__rate_interval])) > 0`, "{{service}} {{reason}}"}))

	exporter(d)
	return d
}

// direction puts a direction into labels in which % stands for it.
func direction(labels, value string) string { return strings.Replace(labels, "%", value, 1) }
