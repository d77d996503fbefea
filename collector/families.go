package collector

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/stream"
)

// The types of the text format.
const (
	counter = "counter"
	gauge   = "gauge"
)

// number says how a family's values are written.
type number uint8

const (
	double number = iota // shortest text that reads back as the same float64
	single               // a float32 field: shortest text that reads back as the same float32
	whole                // a whole number, 0 or more: digits only
)

// family is one per-stream metric family.
type family struct {
	name, help string
	kind       string // counter or gauge
	number     number
	needs      stream.Has // bits that a stream must have to appear; 0: it always appears
	value      func(*stream.View) float64
	// extra has the value and whether there is one, of a family that needs more than the View; value
	// and needs say nothing then.
	extra func(*stream.Extra) (x float64, known bool)
	// counted: its figures are those of a stream.Optional, which the capture must keep for it.
	counted bool
}

// streamFamilies are the per-stream families that are exported unless the selection says otherwise, in
// the order in which they are written.
var streamFamilies = []family{
	{name: "tcp_avg_delay_seconds", help: "Mean round-trip time of the last 100 or so samples: from a data segment to the peer's ACK of it.",
		kind: gauge, number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.AvgDelay) }},
	{name: "tcp_bitrate_bps", help: "Payload bits in the last complete second.",
		kind: gauge, number: double, needs: stream.HasBitrate, value: func(v *stream.View) float64 { return v.Bitrate }},
	{name: "tcp_bitrate_variance", help: "Coefficient of variation (standard deviation over mean) of the bitrates of the last 60 or so seconds.",
		kind: gauge, number: single, needs: stream.HasBitrate, value: func(v *stream.View) float64 { return float64(v.BitrateVariation) }},
	{name: "tcp_bytes_transferred_total", help: "TCP payload bytes seen, repeated ones included.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.Bytes) }},
	{name: "tcp_duplicate_acks_total", help: "Duplicate ACKs (RFC 5681).",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.DuplicateAcks) }},
	{name: "tcp_interarrival_variance_seconds", help: "Standard deviation of the gaps between packets; gaps of 10 s or more are left out.",
		kind: gauge, number: single, needs: stream.HasInterarrival, value: func(v *stream.View) float64 { return float64(v.InterarrivalDeviation) }},
	{name: "tcp_jitter_seconds", help: "Standard deviation of the round-trip time samples behind tcp_avg_delay_seconds.",
		kind: gauge, number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.Jitter) }},
	{name: "tcp_max_delay_seconds", help: "Largest round-trip time sample of the stream's life.",
		kind: gauge, number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.MaxDelay) }},
	{name: "tcp_min_delay_seconds", help: "Smallest round-trip time sample of the stream's life.",
		kind: gauge, number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.MinDelay) }},
	{name: "tcp_out_of_order_packets_total", help: "Segments that filled a hole in the sequence space sooner than a repair could: overtaken on their way.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.OutOfOrder) }},
	{name: "tcp_packet_rate_pps", help: "Packets per second of the stream's uptime.",
		kind: gauge, number: double, needs: stream.HasRate, value: (*stream.View).PacketRate},
	{name: "tcp_packet_size_variance", help: "Coefficient of variation (standard deviation over mean) of the payload sizes of the last 100 or so packets with payload.",
		kind: gauge, number: single, needs: stream.HasSize, value: func(v *stream.View) float64 { return float64(v.SizeVariation) }},
	{name: "tcp_resets_total", help: "RST segments.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.Resets) }},
	{name: "tcp_retransmits_total", help: "Segments sent again: seen or acknowledged before, or filling a hole half a round trip or more after it opened.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.Retransmits) }},
	{name: "tcp_sequence_gaps_total", help: "Segments that started beyond the next expected sequence number.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.Gaps) }},
	{name: "tcp_stream_health_score", help: "Health of the stream, from 100 (no trouble seen) down to 0.",
		kind: gauge, number: whole, value: func(v *stream.View) float64 { return float64(v.Health) }},
	{name: "tcp_stream_uptime_seconds", help: "Time from the stream's first packet to now, or to its FIN or RST.",
		kind: gauge, number: double, value: func(v *stream.View) float64 { return v.Uptime }},
	{name: "tcp_window_size_bytes", help: "Receive window last advertised, scaled if both SYNs were seen.",
		kind: gauge, number: whole, value: func(v *stream.View) float64 { return float64(v.WindowBytes) }},
	{name: "tcp_zero_window_events_total", help: "Segments that advertised a receive window of 0; SYN, FIN and RST do not count.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.ZeroWindows) }},
}

// optionalFamilies are the per-stream families that are exported only if asked for, in the same order.
var optionalFamilies = []family{
	{name: "tcp_first_packet_timestamp_seconds", help: "When the stream's first packet came, to the millisecond, since the epoch.",
		kind: gauge, number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.First), true }},
	{name: "tcp_handshake_seconds", help: "Time from the connection's SYN to its sender's first ACK; absent if the SYN or the SYN+ACK was repeated.",
		kind: gauge, number: double, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Handshake) / 1e9, e.Handshake >= 0 }},
	{name: "tcp_last_packet_timestamp_seconds", help: "When the stream's latest packet came, to the millisecond, since the epoch.",
		kind: gauge, number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.Last), true }},
	{name: "tcp_mss_bytes", help: "Maximum segment size that the stream's sender announced with its latest SYN.",
		kind: gauge, number: whole, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.MSS), e.MSS != 0 }},
	{name: "tcp_packets_total", help: "Packets of the stream.",
		kind: counter, number: whole, value: func(v *stream.View) float64 { return float64(v.Packets) }},
	{name: "tcp_retransmitted_bytes_total", help: "Payload bytes of the segments that tcp_retransmits_total counts.",
		kind: counter, number: whole, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Repeated), true }},
	{name: "tcp_rtt_samples_total", help: "Round-trip time samples, from a data segment to the peer's ACK of it.",
		kind: counter, number: whole, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.RTTs), true }},
	{name: "tcp_rtt_seconds_total", help: "Sum of the round-trip time samples.",
		kind: counter, number: double, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.RTTSum) / 1e9, true }},
	{name: "tcp_syn_timestamp_seconds", help: "When the connection's latest SYN without ACK came, to the millisecond, since the epoch.",
		kind: gauge, number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.Syn), e.Syn != 0 }},
	{name: "tcp_syns_total", help: "Segments with SYN, repeated ones included.",
		kind: counter, number: whole, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.SYNs), true }},
	{name: "tcp_wire_bytes_total", help: "Bytes of the stream's frames on the wire, headers included.",
		kind: counter, number: whole, counted: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Wire), true }},
}

// sinceEpoch are the seconds of ns, rounded to milliseconds: finer digits would change from scrape to
// scrape with the two clocks that a time is converted by.
func sinceEpoch(ns int64) float64 { return math.Round(float64(ns)/1e6) / 1e3 }

// The families without labels, which client_golang gathers.
var (
	streamCountDesc = prometheus.NewDesc("tcp_stream_count",
		"Streams (one direction of a connection) that are active, that is not finalized.", nil, nil)
	packetsDesc = prometheus.NewDesc("capture_packets_processed_total",
		"Packets taken out of the capture ring.", nil, nil)
	droppedDesc = prometheus.NewDesc("capture_dropped_packets_total",
		"Packets that the kernel dropped because the capture ring had no room.", nil, nil)
	freezesDesc = prometheus.NewDesc("capture_queue_freezes_total",
		"Times that the kernel froze the capture queue because the ring was full (TPACKET_V3).", nil, nil)
)
