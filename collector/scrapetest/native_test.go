package scrapetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/teststorage"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
)

// service is a source of combinations that differ in their services, and the round-trip times that each has counted
// on the client's side, ascending, in ns. Those of the first one are none.
type service struct {
	rows  []group.Row
	times map[string][]int64
}

func newService() service {
	s := service{times: map[string][]int64{}}
	r := rand.New(rand.NewPCG(20, 26))
	for port := uint16(1); port <= 12; port++ {
		row := group.Row{Key: group.Key{Service: port}}
		row.Opened, row.EstablishedNow, row.Data[group.FromServer].Bytes = uint64(port), 3, 1<<53-uint64(port)
		var times []int64
		for range int(port-1) * 40 {
			ns := int64(50e6 * math.Exp(r.NormFloat64()*float64(port)/4)) // around 50 ms, ever farther
			if port == 2 {
				ns = r.Int64N(2000) // most of it below the first bucket
			}
			ns = min(ns, 1<<37-1)
			row.RTT[group.ClientLeg].Note(ns)
			times = append(times, ns)
		}
		slices.Sort(times)
		s.rows, s.times[fmt.Sprint(port)] = append(s.rows, row), times
	}
	return s
}

func (service) Snapshot(_ context.Context, s *collector.Snapshot) error {
	s.Views, s.Wide, s.Extras = nil, nil, nil
	s.Stats.Packets = 42
	return nil
}

func (s service) Groups(_ context.Context, r *group.Reading) error {
	*r = group.Reading{Rows: append(r.Rows[:0], s.rows...), Overflow: 7}
	return nil
}

const zeroThreshold = 1.0 / (1 << 20) // seconds

// Three jobs of the current Prometheus scrape the summary: one takes native histograms, one the classic ones of the
// text, one both. Each bucket holds the times that belong there, and histogram_quantile of native and classic
// buckets agree within a bucket.
func TestNativeAndClassicHistograms(t *testing.T) {
	source := newService()
	h := collector.New(source, collector.Options{Families: exposition.NoFamilies, Groups: source})
	server := httptest.NewServer(h.Summary())
	defer server.Close()
	query := scrapeJobs(t, server.Listener.Addr().String(), `
- job_name: native
  scrape_native_histograms: true
- job_name: classic
- job_name: both
  scrape_native_histograms: true
  always_scrape_classic_histograms: true
`, []string{"native", "classic", "both"})

	for job, want := range map[string][2]bool{"native": {true, false}, "classic": {false, true}, "both": {true, true}} {
		native := len(query(fmt.Sprintf(`tcp_group_rtt_seconds{job=%q,leg="client"}`, job))) == len(source.rows)
		classic := len(query(fmt.Sprintf(`tcp_group_rtt_seconds_count{job=%q,leg="client"}`, job))) == len(source.rows)
		if got := [2]bool{native, classic}; got != want {
			t.Errorf("job %s has native and classic histograms: %v, want %v", job, got, want)
		}
		for series, x := range map[string]float64{
			`sum(tcp_group_bytes_total{direction="from_server",service="12",job=%q})`: 1<<53 - 12,
			`sum(tcp_group_connections_opened_total{job=%q})`:                         78,
			`sum(tcp_group_connections{state="established",job=%q})`:                  36,
			`tcp_stream_exporter_group_overflow_connections_total{job=%q}`:            7,
			`capture_packets_processed_total{job=%q}`:                                 42,
		} {
			if got := query(fmt.Sprintf(series, job)); len(got) != 1 || got[0].F != x {
				t.Errorf("%s is %v, want %v", fmt.Sprintf(series, job), got, x)
			}
		}
	}
	for _, s := range query(`tcp_group_rtt_seconds{job="native",leg="client"}`) {
		times, counted := source.times[s.Metric.Get("service")], 0
		between := func(low, high float64) (n int) {
			for _, ns := range times {
				if x := float64(ns) / 1e9; x > low && x <= high {
					n++
				}
			}
			return n
		}
		if s.H.Schema != 3 || s.H.ZeroThreshold != zeroThreshold || int(s.H.Count) != len(times) {
			t.Errorf("service %s: schema %d, zero threshold %v, %v times, want 3, 2^-20 and %d", s.Metric.Get("service"), s.H.Schema, s.H.ZeroThreshold, s.H.Count, len(times))
		}
		if n := between(-1, s.H.ZeroThreshold); float64(n) != s.H.ZeroCount {
			t.Errorf("service %s: %v times are zero, want %d", s.Metric.Get("service"), s.H.ZeroCount, n)
		}
		for it := s.H.PositiveBucketIterator(); it.Next(); {
			b := it.At()
			if n := between(b.Lower, b.Upper); float64(n) != b.Count {
				t.Errorf("service %s: %v times in (%v, %v], want %d", s.Metric.Get("service"), b.Count, b.Lower, b.Upper, n)
			}
			counted += int(b.Count)
		}
		if n := counted + int(s.H.ZeroCount); n != len(times) {
			t.Errorf("service %s: the buckets hold %d times, want %d", s.Metric.Get("service"), n, len(times))
		}
	}
	compared := 0
	for _, q := range []float64{0.05, 0.5, 0.95, 0.99} {
		classic := map[string]float64{}
		for _, s := range query(fmt.Sprintf(`histogram_quantile(%v, sum by (service, le) (tcp_group_rtt_seconds_bucket{job="classic",leg="client"}))`, q)) {
			classic[s.Metric.Get("service")] = s.F
		}
		for _, s := range query(fmt.Sprintf(`histogram_quantile(%v, sum by (service) (tcp_group_rtt_seconds{job="native",leg="client"}))`, q)) {
			name := s.Metric.Get("service")
			times := source.times[name]
			if len(times) == 0 {
				if !math.IsNaN(s.F) || !math.IsNaN(classic[name]) {
					t.Errorf("the quantiles of nothing are %v and %v", s.F, classic[name])
				}
				continue
			}
			exact := float64(times[max(int(math.Ceil(q*float64(len(times))))-1, 0)]) / 1e9
			low, high := exact/math.Exp2(1.0/8), exact*math.Exp2(1.0/8)
			if exact <= zeroThreshold {
				low, high = 0, zeroThreshold
			}
			if s.F < low || s.F > high {
				t.Errorf("service %s, quantile %v: native %v, the time itself is %v", name, q, s.F, exact)
			}
			low, high = 0.0, group.ClassicBounds[len(group.ClassicBounds)-1]
			i, _ := slices.BinarySearch(group.ClassicBounds[:], exact)
			if i > 0 {
				low = group.ClassicBounds[i-1]
			}
			if i < len(group.ClassicBounds) {
				high = group.ClassicBounds[i]
			} else {
				low = high // Prometheus answers with the highest bound
			}
			if x := classic[name]; x < low || x > high {
				t.Errorf("service %s, quantile %v: classic %v, the time itself is %v, in (%v, %v]", name, q, x, exact, low, high)
			}
			compared++
		}
	}
	if compared != 4*11 {
		t.Errorf("%d quantiles were compared, want 44", compared)
	}
}

// scrapeJobs has Prometheus scrape target by some jobs until each has been scraped once, and returns a function that
// evaluates an expression over that.
func scrapeJobs(t *testing.T, target, configs string, jobs []string) func(string) promql.Vector {
	t.Helper()
	store := teststorage.New(t)
	m, err := scrape.NewManager(&scrape.Options{DiscoveryReloadInterval: model.Duration(time.Millisecond)},
		promslog.NewNopLogger(), nil, nil, store, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:"+configs, promslog.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	targets := map[string][]*targetgroup.Group{}
	for _, job := range jobs {
		targets[job] = []*targetgroup.Group{{Source: "test", Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(target)}}}}
	}
	groups := make(chan map[string][]*targetgroup.Group, 1)
	groups <- targets
	ended := make(chan error, 1)
	go func() { ended <- m.Run(groups) }()
	t.Cleanup(func() {
		m.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: 20 * time.Second, Parser: parser.NewParser(parser.Options{})})
	query := func(expression string) promql.Vector {
		t.Helper()
		q, err := engine.NewInstantQuery(context.Background(), store, nil, expression, time.Now())
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		defer q.Close()
		v, err := q.Exec(context.Background()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return v
	}
	for end := time.Now().Add(20 * time.Second); len(query("up == 1")) < len(jobs); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not all jobs were scraped in 20 s")
		}
	}
	return query
}
