package collector

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"tcp-stream-exporter/stream"
)

// contract is what users rely on, stated without the table that the writer uses: every family,
// its type, when a stream appears in it, and its value read from the View.
var contract = []struct {
	name, kind string
	perStream  bool
	present    string // of a per-stream family
	value      func(v *stream.View) float64
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
	{"tcp_bitrate_bps", "gauge", true, "after a bitrate window", func(v *stream.View) float64 { return v.Bitrate }},
	{"tcp_bitrate_variance", "gauge", true, "after a bitrate window", func(v *stream.View) float64 { return decimal(v.BitrateVariation) }},
	{"tcp_packet_size_variance", "gauge", true, "with two sizes", func(v *stream.View) float64 { return decimal(v.SizeVariation) }},
	{"tcp_interarrival_variance_seconds", "gauge", true, "with two packets", func(v *stream.View) float64 { return decimal(v.InterarrivalDeviation) }},
}

// presence says which bit of a View each of the contract's conditions stands for.
var presence = map[string]stream.Has{
	"always":                 0,
	"with an uptime":         stream.HasRate,
	"with a delay sample":    stream.HasDelay,
	"after a bitrate window": stream.HasBitrate,
	"with two sizes":         stream.HasSize,
	"with two packets":       stream.HasInterarrival,
}

// decimal is the float64 that is read back from the shortest text of a float32: 0.015584, not
// the 0.015584000386297703 that the bits mean.
func decimal(f float32) float64 {
	x, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		panic(err)
	}
	return x
}

// expected is the exposition of views by the contract: value by series.
func expected(views []shown) map[string]float64 {
	want := map[string]float64{}
	for _, c := range contract {
		for i := range views {
			v := &views[i]
			if need := presence[c.present]; c.perStream && v.Has&need == need {
				want[c.name+labelsOf(v)] = c.value(&v.View)
			}
		}
	}
	return want
}

// labelsOf renders a stream's labels the slow way.
func labelsOf(v *shown) string {
	state := "active"
	if v.Finalized {
		state = "finalized"
	}
	return `{dst_ip="` + v.Dst.Netip().String() + `",dst_port="` + strconv.Itoa(int(v.DstPort)) +
		`",src_ip="` + v.Src.Netip().String() + `",src_port="` + strconv.Itoa(int(v.SrcPort)) +
		`",state="` + state + `"}`
}

// sameSeries fails the test unless got and want hold the same series with the same values; NaN
// equals NaN.
func sameSeries(t testing.TB, got, want map[string]float64) {
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

func TestContractAndTableHoldTheSameFamilies(t *testing.T) {
	kinds := map[string]string{}
	for _, f := range streamFamilies {
		if kinds[f.name] != "" {
			t.Errorf("%s is in the table twice", f.name)
		}
		kinds[f.name] = f.kind
		if strings.ContainsAny(f.help, "\\\n\"") || f.help == "" {
			t.Errorf("%s: help %q would need escaping, or is empty", f.name, f.help)
		}
	}
	n := 0
	for _, c := range contract {
		if !c.perStream {
			continue
		}
		n++
		if kinds[c.name] != c.kind {
			t.Errorf("%s has type %q in the table, want %q", c.name, kinds[c.name], c.kind)
		}
	}
	if n != len(streamFamilies) || n != 19 || len(contract) != 23 {
		t.Errorf("%d families in the table, %d of %d in the contract are per stream; want 19, 19 of 23",
			len(streamFamilies), n, len(contract))
	}
}
