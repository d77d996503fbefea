package collector

import (
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
}

// streamFamilies are the per-stream families in the order in which they are written.
var streamFamilies = []family{
	{"tcp_avg_delay_seconds", "Mean round-trip time of the last 100 or so samples: from a data segment to the peer's ACK of it.",
		gauge, single, stream.HasDelay, func(v *stream.View) float64 { return float64(v.AvgDelay) }},
	{"tcp_bitrate_bps", "Payload bits in the last complete second.",
		gauge, double, stream.HasBitrate, func(v *stream.View) float64 { return v.Bitrate }},
	{"tcp_bitrate_variance", "Coefficient of variation (standard deviation over mean) of the bitrates of the last 60 or so seconds.",
		gauge, single, stream.HasBitrate, func(v *stream.View) float64 { return float64(v.BitrateVariation) }},
	{"tcp_bytes_transferred_total", "TCP payload bytes seen, repeated ones included.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.Bytes) }},
	{"tcp_duplicate_acks_total", "Duplicate ACKs (RFC 5681).",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.DuplicateAcks) }},
	{"tcp_interarrival_variance_seconds", "Standard deviation of the gaps between packets; gaps of 10 s or more are left out.",
		gauge, single, stream.HasInterarrival, func(v *stream.View) float64 { return float64(v.InterarrivalDeviation) }},
	{"tcp_jitter_seconds", "Standard deviation of the round-trip time samples behind tcp_avg_delay_seconds.",
		gauge, single, stream.HasDelay, func(v *stream.View) float64 { return float64(v.Jitter) }},
	{"tcp_max_delay_seconds", "Largest round-trip time sample of the stream's life.",
		gauge, single, stream.HasDelay, func(v *stream.View) float64 { return float64(v.MaxDelay) }},
	{"tcp_min_delay_seconds", "Smallest round-trip time sample of the stream's life.",
		gauge, single, stream.HasDelay, func(v *stream.View) float64 { return float64(v.MinDelay) }},
	{"tcp_out_of_order_packets_total", "Segments that filled a hole in the sequence space late and were no repeats.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.OutOfOrder) }},
	{"tcp_packet_rate_pps", "Packets per second of the stream's uptime.",
		gauge, double, stream.HasRate, (*stream.View).PacketRate},
	{"tcp_packet_size_variance", "Coefficient of variation (standard deviation over mean) of the payload sizes of the last 100 or so packets with payload.",
		gauge, single, stream.HasSize, func(v *stream.View) float64 { return float64(v.SizeVariation) }},
	{"tcp_resets_total", "RST segments.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.Resets) }},
	{"tcp_retransmits_total", "Segments that repeated sequence space already seen.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.Retransmits) }},
	{"tcp_sequence_gaps_total", "Segments that started beyond the next expected sequence number.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.Gaps) }},
	{"tcp_stream_health_score", "Health of the stream, from 100 (no trouble seen) down to 0.",
		gauge, whole, 0, func(v *stream.View) float64 { return float64(v.Health) }},
	{"tcp_stream_uptime_seconds", "Time from the stream's first packet to now, or to its FIN or RST.",
		gauge, double, 0, func(v *stream.View) float64 { return v.Uptime }},
	{"tcp_window_size_bytes", "Receive window last advertised, scaled if both SYNs were seen.",
		gauge, whole, 0, func(v *stream.View) float64 { return float64(v.WindowBytes) }},
	{"tcp_zero_window_events_total", "Segments that advertised a receive window of 0; SYN, FIN and RST do not count.",
		counter, whole, 0, func(v *stream.View) float64 { return float64(v.ZeroWindows) }},
}

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
