package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// router is the dashboard of what passes a router: figures by group and service, none of which grows with the number of
// connections. It needs the answer of /metrics/summary alone.
func router() *dashboard.DashboardBuilder {
	d := newDashboard("TCP on a router", "tcp-stream-exporter-router",
		"Traffic by client group, server group and service, from tcp-stream-exporter's families by group. A forwarded packet counts once on each captured interface: choose one, or capture with -direction in.")
	const all = `instance=~"$instance",client_group=~"$client_group",server_group=~"$server_group",service=~"$service"`
	for _, v := range [][2]string{{"client_group", "Client group"}, {"server_group", "Server group"}, {"service", "Service"}, {"interface", "Interface"}} {
		d.WithVariable(choice(v[0], v[1], `label_values(tcp_group_packets_total{instance=~"$instance"}, `+v[0]+`)`))
	}
	// Without several interfaces there is no such label, which matches .* too.
	const of = `{` + all + `,interface=~"$interface"}`
	const from = `{` + all + `,interface=~"$interface",direction="%"}`

	trust(d)

	d.WithRow(dashboard.NewRowBuilder("Traffic"))
	d.WithPanel(over("Bytes to the clients, by client group", "TCP payload a second from the servers, repeated bytes included.", units.BytesPerSecondSI, half,
		query{`sum by (client_group) (rate(tcp_group_bytes_total` + direction(from, "from_server") + `[$__rate_interval]))`, "{{client_group}}"}))
	d.WithPanel(over("Bytes from the clients, by client group", "TCP payload a second to the servers, repeated bytes included.", units.BytesPerSecondSI, half,
		query{`sum by (client_group) (rate(tcp_group_bytes_total` + direction(from, "from_client") + `[$__rate_interval]))`, "{{client_group}}"}))
	d.WithPanel(over("Bytes by server group", "TCP payload a second, both directions.", units.BytesPerSecondSI, third,
		query{`sum by (server_group) (rate(tcp_group_bytes_total` + of + `[$__rate_interval]))`, "{{server_group}}"}))
	d.WithPanel(over("Bytes by service", "TCP payload a second, both directions, by the server's port.", units.BytesPerSecondSI, third,
		query{`sum by (service) (rate(tcp_group_bytes_total` + of + `[$__rate_interval]))`, "{{service}}"}))
	d.WithPanel(over("Packets by direction", "TCP segments a second. With GRO or TSO one packet may stand for several segments.", units.PacketsPerSecond, third,
		query{`sum by (direction) (rate(tcp_group_packets_total` + of + `[$__rate_interval]))`, "{{direction}}"}))

	d.WithRow(dashboard.NewRowBuilder("Round trips"))
	for _, leg := range []string{"client", "server"} {
		series := `{` + all + `,interface=~"$interface",leg="` + leg + `"}`
		group := leg + "_group"
		d.WithPanel(over("Round trip, leg "+leg+": median and 95 %",
			"Between the capture and the "+leg+"s, from a data segment to its ACK: the time that half and 95 % of the samples stay below. Buckets reach from 0.1 ms to 10 s.",
			units.Seconds, half,
			query{`histogram_quantile(0.5, sum by (` + group + `, le) (rate(tcp_group_rtt_seconds_bucket` + series + `[$__rate_interval])))`, "median, {{" + group + "}}"},
			query{`histogram_quantile(0.95, sum by (` + group + `, le) (rate(tcp_group_rtt_seconds_bucket` + series + `[$__rate_interval])))`, "95 %, {{" + group + "}}"}))
	}
	d.WithPanel(over("Handshake by leg", "Mean time from SYN to SYN+ACK (server) and from SYN+ACK to ACK (client).", units.Seconds, half,
		query{`sum by (leg) (rate(tcp_group_handshake_seconds_sum` + of + `[$__rate_interval])) / (sum by (leg) (rate(tcp_group_handshake_seconds_count` + of + `[$__rate_interval])) > 0)`, "{{leg}}"}))
	d.WithPanel(over("Round trip by service, leg server: mean", "Between the capture and the servers, by the server's port.", units.Seconds, half,
		query{`sum by (service) (rate(tcp_group_rtt_seconds_sum{` + all + `,interface=~"$interface",leg="server"}[$__rate_interval])) / (sum by (service) (rate(tcp_group_rtt_seconds_count{` + all + `,interface=~"$interface",leg="server"}[$__rate_interval])) > 0)`, "{{service}}"}))

	d.WithRow(dashboard.NewRowBuilder("Loss and reordering"))
	for _, group := range []string{"client_group", "server_group"} {
		d.WithPanel(over("Sent again, by "+group, "Share of the packets of each direction that are retransmissions, without SYNs.", units.PercentUnit, half,
			query{`sum by (` + group + `, direction) (rate(tcp_group_retransmitted_packets_total` + of + `[$__rate_interval])) / (sum by (` + group + `, direction) (rate(tcp_group_packets_total` + of + `[$__rate_interval])) > 0)`,
				"{{" + group + "}} {{direction}}"}))
	}
	d.WithPanel(over("Loss before the capture", "Sequence gaps a second: what was missing when it passed here.", units.PacketsPerSecond, third,
		query{`sum by (direction) (rate(tcp_group_sequence_gaps_total` + of + `[$__rate_interval]))`, "{{direction}}"}))
	d.WithPanel(over("Out of order", "Segments a second that came too late to be in order and too soon to be repairs.", units.PacketsPerSecond, third,
		query{`sum by (direction) (rate(tcp_group_out_of_order_packets_total` + of + `[$__rate_interval]))`, "{{direction}}"}))
	d.WithPanel(over("Receivers that are full", "Segments a second that advertise a window of 0.", units.PacketsPerSecond, third,
		query{`sum by (direction) (rate(tcp_group_zero_windows_total` + of + `[$__rate_interval]))`, "{{direction}}"}))

	d.WithRow(dashboard.NewRowBuilder("Connections"))
	d.WithPanel(over("Connections now", "Half-open, established, and those of which one direction alone is seen.", units.Short, third,
		query{`sum by (state) (tcp_group_connections` + of + `)`, "{{state}}"},
		query{`sum(tcp_group_one_way_connections` + of + `)`, "one-way"}))
	d.WithPanel(over("Begun and established", "Connections a second. Far more begun than established: a flood, a scan, or a server that is down.", units.CountsPerSecond, third,
		query{`sum(rate(tcp_group_connections_opened_total` + of + `[$__rate_interval]))`, "begun"},
		query{`sum(rate(tcp_group_connections_established_total` + of + `[$__rate_interval]))`, "established"}))
	d.WithPanel(over("How connections end", "Established connections a second, by what ended them.", units.CountsPerSecond, third,
		query{`sum by (reason) (rate(tcp_group_connections_closed_total` + of + `[$__rate_interval]))`, "{{reason}}"}))
	d.WithPanel(over("Attempts that failed, by reason", "Connections a second that were never established. Unanswered ones count when they are given up (-syn-age).", units.CountsPerSecond, third,
		query{`sum by (reason) (rate(tcp_group_connections_failed_total` + of + `[$__rate_interval]))`, "{{reason}}"}))
	d.WithPanel(over("Attempts that failed, by target", "Connections a second that were never established, by server group and service.", units.CountsPerSecond, third,
		query{`topk(10, sum by (server_group, service) (rate(tcp_group_connections_failed_total` + of + `[$__rate_interval])) > 0)`, "{{server_group}} {{service}}"}))
	d.WithPanel(over("SYNs sent again", "Repeated SYNs (from_client) and SYN+ACKs (from_server) a second.", units.PacketsPerSecond, third,
		query{`sum by (direction) (rate(tcp_group_handshake_retransmits_total` + of + `[$__rate_interval]))`, "{{direction}}"}))

	d.WithRow(dashboard.NewRowBuilder("Groups"))
	d.WithPanel(over("Combinations of groups and services", "How many have counters, and how many there is room for (-group-max, -group-max-subnets).", units.Short, half,
		query{`tcp_stream_exporter_group_combinations{instance=~"$instance"}`, "{{kind}}, {{instance}}"},
		query{`tcp_stream_exporter_group_combinations_capacity{instance=~"$instance"}`, "capacity of {{kind}}, {{instance}}"}))
	d.WithPanel(over("Without room", "Connections a second that are counted as group other, because their combination found no room.", units.CountsPerSecond, half,
		query{`rate(tcp_stream_exporter_group_overflow_connections_total{instance=~"$instance"}[$__rate_interval])`, "{{instance}}"}))

	exporter(d)
	return d
}
