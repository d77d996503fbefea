package collector

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMethods(t *testing.T) {
	src := &fakeSource{views: fixedViews()}
	h := New(src, Options{})
	for _, row := range []struct {
		method string
		status int
		body   bool // the text, or the line that says what is wrong
	}{
		{"GET", 200, true},
		{"HEAD", 200, false},
		{"POST", 405, true},
		{"PUT", 405, true},
		{"DELETE", 405, true},
		{"OPTIONS", 405, true},
		{"get", 405, true},
	} {
		src.snapshots.Store(0)
		w := scrapeOnce(h, row.method, "/metrics")
		if w.Code != row.status || (w.Body.Len() > 0) != row.body {
			t.Errorf("%s: status %d with %d bytes, want %d", row.method, w.Code, w.Body.Len(), row.status)
		}
		allow := ""
		if row.status == 405 {
			allow = "GET, HEAD"
			oneLine(t, w)
		}
		if w.Header().Get("Allow") != allow {
			t.Errorf("%s: Allow is %q, want %q", row.method, w.Header().Get("Allow"), allow)
		}
		if n := src.snapshots.Load(); (n == 1) != (row.status == 200) {
			t.Errorf("%s took %d snapshots", row.method, n)
		}
	}
}

// oneLine fails the test unless the answer is one line of plain text.
func oneLine(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	body := w.Body.String()
	if strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") {
		t.Errorf("the answer is not one line: %q", body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Errorf("the answer has Content-Type %q", ct)
	}
}

// The count and the streams are from one snapshot, even if the next one would differ.
func TestStreamCountIsOfTheSameSnapshot(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(9, 9)), 50)
	src := &fakeSource{}
	src.enter = func(context.Context) error {
		src.views = views[:10*src.snapshots.Load()]
		return nil
	}
	h := New(src, Options{})
	for range 4 {
		e := parseText(t, scrapeOnce(h, "GET", "/metrics").Body.Bytes())
		active := 0
		for series := range e.values {
			if strings.HasPrefix(series, "tcp_stream_health_score") && strings.Contains(series, `state="active"`) {
				active++
			}
		}
		if got := e.values["tcp_stream_count"]; got != float64(active) || active == 0 {
			t.Errorf("tcp_stream_count is %v, %d active streams are in the same text", got, active)
		}
	}
	if n := src.snapshots.Load(); n != 4 {
		t.Errorf("4 scrapes took %d snapshots", n)
	}
}

func TestSnapshotErrorIs503(t *testing.T) {
	src := &fakeSource{err: errors.New("capture: stopped\nfor good")}
	h := New(src, Options{})
	for _, method := range []string{"GET", "HEAD"} {
		w := scrapeOnce(h, method, "/metrics")
		if w.Code != 503 || !strings.Contains(w.Body.String(), "capture: stopped; for good") {
			t.Errorf("%s: %d %q, want 503 and the reason", method, w.Code, w.Body)
		}
		oneLine(t, w)
	}
	src.err = nil
	if w := scrapeOnce(h, "GET", "/metrics"); w.Code != 200 {
		t.Errorf("after the error: %d", w.Code)
	}
}

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
	h := New(&fakeSource{views: fixedViews()}, Options{})
	b := &broken{bad: true}
	h.Registry().MustRegister(b)
	w := scrapeOnce(h, "GET", "/metrics")
	if w.Code != 500 || !strings.Contains(w.Body.String(), "no figure") {
		t.Errorf("%d %q, want 500 and the reason", w.Code, w.Body)
	}
	oneLine(t, w)
	b.bad = false
	w = scrapeOnce(h, "GET", "/metrics")
	if e := parseText(t, w.Body.Bytes()); w.Code != 200 || e.values["app_ok"] != 1 || e.values["tcp_stream_count"] != 2 {
		t.Errorf("after the failure: %d, %v", w.Code, e.values)
	}
}

func TestRuntimeAndProcessMetricsOnlyWhenAskedFor(t *testing.T) {
	for _, o := range []Options{{}, {GoMetrics: true}, {ProcessMetrics: true}, {GoMetrics: true, ProcessMetrics: true}} {
		e := parseText(t, scrapeOnce(New(&fakeSource{views: fixedViews()}, o), "GET", "/metrics").Body.Bytes())
		goMetrics, processMetrics := 0, 0
		for name := range e.types {
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
		if n := len(e.types) - goMetrics - processMetrics; n != len(contract) {
			t.Errorf("%+v: %d families of our own, want %d", o, n, len(contract))
		}
	}
}

func TestRegistryComesBeforeTheStreams(t *testing.T) {
	h := New(&fakeSource{views: fixedViews()}, Options{})
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "zz_build_info", Help: "Constant 1."})
	info.Set(1)
	h.Registry().MustRegister(info)
	text := scrapeOnce(h, "GET", "/metrics").Body.String()
	at, streams := strings.Index(text, "\nzz_build_info 1\n"), strings.Index(text, "{dst_ip=")
	if at < 0 || streams < at {
		t.Errorf("zz_build_info at %d, first stream at %d", at, streams)
	}
	parseText(t, []byte(text))
}

func TestAPanicFreesThePlaces(t *testing.T) {
	src := &fakeSource{views: fixedViews(), enter: func(context.Context) error { panic("a fault") }}
	h := New(src, Options{})
	for range 2 * maxOpen {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the server")
				}
			}()
			scrapeOnce(h, "GET", "/metrics")
		}()
	}
	src.enter = nil
	if w := scrapeOnce(h, "GET", "/metrics"); w.Code != 200 {
		t.Errorf("after the panics: %d", w.Code)
	}
	atRest(t, h)
}

// atRest fails the test unless no scrape holds a place.
func atRest(t *testing.T, h *Handler) {
	t.Helper()
	if n := places(h); n != 0 || len(h.working) != 0 {
		t.Errorf("%d scrapes have a place, %d are at work, want none", n, len(h.working))
	}
}

// nullWriter is a client that takes everything; onWrite, when set, runs at each piece.
type nullWriter struct {
	header  http.Header
	pieces  int
	bytes   int
	onWrite func(piece int)
}

func (n *nullWriter) Header() http.Header { return n.header }
func (n *nullWriter) WriteHeader(int)     {}
func (n *nullWriter) Write(p []byte) (int, error) {
	n.pieces++
	n.bytes += len(p)
	if n.onWrite != nil {
		n.onWrite(n.pieces)
	}
	return len(p), nil
}

func TestAllocationsDoNotGrowWithTheStreams(t *testing.T) {
	allocs := func(n int) float64 {
		h := New(&fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), n)}, Options{})
		w := &nullWriter{header: http.Header{}}
		r := httptest.NewRequest("GET", "/metrics", nil)
		return testing.AllocsPerRun(5, func() { h.ServeHTTP(w, r) })
	}
	few, many := allocs(10), allocs(3000)
	if many > few+20 {
		t.Errorf("%v allocations a scrape with 10 streams, %v with 3000", few, many)
	}
}

func TestAHangUpStopsTheWriting(t *testing.T) {
	h := New(&fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), 3000)}, Options{})
	r := httptest.NewRequest("GET", "/metrics", nil)
	for _, at := range []int{1, 2, 5} {
		ctx, cancel := context.WithCancel(context.Background())
		w := &nullWriter{header: http.Header{}, onWrite: func(piece int) {
			if piece == at {
				cancel()
			}
		}}
		h.ServeHTTP(w, r.WithContext(ctx))
		if w.pieces != at {
			t.Errorf("hung up at piece %d, %d were written", at, w.pieces)
		}
		cancel()
		atRest(t, h)
	}
}

func TestAHangUpEndsTheSnapshot(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	src := &fakeSource{enter: func(ctx context.Context) error {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	srv := httptest.NewServer(New(src, Options{}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-began
		cancel()
	}()
	if resp, err := srv.Client().Do(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		t.Error("an answer came after the client hung up")
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the snapshot's context ended with %v", err)
	}
}

func TestFamiliesComeTogetherOnce(t *testing.T) {
	text := render(t, randomViews(rand.New(rand.NewPCG(2, 2)), 300))
	var order []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), " ")
		name, _, _ = strings.Cut(name, "{")
		if len(order) == 0 || order[len(order)-1] != name {
			order = append(order, name)
		}
	}
	if len(order) != 19 || !slices.IsSorted(order) {
		t.Errorf("the families come in this order: %v", order)
	}
}

// name[] picks families as promhttp does, those of streams and the others.
func TestNamesInTheQuery(t *testing.T) {
	h := New(&fakeSource{views: fixedViews(), stats: totals(7, 8, 9)}, Options{})
	h.Registry().MustRegister(h.Durations())
	for _, row := range []struct {
		says, query string
		want        []string
	}{
		{"one of the streams'", "?name[]=tcp_resets_total", []string{"tcp_resets_total"}},
		{"a total", "?name[]=tcp_stream_count", []string{"tcp_stream_count"}},
		{"one of each, escaped", "?name%5B%5D=capture_dropped_packets_total&name%5B%5D=tcp_jitter_seconds", []string{"capture_dropped_packets_total", "tcp_jitter_seconds"}},
		{"a histogram by its family's name", "?name[]=tcp_stream_exporter_scrape_duration_seconds", []string{"tcp_stream_exporter_scrape_duration_seconds"}},
		{"twice the same", "?name[]=tcp_resets_total&name[]=tcp_resets_total", []string{"tcp_resets_total"}},
		{"none that there is", "?name[]=up", nil},
		{"an empty one", "?name[]=", nil},
	} {
		for _, contentType := range []string{textType, openType} {
			_, text := ask(t, h, "/metrics"+row.query, contentType, "")
			e := parseAs(t, text, contentType)
			if got := slices.Sorted(maps.Keys(e.types)); !slices.Equal(got, row.want) {
				t.Errorf("%s: %q gives %v, want %v", row.says, row.query, got, row.want)
			}
		}
	}
	families := func(target string) []string {
		_, text := ask(t, h, target, "", "")
		return slices.Sorted(maps.Keys(parseAs(t, text, textType).types))
	}
	if all, other := families("/metrics"), families("/metrics?debug=1&name=x"); len(all) < 20 || !slices.Equal(all, other) {
		t.Errorf("other parameters change the families: %v without, %v with them", all, other)
	}
}
