package collector

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/exposition/expositiontest"
)

// broken is a collector that fails while bad is set.
type broken struct{ bad bool }

var brokenDesc = prometheus.NewDesc("app_ok", "Whether it works.", nil, nil)

func (b *broken) Describe(ch chan<- *prometheus.Desc) { ch <- brokenDesc }
func (b *broken) Collect(ch chan<- prometheus.Metric) {
	if b.bad {
		ch <- prometheus.NewInvalidMetric(brokenDesc, errors.New("no figure"))
		return
	}
	ch <- prometheus.MustNewConstMetric(brokenDesc, prometheus.GaugeValue, 1)
}

func TestAFailingCollectorIs500(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Fixed()}, Options{})
	b := &broken{bad: true}
	h.Registry().MustRegister(b)
	w := scrapeOnce(h, "GET", "/metrics")
	if w.Code != 500 || !strings.Contains(w.Body.String(), "no figure") {
		t.Errorf("%d %q, want 500 and the reason", w.Code, w.Body)
	}
	oneLine(t, w)
	b.bad = false
	w = scrapeOnce(h, "GET", "/metrics")
	if e := expositiontest.Parse(t, w.Body.Bytes()); w.Code != 200 || e.Values["app_ok"] != 1 || e.Values["tcp_stream_count"] != 2 {
		t.Errorf("after the failure: %d, %v", w.Code, e.Values)
	}
}

func TestRuntimeAndProcessMetricsOnlyWhenAskedFor(t *testing.T) {
	for _, o := range []Options{{}, {GoMetrics: true}, {ProcessMetrics: true}, {GoMetrics: true, ProcessMetrics: true}} {
		e := expositiontest.Parse(t, scrapeOnce(New(&fakeSource{views: expositiontest.Fixed()}, o), "GET", "/metrics").Body.Bytes())
		goMetrics, processMetrics := 0, 0
		for name := range e.Types {
			switch {
			case strings.HasPrefix(name, "go_"):
				goMetrics++
			case strings.HasPrefix(name, "process_"):
				processMetrics++
			}
		}
		if (goMetrics > 0) != o.GoMetrics || (processMetrics > 0) != o.ProcessMetrics {
			t.Errorf("%+v: %d go_ families, %d process_ families", o, goMetrics, processMetrics)
		}
		_, open := ask(t, New(&fakeSource{}, o), "/metrics", expositiontest.OpenMetricsType, "")
		if bytes.Contains(open, []byte("\n# UNIT ")) {
			t.Errorf("%+v: the text has UNIT lines", o)
		}
		if n := len(e.Types) - goMetrics - processMetrics; n != len(expositiontest.Contract) {
			t.Errorf("%+v: %d families of our own, want %d", o, n, len(expositiontest.Contract))
		}
	}
}

func TestRegistryComesBeforeTheStreams(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Fixed()}, Options{})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "zz_build_info", Help: "Constant 1."})
	info.Set(1)
	h.Registry().MustRegister(info)
	text := scrapeOnce(h, "GET", "/metrics").Body.String()
	at, streams := strings.Index(text, "\nzz_build_info 1\n"), strings.Index(text, "{dst_ip=")
	if at < 0 || streams < at {
		t.Errorf("zz_build_info at %d, first stream at %d", at, streams)
	}
	expositiontest.Parse(t, []byte(text))
}

// A program without HTTP gets the same families as a scrape, by name.
func TestRuntime(t *testing.T) {
	for _, o := range []Options{{}, {GoMetrics: true}, {ProcessMetrics: true}, {GoMetrics: true, ProcessMetrics: true}} {
		families, err := Runtime(o)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for name, kind := range expositiontest.Parse(t, scrapeOnce(New(&fakeSource{}, o), "GET", "/metrics").Body.Bytes()).Types {
			if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
				want[name] = kind
			}
		}
		var text []byte
		for i, f := range families {
			if i > 0 && families[i-1].Name >= f.Name {
				t.Errorf("%s comes before %s", families[i-1].Name, f.Name)
			}
			if !bytes.HasPrefix(f.Lines, []byte("# HELP "+f.Name+" ")) {
				t.Errorf("%s begins with %.40q", f.Name, f.Lines)
			}
			text = append(text, f.Lines...)
		}
		if got := expositiontest.Parse(t, text).Types; !maps.Equal(got, want) || len(got) != len(families) {
			t.Errorf("%+v: %v, want %v", o, got, want)
		}
	}
}
