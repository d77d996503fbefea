package exposition

import "tcp-stream-exporter/group"

// Histogram is the type of families with buckets.
const Histogram Type = "histogram"

// GroupFamily is a metric family of the combinations of groups: each has one series for each value of Label, or
// one without it.
type GroupFamily struct {
	Header
	Label  string   // besides those of a combination; "": none
	Values []string // of Label
	// OnRequest reports whether the family is exported only if it is asked for.
	OnRequest bool
	// bothWays: combinations of whose connections none was seen in both directions have no series.
	bothWays bool

	// value returns the figure of a combination for the value of Label with an index; distribution sets d to that of
	// a histogram.
	value        func(t *group.Totals, i int) uint64
	distribution func(t *group.Totals, i int, d *Distribution)
	// whole returns the figure of all combinations together, of a family of the exporter itself, which has none of
	// the labels of a combination.
	whole func(r *group.Reading, i int) uint64
}

// GroupFamilies are metric families of the combinations of groups, in the order in which they are written: by name.
type GroupFamilies []GroupFamily

// The labels besides those of a combination, and their values in the order of package group's numbers.
var (
	directions = []string{"from_client", "from_server"}
	legs       = []string{"client", "server"}
	states     = []string{"half_open", "established"}
	closings   = []string{"fin", "reset_by_client", "reset_by_server", "timeout", "recycled"}
	failures   = []string{"unanswered", "refused", "unfinished"}
	kinds      = []string{"groups", "subnets"}
)

// perDirection returns a counter of what each side sent.
func perDirection(name, help string, value func(*group.Data) uint64) GroupFamily {
	return GroupFamily{Header: Header{name, help, Counter}, Label: "direction", Values: directions,
		value: func(t *group.Totals, i int) uint64 { return value(&t.Data[i]) }}
}

// inBothWays returns f, with series only where a connection was seen in both directions.
func inBothWays(f GroupFamily) GroupFamily {
	f.bothWays = true
	return f
}

// The families follow in the order of docs/metrics.md.
var groupFamilies = GroupFamilies{
	perDirection("tcp_group_packets_total", "TCP segments, those without payload included.", func(d *group.Data) uint64 { return d.Packets }),
	perDirection("tcp_group_bytes_total", "TCP payload bytes, repeated ones included.", func(d *group.Data) uint64 { return d.Bytes }),
	perDirection("tcp_group_retransmitted_packets_total", "Segments sent again, as tcp_retransmits_total counts them, but without SYNs and SYN+ACKs.", func(d *group.Data) uint64 { return d.Retransmits }),
	perDirection("tcp_group_retransmitted_bytes_total", "Payload bytes of the segments that tcp_group_retransmitted_packets_total counts.", func(d *group.Data) uint64 { return d.RetransmittedBytes }),
	perDirection("tcp_group_handshake_retransmits_total", "SYNs (from the client) and SYN+ACKs (from the server) sent again.", func(d *group.Data) uint64 { return d.HandshakeRetransmits }),
	perDirection("tcp_group_out_of_order_packets_total", "Segments that filled a hole in the sequence space sooner than a repair could: overtaken on their way.", func(d *group.Data) uint64 { return d.OutOfOrder }),
	perDirection("tcp_group_sequence_gaps_total", "Segments that started beyond the next expected sequence number.", func(d *group.Data) uint64 { return d.Gaps }),
	inBothWays(perDirection("tcp_group_duplicate_acks_total", "Duplicate ACKs (RFC 5681) of connections that were seen in both directions; absent until there was one.", func(d *group.Data) uint64 { return d.DuplicateAcks })),
	perDirection("tcp_group_zero_windows_total", "Segments that advertised a receive window of 0; SYN, FIN and RST do not count.", func(d *group.Data) uint64 { return d.ZeroWindows }),
	perDirection("tcp_group_resets_total", "RST segments.", func(d *group.Data) uint64 { return d.Resets }),

	{Header: Header{"tcp_group_connections", "Connections now: half_open, whose handshake is not complete, and established, of which anything but SYNs was seen from both sides.", Gauge},
		Label: "state", Values: states,
		value: func(t *group.Totals, i int) uint64 { return [...]uint64{t.HalfOpen, t.EstablishedNow}[i] }},
	{Header: Header{"tcp_group_connections_opened_total", "Connections whose first packet was seen.", Counter},
		value: func(t *group.Totals, _ int) uint64 { return t.Opened }},
	{Header: Header{"tcp_group_connections_established_total", "Connections of which anything but SYNs was seen from both sides.", Counter},
		value: func(t *group.Totals, _ int) uint64 { return t.Established }},
	{Header: Header{"tcp_group_connections_closed_total", "Ends of connections that were established, by FIN, by RST of either side, for their age, or to make room for others.", Counter},
		Label: "reason", Values: closings,
		value: func(t *group.Totals, i int) uint64 { return t.Closed[i] }},
	{Header: Header{"tcp_group_connections_failed_total", "Connections that were never established: SYNs without any reply, RST instead of SYN+ACK, or SYN+ACK without the ACK of the client.", Counter},
		Label: "reason", Values: failures,
		value: func(t *group.Totals, i int) uint64 { return t.Failed[i] }},
	{Header: Header{"tcp_group_one_way_connections", "Connections now of which one direction was seen.", Gauge},
		value: func(t *group.Totals, _ int) uint64 { return t.OneWay }},

	{Header: Header{"tcp_group_rtt_seconds", "Round-trip times between the capture point and the client or the server, from a data segment to the ACK of it; up to 137 s.", Histogram},
		Label: "leg", Values: legs,
		distribution: func(t *group.Totals, i int, d *Distribution) { d.setTimes(&t.RTT[i]) }},
	{Header: Header{"tcp_group_handshake_seconds", "Time from SYN to SYN+ACK (server) and from SYN+ACK to ACK (client), up to 137 s; none if the SYN or the SYN+ACK was repeated.", Histogram},
		Label: "leg", Values: legs,
		distribution: func(t *group.Totals, i int, d *Distribution) { d.setTimes(&t.Handshake[i]) }},
	{Header: Header{"tcp_group_connection_duration_seconds", "Time from the first packet of a connection to its latest one, counted when it ended; connections that were never established are left out.", Histogram},
		OnRequest:    true,
		distribution: func(t *group.Totals, _ int, d *Distribution) { d.setDurations(&t.Duration) }},
	{Header: Header{"tcp_group_connection_bytes", "TCP payload bytes that each side of a connection sent, counted when it ended; connections that were never established are left out.", Histogram},
		Label: "direction", Values: directions, OnRequest: true,
		distribution: func(t *group.Totals, i int, d *Distribution) { d.setSizes(&t.Size[i]) }},
}

// groupOwnFamilies tell of the combinations themselves. They come with any family of groups.
var groupOwnFamilies = GroupFamilies{
	{Header: Header{"tcp_stream_exporter_group_combinations", "Combinations of client group, server group and service that have counters, in the worker that has most.", Gauge},
		Label: "kind", Values: kinds,
		whole: func(r *group.Reading, i int) uint64 { return uint64(max(r.Used[i], 0)) }},
	{Header: Header{"tcp_stream_exporter_group_combinations_capacity", "Combinations that each worker has room for, by -group-max and -group-max-subnets.", Gauge},
		Label: "kind", Values: kinds,
		whole: func(r *group.Reading, i int) uint64 { return uint64(max(r.Capacity[i], 0)) }},
	{Header: Header{"tcp_stream_exporter_group_overflow_connections_total", "Connections that are counted under group other, because there was no room for their combination.", Counter},
		whole: func(r *group.Reading, _ int) uint64 { return r.Overflow }},
}

// GroupTable returns the families of combinations in the order of docs/metrics.md, and those of the exporter itself
// that come with them. They must not be changed.
func GroupTable() (families, own GroupFamilies) { return groupFamilies, groupOwnFamilies }

// allGroups are the families of groupFamilies in the order in which they are written.
var allGroups = sortedByName(groupFamilies, func(f *GroupFamily) string { return f.Name })
