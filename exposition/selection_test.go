package exposition

import (
	"slices"
	"strings"
	"testing"
)

func TestChooseFamilies(t *testing.T) {
	byDefault := DefaultFamilies().Names()
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
		{"without some", "", ".*_variance.*,tcp_resets_total", DefaultFamilies().namesWithout("tcp_bitrate_variance", "tcp_interarrival_variance_seconds", "tcp_packet_size_variance", "tcp_resets_total")},
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
	if !slices.IsSorted(names) || len(slices.Compact(names)) != len(byDefault)+len(onRequestFamilies) {
		t.Errorf("%v", names)
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

func TestChooseGroupFamilies(t *testing.T) {
	byDefault := DefaultGroupFamilies().Names()
	for list, want := range map[string][]string{
		"default": byDefault,
		"none":    {},
		"tcp_group_rtt_seconds, tcp_group_.*bytes.*": {"tcp_group_bytes_total", "tcp_group_connection_bytes", "tcp_group_retransmitted_bytes_total", "tcp_group_rtt_seconds"},
		"default,tcp_group_connection_duration_seconds": slices.Insert(slices.Clone(byDefault),
			slices.Index(byDefault, "tcp_group_connections"), "tcp_group_connection_duration_seconds"),
	} {
		got, err := ChooseGroupFamilies(list)
		if err != nil || !slices.Equal(got.Names(), want) {
			t.Errorf("%q gives %v, %v; want %v", list, got.Names(), err, want)
		}
	}
	for list, says := range map[string]string{
		"tcp_resets_total":      "matches no family of groups",
		"tcp_stream_exporter.*": "matches no family of groups",
		"tcp_group_packets":     "matches no family of groups",
		"none,default":          "matches no family of groups",
		"(":                     "neither a name nor a regular expression",
		"":                      "matches no family of groups",
	} {
		if got, err := ChooseGroupFamilies(list); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, %v; want an error that says %q", list, got.Names(), err, says)
		}
	}
	if slices.Contains(byDefault, "tcp_group_connection_bytes") || slices.Contains(byDefault, "tcp_group_connection_duration_seconds") || len(byDefault) != 18 {
		t.Errorf("%d families by default: %v", len(byDefault), byDefault)
	}
}
