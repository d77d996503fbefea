package top

import "net/netip"

// status holds what is shown of /api/v1/status.
type status struct {
	Interface string  `json:"interface"`
	Uptime    float64 `json:"uptime_seconds"`
	Capture   struct {
		State   string `json:"state"` // complete, incomplete, stuck
		Summary string `json:"summary"`
		Reasons []struct {
			Text string `json:"text"`
		} `json:"reasons"`
	} `json:"capture"`
	Totals struct {
		Connections float64  `json:"connections"`
		Capacity    float64  `json:"connections_capacity"`
		Dropped     float64  `json:"dropped_packets_total"`
		PacketRate  *float64 `json:"packets_per_second"`
		DropRate    *float64 `json:"dropped_packets_per_second"`
		BitRate     *float64 `json:"bits_per_second"`
	} `json:"totals"`
}

// streams holds what is shown of /api/v1/streams.
type streams struct {
	InTable     float64  `json:"streams_in_table"`
	Matched     float64  `json:"streams_matched"`
	IPv6        bool     `json:"ipv6_accounted"`
	IPv6Skipped float64  `json:"ipv6_skipped_packets"`
	Rows        []stream `json:"streams"`
}

// stream is one direction of a connection. A nil figure is one that the stream does not have.
type stream struct {
	Src       netip.Addr `json:"src_ip"`
	SrcPort   uint16     `json:"src_port"`
	Dst       netip.Addr `json:"dst_ip"`
	DstPort   uint16     `json:"dst_port"`
	Interface string     `json:"interface"`
	VLAN      string     `json:"vlan"`
	State     string     `json:"state"` // active, finalized
	SrcGroup  string     `json:"src_group"`
	DstGroup  string     `json:"dst_group"`
	Service   string     `json:"service"`

	Bytes       *float64 `json:"tcp_bytes_transferred_total"`
	Bitrate     *float64 `json:"tcp_bitrate_bps"`
	Packets     *float64 `json:"tcp_packets_total"`
	Retransmits *float64 `json:"tcp_retransmits_total"`
	Delay       *float64 `json:"tcp_avg_delay_seconds"`
	Jitter      *float64 `json:"tcp_jitter_seconds"`
	Health      *float64 `json:"tcp_stream_health_score"`
	Age         *float64 `json:"tcp_stream_uptime_seconds"`
}

// groups holds what is shown of /api/v1/groups.
type groups struct {
	Matched  float64 `json:"groups_matched"`
	InTable  float64 `json:"groups_in_table"`
	Overflow float64 `json:"overflow_connections_total"`
	Rows     []group `json:"groups"`
}

// group is one combination of client group, server group and service.
type group struct {
	Client    string `json:"client_group"`
	Server    string `json:"server_group"`
	Service   string `json:"service"`
	Interface string `json:"interface"`

	Bytes       directions `json:"tcp_group_bytes_total"`
	Packets     directions `json:"tcp_group_packets_total"`
	Retransmits directions `json:"tcp_group_retransmitted_packets_total"`
	Connections struct {
		HalfOpen    float64 `json:"half_open"`
		Established float64 `json:"established"`
	} `json:"tcp_group_connections"`
	Opened float64 `json:"tcp_group_connections_opened_total"`
	Failed struct {
		Unanswered float64 `json:"unanswered"`
		Refused    float64 `json:"refused"`
		Unfinished float64 `json:"unfinished"`
	} `json:"tcp_group_connections_failed_total"`
	RTT struct {
		Client *distribution `json:"client"`
		Server *distribution `json:"server"`
	} `json:"tcp_group_rtt_seconds"`
}

// directions holds a figure by who sent the packets.
type directions struct {
	FromClient float64 `json:"from_client"`
	FromServer float64 `json:"from_server"`
}

func (d directions) sum() float64 { return d.FromClient + d.FromServer }

// distribution holds what is shown of a histogram of times.
type distribution struct {
	Quantiles struct {
		Median float64 `json:"0.5"`
	} `json:"quantiles_seconds"`
}

// median returns the median time, s; nil if nothing was measured.
func (d *distribution) median() *float64 {
	if d == nil {
		return nil
	}
	return &d.Quantiles.Median
}

func (g *group) failed() float64 { return g.Failed.Unanswered + g.Failed.Refused + g.Failed.Unfinished }
