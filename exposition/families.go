package exposition

import (
	"cmp"
	"math"
	"slices"

	"tcp-stream-exporter/stream"
)

// Type is the type of a family, as the formats spell it.
type Type string

// The types that figures of streams have.
const (
	Counter Type = "counter"
	Gauge   Type = "gauge"
)

// Header holds the HELP and TYPE lines of a family. Help texts hold neither a backslash, a
// quotation mark nor a line feed, the characters that would have to be escaped.
type Header struct {
	Name, Help string
	Type       Type
}

// number chooses how a family's values are written.
type number uint8

const (
	double number = iota // shortest text that reads back as the same float64
	single               // a float32 field: shortest text that reads back as the same float32
	whole                // a whole number, 0 or more: digits only
)

// Family is a metric family with the labels of a stream.
type Family struct {
	Header
	Present string // when a stream has a line in it, in the words of docs/metrics.md
	number  number
	needs   stream.Has // bits that a stream must have to have a line; 0: it always has one
	value   func(*stream.View) float64
	// extra returns the value, and whether there is one, of a family that needs more than the View; value
	// and needs are not used then.
	extra    func(*stream.Extra) (x float64, known bool)
	optional bool // extra reads what a stream.Optional has counted
	bothWays bool // where one direction of a connection is not captured the figure of the other says nothing
}

// Families are metric families of streams, in the order in which they are written: by name.
type Families []Family

// When a stream has a line, for each of the bits of stream.Has.
const (
	always           = "always"
	withRate         = "once uptime is above 0"
	withDelay        = "from 1 sample on"
	withBitrate      = "after the first second of the stream"
	withSize         = "from 2 packets with payload on"
	withInterarrival = "from 2 gaps on, which is usually 3 packets"
)

// lifeFamilies show how long and how well a stream has lived.
var lifeFamilies = Families{
	{Header: Header{"tcp_stream_uptime_seconds", "Time from the stream's first packet to now, or to its FIN or RST.", Gauge}, Present: always,
		number: double, value: func(v *stream.View) float64 { return v.Uptime }},
	{Header: Header{"tcp_packet_rate_pps", "Packets per second of the stream's uptime.", Gauge}, Present: withRate,
		number: double, needs: stream.HasRate, value: (*stream.View).PacketRate},
	{Header: Header{"tcp_stream_health_score", "Health of the stream, from 100 (no trouble seen) down to 0.", Gauge}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Health) }, bothWays: true},
}

// volumeFamilies show how much a stream sends, and how evenly.
var volumeFamilies = Families{
	{Header: Header{"tcp_bytes_transferred_total", "TCP payload bytes seen, repeated ones included.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Bytes) }},
	{Header: Header{"tcp_bitrate_bps", "Payload bits in the last complete second.", Gauge}, Present: withBitrate,
		number: double, needs: stream.HasBitrate, value: func(v *stream.View) float64 { return v.Bitrate }},
	{Header: Header{"tcp_bitrate_variance", "Coefficient of variation (standard deviation over mean) of the bitrates of the last 60 or so seconds.", Gauge}, Present: withBitrate,
		number: single, needs: stream.HasBitrate, value: func(v *stream.View) float64 { return float64(v.BitrateVariation) }},
	{Header: Header{"tcp_packet_size_variance", "Coefficient of variation (standard deviation over mean) of the payload sizes of the last 100 or so packets with payload.", Gauge}, Present: withSize,
		number: single, needs: stream.HasSize, value: func(v *stream.View) float64 { return float64(v.SizeVariation) }},
	{Header: Header{"tcp_interarrival_variance_seconds", "Standard deviation of the gaps between packets; gaps of 10 s or more are left out.", Gauge}, Present: withInterarrival,
		number: single, needs: stream.HasInterarrival, value: func(v *stream.View) float64 { return float64(v.InterarrivalDeviation) }},
}

// delayFamilies show the round-trip times between the capture and the stream's receiver.
var delayFamilies = Families{
	{Header: Header{"tcp_avg_delay_seconds", "Mean round-trip time of the last 100 or so samples: from a data segment to the peer's ACK of it.", Gauge}, Present: withDelay,
		number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.AvgDelay) }},
	{Header: Header{"tcp_jitter_seconds", "Standard deviation of the round-trip time samples behind tcp_avg_delay_seconds.", Gauge}, Present: withDelay,
		number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.Jitter) }},
	{Header: Header{"tcp_min_delay_seconds", "Smallest round-trip time sample of the stream's life.", Gauge}, Present: withDelay,
		number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.MinDelay) }},
	{Header: Header{"tcp_max_delay_seconds", "Largest round-trip time sample of the stream's life.", Gauge}, Present: withDelay,
		number: single, needs: stream.HasDelay, value: func(v *stream.View) float64 { return float64(v.MaxDelay) }},
}

// troubleFamilies count what goes wrong, segment by segment.
var troubleFamilies = Families{
	{Header: Header{"tcp_retransmits_total", "Segments sent again: seen or acknowledged before, or filling a hole half a round trip or more after it opened.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Retransmits) }},
	{Header: Header{"tcp_out_of_order_packets_total", "Segments that filled a hole in the sequence space sooner than a repair could: overtaken on their way.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.OutOfOrder) }},
	{Header: Header{"tcp_sequence_gaps_total", "Segments that started beyond the next expected sequence number.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Gaps) }},
	{Header: Header{"tcp_duplicate_acks_total", "Duplicate ACKs (RFC 5681).", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.DuplicateAcks) }, bothWays: true},
	{Header: Header{"tcp_zero_window_events_total", "Segments that advertised a receive window of 0; SYN, FIN and RST do not count.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.ZeroWindows) }},
	{Header: Header{"tcp_resets_total", "RST segments.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Resets) }},
	{Header: Header{"tcp_window_size_bytes", "Receive window last advertised, scaled if both SYNs were seen.", Gauge}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.WindowBytes) }},
}

// onRequestFamilies are exported only if they are asked for.
var onRequestFamilies = Families{
	{Header: Header{"tcp_packets_total", "Packets of the stream.", Counter}, Present: always,
		number: whole, value: func(v *stream.View) float64 { return float64(v.Packets) }},
	{Header: Header{"tcp_handshake_seconds", "Time from the connection's SYN to its sender's first ACK; absent if the SYN or the SYN+ACK was repeated.", Gauge}, Present: "if the handshake was seen and nothing in it twice",
		number: double, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Handshake) / 1e9, e.Handshake >= 0 }},
	{Header: Header{"tcp_syn_timestamp_seconds", "When the connection's latest SYN without ACK came, to the millisecond, since the epoch.", Gauge}, Present: "if a SYN without ACK was seen",
		number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.Syn), e.Syn != 0 }},
	{Header: Header{"tcp_first_packet_timestamp_seconds", "When the stream's first packet came, to the millisecond, since the epoch.", Gauge}, Present: always,
		number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.First), true }},
	{Header: Header{"tcp_last_packet_timestamp_seconds", "When the stream's latest packet came, to the millisecond, since the epoch.", Gauge}, Present: always,
		number: double, extra: func(e *stream.Extra) (float64, bool) { return sinceEpoch(e.Last), true }},
	{Header: Header{"tcp_rtt_samples_total", "Round-trip time samples, from a data segment to the peer's ACK of it.", Counter}, Present: always,
		number: whole, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.RTTs), true }},
	{Header: Header{"tcp_rtt_seconds_total", "Sum of the round-trip time samples.", Counter}, Present: always,
		number: double, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.RTTSum) / 1e9, true }},
	{Header: Header{"tcp_wire_bytes_total", "Bytes of the stream's frames on the wire, headers included.", Counter}, Present: always,
		number: whole, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Wire), true }},
	{Header: Header{"tcp_retransmitted_bytes_total", "Payload bytes of the segments that tcp_retransmits_total counts.", Counter}, Present: always,
		number: whole, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.Repeated), true }},
	{Header: Header{"tcp_syns_total", "Segments with SYN, repeated ones included.", Counter}, Present: always,
		number: whole, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.SYNs), true }},
	{Header: Header{"tcp_mss_bytes", "Maximum segment size that the stream's sender announced with its latest SYN.", Gauge}, Present: "if a SYN with the option was seen",
		number: whole, optional: true, extra: func(e *stream.Extra) (float64, bool) { return float64(e.MSS), e.MSS != 0 }},
}

// Section is a table of families as docs/metrics.md shows it, under a heading of its own.
type Section struct {
	Heading   string
	OnRequest bool     // exported only if asked for
	Families  Families // in the order of the table
}

// sections hold every family of streams once.
var sections = []Section{
	{Heading: "Life of a stream", Families: lifeFamilies},
	{Heading: "Volume", Families: volumeFamilies},
	{Heading: "Delay", Families: delayFamilies},
	{Heading: "Trouble", Families: troubleFamilies},
	{Heading: "Off unless asked for", Families: onRequestFamilies, OnRequest: true},
}

// Sections returns the tables of docs/metrics.md, in its order. They must not be changed.
func Sections() []Section { return sections }

// byDefault and all are the families of the sections in the order in which they are written.
var (
	byDefault = familiesOf(func(s *Section) bool { return !s.OnRequest })
	all       = familiesOf(func(*Section) bool { return true })
)

func familiesOf(wanted func(*Section) bool) Families {
	var fs Families
	for i := range sections {
		if wanted(&sections[i]) {
			fs = append(fs, sections[i].Families...)
		}
	}
	return sortedByName(fs, func(f *Family) string { return f.Name })
}

// sortedByName returns a copy of rows in the order of their names.
func sortedByName[S ~[]E, E any](rows S, name func(*E) string) S {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b E) int { return cmp.Compare(name(&a), name(&b)) })
	return rows
}

// sinceEpoch returns ns in seconds, rounded to milliseconds: finer digits would change from scrape to
// scrape with the two clocks that a time is converted by.
func sinceEpoch(ns int64) float64 { return math.Round(float64(ns)/1e6) / 1e3 }
