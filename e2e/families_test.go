package e2e

import (
	"fmt"
	"slices"
	"strings"

	"tcp-stream-exporter/internal/lab"
)

// The per-stream families, by when they are present.
var (
	always = []string{
		"tcp_stream_health_score", "tcp_stream_uptime_seconds", "tcp_bytes_transferred_total",
		"tcp_retransmits_total", "tcp_out_of_order_packets_total", "tcp_duplicate_acks_total",
		"tcp_sequence_gaps_total", "tcp_zero_window_events_total", "tcp_resets_total",
		"tcp_window_size_bytes",
	}
	withDelay = []string{ // at least one RTT sample
		"tcp_avg_delay_seconds", "tcp_jitter_seconds", "tcp_min_delay_seconds", "tcp_max_delay_seconds",
	}
	withPackets = []string{ // at least two packets (with payload), and time between them
		"tcp_packet_rate_pps", "tcp_packet_size_variance", "tcp_interarrival_variance_seconds",
	}
	withBitrate = []string{ // a complete second
		"tcp_bitrate_bps", "tcp_bitrate_variance",
	}
)

// missing returns an error that names the families which a flow lacks in a state, or its other state.
func missing(m lab.Metrics, f lab.Flow, state string, families ...[]string) error {
	other := "finalized"
	if state == other {
		other = "active"
	}
	if got := m.Of(f, other); len(got) != 0 {
		return fmt.Errorf("%v is %s, want %s", f, other, state)
	}
	got := m.Of(f, state)
	var lacks []string
	for _, name := range slices.Concat(families...) {
		if _, ok := got[name]; !ok {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) != 0 {
		return fmt.Errorf("%v %s lacks %s; it has %d families", f, state, strings.Join(lacks, ", "), len(got))
	}
	return nil
}

// gone returns an error if a flow is still in the exposition.
func gone(m lab.Metrics, f lab.Flow) error {
	for _, state := range []string{"active", "finalized"} {
		if n := len(m.Of(f, state)); n != 0 {
			return fmt.Errorf("%v still has %d families as %s, want it gone", f, n, state)
		}
	}
	return nil
}

// is wants a family of a flow to have exactly this value.
func is(m lab.Metrics, f lab.Flow, state, name string, want float64) error {
	got, ok := m[f.Key(name, state)]
	if !ok {
		return fmt.Errorf("%v %s has no %s, want %v", f, state, name, want)
	}
	if got != want {
		return fmt.Errorf("%v %s: %s is %v, want %v (%+v)", f, state, name, got, want, got-want)
	}
	return nil
}
