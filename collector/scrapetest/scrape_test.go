package scrapetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	labelset "github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/teststorage"

	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// source has streams with all kinds of figures.
type source struct{}

const streams = 50

func (source) Snapshot(_ context.Context, s *collector.Snapshot) error {
	const all = stream.HasRate | stream.HasDelay | stream.HasBitrate | stream.HasSize | stream.HasInterarrival
	s.Views, s.Wide, s.Extras = nil, nil, nil
	for i := range streams {
		v := stream.View{
			Packets: uint64(i) * 1e9, Bytes: 1<<53 + uint64(i), Uptime: float64(i) / 3, Bitrate: math.Pow(10, float64(i-20)),
			MinDelay: float32(i) * 1e-9, MaxDelay: math.MaxFloat32, AvgDelay: math.SmallestNonzeroFloat32, WindowBytes: math.MaxUint32,
			Retransmits: uint32(i), SrcPort: uint16(i), DstPort: 65535, Finalized: i%3 == 0, Has: all, Health: uint8(i),
		}
		ends := stream.Ends{Src: parse.AddrFrom4(0x0a000000 + uint32(i)), Dst: parse.AddrFrom4(0xc0000201)}
		if i%5 == 0 {
			v.Has = 0
			ends.Dst = parse.AddrFrom(netip.MustParseAddr("2001:db8::1"))
		}
		s.Wide = v.SetEnds(ends, s.Wide)
		s.Views = append(s.Views, v)
		s.Extras = append(s.Extras, stream.Extra{
			First: 1.7e18, Last: 1.7e18 + int64(i), Syn: 1.7e18, Handshake: int64(i) * 1e6, RTTSum: 1 << 62, Wire: 1 << 60, RTTs: 7, SYNs: 1, MSS: 1460,
		})
	}
	s.Stats.Active, s.Stats.Packets = streams, 1e15
	return nil
}

// The current Prometheus reads the same in every format that it asks for, compressed and not, as
// client_golang's own parser of the plain text does.
func TestTheCurrentPrometheusScrapes(t *testing.T) {
	h := collector.New(source{}, collector.Options{Families: exposition.AllFamilies()})
	want := parsed(t, h)
	if n := len(want); n < 19*streams {
		t.Fatalf("only %d series to compare with", n)
	}
	for _, row := range []struct {
		protocols, answer, coding string // protocols: of the configuration; "": as Prometheus asks by itself
		zstd                      bool   // as if it accepted nothing else: of two that weigh the same gzip is taken
	}{
		{"", "application/openmetrics-text", "gzip", false},
		{"", "application/openmetrics-text", "zstd", true},
		{"OpenMetricsText1.0.0", "application/openmetrics-text", "", false},
		{"PrometheusText1.0.0", "text/plain", "gzip", false},
		{"PrometheusText0.0.4", "text/plain", "", false},
		{"PrometheusText0.0.4", "text/plain", "zstd", true},
		{"PrometheusProto, PrometheusText0.0.4", "text/plain", "gzip", false},
	} {
		t.Run(fmt.Sprintf("%s %s", row.protocols, row.coding), func(t *testing.T) {
			var answer atomic.Value
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if row.zstd {
					if accepts := r.Header.Get("Accept-Encoding"); !strings.Contains(accepts, "zstd") {
						t.Errorf("Prometheus accepts %q, want zstd among it", accepts)
					}
					r.Header.Set("Accept-Encoding", "zstd")
				}
				h.ServeHTTP(w, r)
				answer.CompareAndSwap(nil, w.Header().Clone())
			}))
			defer s.Close()
			got := scraped(t, s.Listener.Addr().String(), row.protocols, row.coding != "", row.zstd)
			head := answer.Load().(http.Header)
			if kind := head.Get("Content-Type"); !strings.HasPrefix(kind, row.answer) || head.Get("Content-Encoding") != row.coding {
				t.Errorf("the answer was %q, coded as %q; want %q and %q", kind, head.Get("Content-Encoding"), row.answer, row.coding)
			}
			for series, v := range want {
				if x, ok := got[series]; !ok || x != v {
					t.Errorf("%s is %v (there: %v), want %v", series, x, ok, v)
				}
			}
			if got["up"] != 1 || int(got["scrape_samples_scraped"]) != len(want) {
				t.Errorf("up %v, %v samples scraped; want 1 and %d", got["up"], got["scrape_samples_scraped"], len(want))
			}
		})
	}
}

// parsed returns the series of the plain text by its own parser.
func parsed(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := []string{}
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				series[key] = m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				series[key] = m.Gauge.GetValue()
			default:
				t.Fatalf("%s is a %v", name, f.GetType())
			}
		}
	}
	return series
}

// scraped returns the series of the first scrape of target, without the labels that Prometheus adds.
func scraped(t *testing.T, target, protocols string, compressed, zstd bool) map[string]float64 {
	t.Helper()
	store := teststorage.NewAppendable()
	m, err := scrape.NewManager(&scrape.Options{EnableZstdScrape: zstd, DiscoveryReloadInterval: model.Duration(time.Millisecond)},
		promslog.NewNopLogger(), nil, nil, store, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("scrape_configs:\n- job_name: streams\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  enable_compression: %v\n", compressed)
	if protocols != "" {
		text += "  scrape_protocols: [" + protocols + "]\n"
	}
	cfg, err := config.Load(text, promslog.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	groups := make(chan map[string][]*targetgroup.Group, 1)
	groups <- map[string][]*targetgroup.Group{"streams": {{
		Source: "test", Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(target)}},
	}}}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(groups) }()
	defer func() {
		m.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	// A scrape is committed as a whole, with the figures about it.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if samples := store.ResultSamples(); len(samples) > 0 {
			series := map[string]float64{}
			for _, s := range samples {
				labels := []string{}
				name := ""
				s.L.Range(func(l labelset.Label) {
					switch l.Name {
					case "instance", "job":
					case model.MetricNameLabel:
						name = l.Value
					default:
						labels = append(labels, fmt.Sprintf("%s=%q", l.Name, l.Value))
					}
				})
				if len(labels) > 0 {
					name += "{" + strings.Join(labels, ",") + "}"
				}
				if _, again := series[name]; again {
					break // the next scrape
				}
				series[name] = s.V
			}
			return series
		}
		if time.Now().After(end) {
			t.Fatal("nothing was scraped in 20 s")
		}
	}
}
