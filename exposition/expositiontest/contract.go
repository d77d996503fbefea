package expositiontest

import (
	"math"
	"strconv"
	"testing"

	"tcp-stream-exporter/stream"
)

// Contract states what users rely on, without the tables that the writer uses: every family that is
// exported by default, its type, when a stream appears in it, and its value read from the View.
var Contract = []struct {
	Name, Type string
	PerStream  bool
	present    string // of a per-stream family: a key of presence
	Value      func(v *stream.View) float64
}{
	{"tcp_stream_count", "gauge", false, "", nil},
	{"capture_packets_processed_total", "counter", false, "", nil},
	{"capture_dropped_packets_total", "counter", false, "", nil},
	{"capture_queue_freezes_total", "counter", false, "", nil},

	{"tcp_stream_health_score", "gauge", true, "always", func(v *stream.View) float64 { return float64(v.Health) }},
	{"tcp_stream_uptime_seconds", "gauge", true, "always", func(v *stream.View) float64 { return v.Uptime }},
	{"tcp_packet_rate_pps", "gauge", true, "with an uptime", (*stream.View).PacketRate},
	{"tcp_bytes_transferred_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.Bytes) }},
	{"tcp_retransmits_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.Retransmits) }},
	{"tcp_out_of_order_packets_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.OutOfOrder) }},
	{"tcp_duplicate_acks_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.DuplicateAcks) }},
	{"tcp_sequence_gaps_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.Gaps) }},
	{"tcp_zero_window_events_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.ZeroWindows) }},
	{"tcp_resets_total", "counter", true, "always", func(v *stream.View) float64 { return float64(v.Resets) }},
	{"tcp_window_size_bytes", "gauge", true, "always", func(v *stream.View) float64 { return float64(v.WindowBytes) }},
	{"tcp_avg_delay_seconds", "gauge", true, "with a delay sample", func(v *stream.View) float64 { return decimal(v.AvgDelay) }},
	{"tcp_jitter_seconds", "gauge", true, "with a delay sample", func(v *stream.View) float64 { return decimal(v.Jitter) }},
	{"tcp_min_delay_seconds", "gauge", true, "with a delay sample", func(v *stream.View) float64 { return decimal(v.MinDelay) }},
	{"tcp_max_delay_seconds", "gauge", true, "with a delay sample", func(v *stream.View) float64 { return decimal(v.MaxDelay) }},
	{"tcp_bitrate_bps", "gauge", true, "after a second", func(v *stream.View) float64 { return v.Bitrate }},
	{"tcp_bitrate_variance", "gauge", true, "after a second", func(v *stream.View) float64 { return decimal(v.BitrateVariation) }},
	{"tcp_packet_size_variance", "gauge", true, "with two sizes", func(v *stream.View) float64 { return decimal(v.SizeVariation) }},
	{"tcp_interarrival_variance_seconds", "gauge", true, "with two packets", func(v *stream.View) float64 { return decimal(v.InterarrivalDeviation) }},
}

// presence maps each condition of the Contract to the bit of a View that it stands for.
var presence = map[string]stream.Has{
	"always":              0,
	"with an uptime":      stream.HasRate,
	"with a delay sample": stream.HasDelay,
	"after a second":      stream.HasBitrate,
	"with two sizes":      stream.HasSize,
	"with two packets":    stream.HasInterarrival,
}

// decimal returns the float64 that is read back from the shortest text of a float32: 0.015584, not
// the 0.015584000386297703 that the bits mean.
func decimal(f float32) float64 {
	x, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		panic(err)
	}
	return x
}

// Present reports whether a stream with these bits is in family i of the Contract.
func Present(i int, has stream.Has) bool {
	need := presence[Contract[i].present]
	return has&need == need
}

// Expected returns the series of streams by the Contract, and their values.
func Expected(streams []Stream) map[string]float64 {
	want := map[string]float64{}
	for c, family := range Contract {
		for i := range streams {
			if v := &streams[i]; family.PerStream && Present(c, v.Has) {
				want[family.Name+Labels(v)] = family.Value(&v.View)
			}
		}
	}
	return want
}

// Labels renders a stream's labels the slow way.
func Labels(v *Stream) string {
	state := "active"
	if v.Finalized {
		state = "finalized"
	}
	return `{dst_ip="` + v.Dst.Netip().String() + `",dst_port="` + strconv.Itoa(int(v.DstPort)) +
		`",src_ip="` + v.Src.Netip().String() + `",src_port="` + strconv.Itoa(int(v.SrcPort)) +
		`",state="` + state + `"}`
}

// SameSeries fails the test unless got and want hold the same series with the same values; NaN equals
// NaN.
func SameSeries(t testing.TB, got, want map[string]float64) {
	t.Helper()
	for series, x := range want {
		y, ok := got[series]
		if !ok {
			t.Fatalf("%s is missing (want %v); %d series, want %d", series, x, len(got), len(want))
		}
		if x != y && !(math.IsNaN(x) && math.IsNaN(y)) {
			t.Fatalf("%s = %v, want %v", series, y, x)
		}
	}
	for series := range got {
		if _, ok := want[series]; !ok {
			t.Fatalf("%s is there and should not be", series)
		}
	}
}
