package collector

import (
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/stream"
)

func TestChooseFamilies(t *testing.T) {
	byDefault := Families(streamFamilies).Names()
	for _, row := range []struct {
		says, only, except string
		want               []string
	}{
		{"without a list: the default", "", "", byDefault},
		{"the default by its name", "default", "", byDefault},
		{"one name", "tcp_resets_total", "", []string{"tcp_resets_total"}},
		{"two names, in the order of the families", "tcp_resets_total, tcp_jitter_seconds", "", []string{"tcp_jitter_seconds", "tcp_resets_total"}},
		{"twice the same", "tcp_resets_total,tcp_resets_total", "", []string{"tcp_resets_total"}},
		{"a regular expression matches whole names", "tcp_(min|max)_delay_seconds", "", []string{"tcp_max_delay_seconds", "tcp_min_delay_seconds"}},
		{"a choice inside and outside of brackets", "tcp_resets_total|tcp_jitter.*", "", []string{"tcp_jitter_seconds", "tcp_resets_total"}},
		{"one more than the default", "default,tcp_packets_total", "", AllFamilies().namesWithout("tcp_first_packet_timestamp_seconds", "tcp_handshake_seconds", "tcp_last_packet_timestamp_seconds", "tcp_mss_bytes",
			"tcp_retransmitted_bytes_total", "tcp_rtt_samples_total", "tcp_rtt_seconds_total", "tcp_syn_timestamp_seconds", "tcp_syns_total", "tcp_wire_bytes_total")},
		{"everything", ".*", "", AllFamilies().Names()},
		{"without some", "", ".*_variance.*,tcp_resets_total", Families(streamFamilies).namesWithout("tcp_bitrate_variance", "tcp_interarrival_variance_seconds", "tcp_packet_size_variance", "tcp_resets_total")},
		{"some without one", "tcp_.*_delay_seconds", "tcp_avg_delay_seconds", []string{"tcp_max_delay_seconds", "tcp_min_delay_seconds"}},
	} {
		got, err := ChooseFamilies(row.only, row.except)
		if err != nil {
			t.Errorf("%s: %v", row.says, err)
		} else if !slices.Equal(got.Names(), row.want) {
			t.Errorf("%s: %q without %q is %v, want %v", row.says, row.only, row.except, got.Names(), row.want)
		}
	}
	for _, row := range []struct{ only, except, want string }{
		{"tcp_resets", "", "matches no per-stream family"},
		{"tcp_stream_count", "", "matches no per-stream family"},
		{"default,", "", "matches no per-stream family"},
		{"", "nothing", "matches no per-stream family"},
		{"(", "", "regular expression"},
		{"a)|(b", "", "regular expression"},
		{"tcp_resets_total", "tcp_.*", "no per-stream family is left"},
	} {
		if got, err := ChooseFamilies(row.only, row.except); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q without %q: %v, error %v, want one with %q", row.only, row.except, got.Names(), err, row.want)
		}
	}
}

func (fs Families) namesWithout(names ...string) []string {
	return slices.DeleteFunc(fs.Names(), func(n string) bool { return slices.Contains(names, n) })
}

func TestAllFamiliesAreSortedAndDifferent(t *testing.T) {
	names := AllFamilies().Names()
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(streamFamilies)+len(optionalFamilies) {
		t.Errorf("%v", names)
	}
}

// Whatever is chosen, the rest of the answer is the same, and the source is asked for no more than that
// needs.
func TestOnlyTheChosenFamiliesAreExported(t *testing.T) {
	views := fixedViews()
	choose := func(only, except string) Families {
		f, err := ChooseFamilies(only, except)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, row := range []struct {
		says       string
		chosen     Families
		query      string
		totalsOnly bool
		withExtras bool
	}{
		{"the default", nil, "", false, false},
		{"two", choose("tcp_resets_total,tcp_health_score|tcp_stream_health_score", ""), "", false, false},
		{"all but one", choose("", "tcp_resets_total"), "", false, false},
		{"none", NoFamilies, "", true, false},
		{"packets, which every View has", choose("tcp_packets_total", ""), "", false, false},
		{"one that needs more", choose("default,tcp_handshake_seconds", ""), "", false, true},
		{"one that needs more, not asked for", choose("default,tcp_handshake_seconds", ""), "?name[]=tcp_resets_total", false, false},
		{"a total", nil, "?name[]=tcp_stream_count", true, false},
	} {
		src := &fakeSource{views: views, extras: make([]stream.Extra, len(views))}
		h := New(src, Options{Families: row.chosen})
		text := scrapeOnce(h, "GET", "/metrics"+row.query).Body.Bytes()
		want := row.chosen
		if want == nil {
			want = streamFamilies
		}
		got := map[string]bool{}
		for name := range parseText(t, text).types {
			got[name] = true
		}
		if row.query == "" && !got["tcp_stream_count"] {
			t.Errorf("%s: tcp_stream_count is missing", row.says)
		}
		for _, f := range AllFamilies() {
			if there := got[f.name]; row.query == "" && there != want.has(f.name) {
				t.Errorf("%s: %s is there: %v", row.says, f.name, there)
			}
		}
		if src.asked.TotalsOnly != row.totalsOnly || src.asked.WithExtras != row.withExtras {
			t.Errorf("%s: the source is asked for %+v", row.says, src.asked)
		}
	}
}

func TestOptionalFamilies(t *testing.T) {
	views := fixedViews()
	extras := []stream.Extra{
		{First: 1_700_000_000_123_456_789, Last: 1_700_000_001_999_600_000, Syn: 1_700_000_000_123_000_000, Handshake: 1_500_000,
			RTTs: 3, RTTSum: 12_345_678, Wire: 1 << 50, Repeated: 2800, SYNs: 2, MSS: 1460},
		{First: 1_700_000_000_000_000_000, Last: 1_700_000_000_000_000_000, Handshake: -1},
		{First: 1, Last: 499_999, Handshake: 0},
	}
	h := New(&fakeSource{views: views, extras: extras}, Options{Families: optionalFamilies})
	for _, contentType := range []string{textType, openType} {
		_, text := ask(t, h, "/metrics", contentType, "")
		e := parseAs(t, text, contentType)
		want := map[string]float64{
			"tcp_packets_total" + labelsOf(&views[0]): 1500,
			"tcp_packets_total" + labelsOf(&views[1]): 1,
			"tcp_packets_total" + labelsOf(&views[2]): 1 << 40,

			"tcp_first_packet_timestamp_seconds" + labelsOf(&views[0]): 1_700_000_000.123,
			"tcp_first_packet_timestamp_seconds" + labelsOf(&views[1]): 1_700_000_000,
			"tcp_first_packet_timestamp_seconds" + labelsOf(&views[2]): 0,
			"tcp_last_packet_timestamp_seconds" + labelsOf(&views[0]):  1_700_000_002,
			"tcp_last_packet_timestamp_seconds" + labelsOf(&views[1]):  1_700_000_000,
			"tcp_last_packet_timestamp_seconds" + labelsOf(&views[2]):  0,

			"tcp_syn_timestamp_seconds" + labelsOf(&views[0]): 1_700_000_000.123,
			"tcp_handshake_seconds" + labelsOf(&views[0]):     0.0015,
			"tcp_handshake_seconds" + labelsOf(&views[2]):     0,

			"tcp_mss_bytes" + labelsOf(&views[0]): 1460,

			"tcp_stream_count": 2, "capture_packets_processed_total": 0, "capture_dropped_packets_total": 0, "capture_queue_freezes_total": 0,
		}
		for i := range views {
			x := &extras[i]
			for name, v := range map[string]float64{
				"tcp_retransmitted_bytes_total": float64(x.Repeated), "tcp_rtt_samples_total": float64(x.RTTs), "tcp_rtt_seconds_total": float64(x.RTTSum) / 1e9,
				"tcp_syns_total": float64(x.SYNs), "tcp_wire_bytes_total": float64(x.Wire),
			} {
				want[name+labelsOf(&views[i])] = v
			}
		}
		sameSeries(t, e.values, want)
		for _, f := range optionalFamilies {
			if string(e.types[f.name]) != f.kind || e.helps[f.name] == "" {
				t.Errorf("%s: type %q, help %q", f.name, e.types[f.name], e.helps[f.name])
			}
		}
	}
}

// What is compiled again with something around it may be too much then.
func TestNestedExpressions(t *testing.T) {
	for n := 990; n < 1010; n++ {
		list := strings.Repeat("(", n) + ".*" + strings.Repeat(")", n)
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%d parentheses: panic: %.100v", n, r)
				}
			}()
			_, _ = ChooseFamilies(list, "")
		}()
	}
}
