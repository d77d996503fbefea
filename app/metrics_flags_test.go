package app

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
)

func families(t *testing.T, only, except string) exposition.Families {
	t.Helper()
	f, err := exposition.ChooseFamilies(only, except)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// names makes families comparable: they hold functions.
func names(f exposition.Families) string { return strings.Join(f.Names(), " ") }

func TestMetricsFlags(t *testing.T) {
	for _, row := range []struct {
		says string
		args []string
		want collector.Options
	}{
		{"nothing given, nothing changed", nil, collector.Options{Families: families(t, "", "")}},
		{"a list", []string{"-metrics", "tcp_resets_total,tcp_jitter_seconds"}, collector.Options{Families: families(t, "tcp_resets_total,tcp_jitter_seconds", "")}},
		{"an exclusion", []string{"-metrics-exclude", ".*_variance.*"}, collector.Options{Families: families(t, "", ".*_variance.*")}},
		{"none", []string{"-no-stream-metrics", "-go-metrics"}, collector.Options{Families: exposition.NoFamilies, GoMetrics: true}},
		{"limits", []string{"-streams-top", "100", "-streams-min-bytes", "1000", "-streams-min-age", "10s"},
			collector.Options{Families: families(t, "", ""), Limits: exposition.Limits{Top: 100, MinBytes: 1000, MinAge: 10 * time.Second}}},
		{"the worst", []string{"-streams-top", "5", "-streams-top-by", "health"},
			collector.Options{Families: families(t, "", ""), Limits: exposition.Limits{Top: 5, TopBy: exposition.ByHealth}}},
	} {
		o, err := parseFlags(row.args, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", row.says, err)
			continue
		}
		got := o.metrics.Options
		if names(got.Families) != names(row.want.Families) || (got.Families == nil) != (row.want.Families == nil) {
			t.Errorf("%s: families %v, want %v", row.says, names(got.Families), names(row.want.Families))
		}
		got.Families, row.want.Families = nil, nil
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, want %+v", row.says, got, row.want)
		}
	}
}

func TestMetricsFlagsThatCannotBe(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string // in the message
	}{
		{[]string{"-metrics", ""}, `-metrics "": name`},
		{[]string{"-metrics-exclude", " "}, `-metrics-exclude " ": name`},
		{[]string{"-metrics", "tcp_nothing"}, `"tcp_nothing" matches no per-stream family`},
		{[]string{"-metrics", "tcp_("}, "neither a name nor a regular expression"},
		{[]string{"-metrics-exclude", ".*"}, "no per-stream family is left"},
		{[]string{"-no-stream-metrics", "-streams-top", "5"}, "give one of the flags"},
		{[]string{"-no-stream-metrics", "-metrics", "tcp_resets_total"}, "give one of the flags"},
		{[]string{"-streams-top", "0"}, "want 1 or more"},
		{[]string{"-streams-top", "-3"}, "want 1 or more"},
		{[]string{"-streams-top", "5", "-streams-top-by", "size"}, "-streams-top-by size: want bytes, packets, retransmits, delay or health"},
		{[]string{"-streams-top-by", "delay"}, "-streams-top-by delay: goes with -streams-top only"},
		{[]string{"-no-stream-metrics", "-streams-top-by", "delay"}, "give one of the flags"},
		{[]string{"-streams-min-bytes", "-1"}, "want 0 or more"},
		{[]string{"-streams-min-age", "-1s"}, "want a duration of 0 or more"},
	} {
		_, err := parseFlags(row.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want one line with %q", row.args, err, row.want)
		}
	}
}
