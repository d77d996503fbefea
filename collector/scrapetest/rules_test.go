package scrapetest

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

const (
	recordingRules = "../../deploy/prometheus/recording.yml"
	nativeRules    = "../../deploy/prometheus/recording-native.yml"
	alertRules     = "../../deploy/prometheus/alerts.yml"
)

func rules(t *testing.T, file string) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", file)
	}
	return all
}

// The current Prometheus reads the rules, and every series in them is the exporter's, up, or of a recording rule.
func TestRulesHaveSeriesThatThereAre(t *testing.T) {
	others := []string{"up"}
	for _, r := range rules(t, recordingRules) {
		others = append(others, r.Record)
	}
	n := newNames(t, others...)
	for _, file := range []string{recordingRules, nativeRules, alertRules} {
		for _, r := range rules(t, file) {
			for _, fault := range n.faults(r.Expr) {
				t.Errorf("%s%s: %s", r.Record, r.Alert, fault)
			}
		}
	}
}

// What is recorded of round-trip times is there with native histograms in the place of classic ones, once where both are
// kept.
func TestRoundTripsAreRecordedFromNativeHistograms(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 10_000)
	store := promqltest.LoadedStorage(t, `
		load 1m
			tcp_group_rtt_seconds{leg="client"} {{schema:3 sum:0 count:0 buckets:[0]}}+{{schema:3 sum:6 count:600 buckets:[600] offset:-53}}x20
			tcp_group_rtt_seconds{leg="server"} {{schema:3 sum:0 count:0 buckets:[0]}}+{{schema:3 sum:6 count:600 buckets:[600] offset:-53}}x20
			tcp_group_rtt_seconds_count{leg="server"} 0+600x20
	`)
	for record, want := range map[string][2]float64{ // 0.01 is in the bucket that ends at 2^(-53/8)
		"combination_leg:tcp_group_rtt_samples:rate5m":     {9.99, 10.01},
		"combination_leg:tcp_group_rtt_seconds:p50_rate5m": {0.009, 0.0102},
		"combination_leg:tcp_group_rtt_seconds:p95_rate5m": {0.009, 0.0102},
	} {
		found := false
		for _, r := range rules(t, nativeRules) {
			if r.Record != record {
				continue
			}
			found = true
			query, err := engine.NewInstantQuery(t.Context(), store, nil, r.Expr, time.Unix(0, 0).Add(10*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			v, err := query.Exec(t.Context()).Vector()
			if err != nil || len(v) != 1 || v[0].F < want[0] || v[0].F > want[1] {
				t.Errorf("%s is %v (%v), want one, of leg client, from %v to %v", record, v, err, want[0], want[1])
			}
			query.Close()
		}
		if !found {
			t.Errorf("%s is not recorded", record)
		}
	}
}
