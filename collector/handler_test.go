package collector

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/internal/benchflag"
	"tcp-stream-exporter/stream"
)

var update = flag.Bool("update", false, "write the golden files and the tables of docs/metrics.md anew")

func TestGoldenText(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Fixed(), stats: totals(123456789, 42, 7)}, Options{})
	for path, contentType := range map[string]string{"testdata/metrics.txt": expositiontest.TextType, "testdata/openmetrics.txt": expositiontest.OpenMetricsType} {
		_, got := ask(t, h, "/metrics", contentType, "")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the text differs from %s (go test -update writes it anew):\n%s", path, got)
		}
	}
}

// A scrape without flags follows the contract.
func TestScrapeKeepsTheContract(t *testing.T) {
	stats := totals(123456789, 42, 7)
	h := New(&fakeSource{views: expositiontest.Fixed(), stats: stats}, Options{})
	text := scrapeOnce(h, "GET", "/metrics").Body.Bytes()

	e := expositiontest.Parse(t, text)
	want := expositiontest.Expected(expositiontest.Fixed())
	want["tcp_stream_count"] = 2
	want["capture_packets_processed_total"] = 123456789
	want["capture_dropped_packets_total"] = 42
	want["capture_queue_freezes_total"] = 7
	expositiontest.SameSeries(t, e.Values, want)

	for _, c := range expositiontest.Contract {
		if e.Types[c.Name] != c.Type || e.Helps[c.Name] == "" {
			t.Errorf("%s: type %q and help %q, want a %s with a help text", c.Name, e.Types[c.Name], e.Helps[c.Name], c.Type)
		}
	}
	if len(e.Types) != len(expositiontest.Contract) {
		t.Errorf("%d families, want %d", len(e.Types), len(expositiontest.Contract))
	}
}

// Whatever is chosen, the rest of the answer is the same, and the source is asked for no more than that
// needs.
func TestOnlyTheChosenFamiliesAreExported(t *testing.T) {
	views := expositiontest.Fixed()
	choose := func(only, except string) exposition.Families {
		f, err := exposition.ChooseFamilies(only, except)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, row := range []struct {
		says       string
		chosen     exposition.Families
		query      string
		totalsOnly bool
		withExtras bool
	}{
		{"the default", nil, "", false, false},
		{"two", choose("tcp_resets_total,tcp_health_score|tcp_stream_health_score", ""), "", false, false},
		{"all but one", choose("", "tcp_resets_total"), "", false, false},
		{"none", exposition.NoFamilies, "", true, false},
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
			want = exposition.DefaultFamilies()
		}
		got := map[string]bool{}
		for name := range expositiontest.Parse(t, text).Types {
			got[name] = true
		}
		if row.query == "" && !got["tcp_stream_count"] {
			t.Errorf("%s: tcp_stream_count is missing", row.says)
		}
		for _, f := range exposition.AllFamilies() {
			if there := got[f.Name]; row.query == "" && there != slices.Contains(want.Names(), f.Name) {
				t.Errorf("%s: %s is there: %v", row.says, f.Name, there)
			}
		}
		if src.asked.TotalsOnly != row.totalsOnly || src.asked.WithExtras != row.withExtras {
			t.Errorf("%s: the source is asked for %+v", row.says, src.asked)
		}
	}
}

// onRequest returns the families that are exported only if they are asked for.
func onRequest() (fs exposition.Families) {
	for _, s := range exposition.Sections() {
		if s.OnRequest {
			fs = append(fs, s.Families...)
		}
	}
	return fs
}

func TestFamiliesOnRequest(t *testing.T) {
	views := expositiontest.Fixed()
	extras := []stream.Extra{
		{First: 1_700_000_000_123_456_789, Last: 1_700_000_001_999_600_000, Syn: 1_700_000_000_123_000_000, Handshake: 1_500_000,
			RTTs: 3, RTTSum: 12_345_678, Wire: 1 << 50, Repeated: 2800, SYNs: 2, MSS: 1460},
		{First: 1_700_000_000_000_000_000, Last: 1_700_000_000_000_000_000, Handshake: -1},
		{First: 1, Last: 499_999, Handshake: 0},
	}
	h := New(&fakeSource{views: views, extras: extras}, Options{Families: onRequest()})
	for _, contentType := range []string{expositiontest.TextType, expositiontest.OpenMetricsType} {
		_, text := ask(t, h, "/metrics", contentType, "")
		e := expositiontest.ParseAs(t, text, contentType)
		want := map[string]float64{
			"tcp_packets_total" + expositiontest.Labels(&views[0]): 1500,
			"tcp_packets_total" + expositiontest.Labels(&views[1]): 1,
			"tcp_packets_total" + expositiontest.Labels(&views[2]): 1 << 40,

			"tcp_first_packet_timestamp_seconds" + expositiontest.Labels(&views[0]): 1_700_000_000.123,
			"tcp_first_packet_timestamp_seconds" + expositiontest.Labels(&views[1]): 1_700_000_000,
			"tcp_first_packet_timestamp_seconds" + expositiontest.Labels(&views[2]): 0,
			"tcp_last_packet_timestamp_seconds" + expositiontest.Labels(&views[0]):  1_700_000_002,
			"tcp_last_packet_timestamp_seconds" + expositiontest.Labels(&views[1]):  1_700_000_000,
			"tcp_last_packet_timestamp_seconds" + expositiontest.Labels(&views[2]):  0,

			"tcp_syn_timestamp_seconds" + expositiontest.Labels(&views[0]): 1_700_000_000.123,
			"tcp_handshake_seconds" + expositiontest.Labels(&views[0]):     0.0015,
			"tcp_handshake_seconds" + expositiontest.Labels(&views[2]):     0,

			"tcp_mss_bytes" + expositiontest.Labels(&views[0]): 1460,

			"tcp_stream_count": 2, "capture_packets_processed_total": 0, "capture_dropped_packets_total": 0, "capture_queue_freezes_total": 0,
		}
		for i := range views {
			x := &extras[i]
			for name, v := range map[string]float64{
				"tcp_retransmitted_bytes_total": float64(x.Repeated), "tcp_rtt_samples_total": float64(x.RTTs), "tcp_rtt_seconds_total": float64(x.RTTSum) / 1e9,
				"tcp_syns_total": float64(x.SYNs), "tcp_wire_bytes_total": float64(x.Wire),
			} {
				want[name+expositiontest.Labels(&views[i])] = v
			}
		}
		expositiontest.SameSeries(t, e.Values, want)
		for _, f := range onRequest() {
			if e.Types[f.Name] != string(f.Type) || e.Helps[f.Name] == "" {
				t.Errorf("%s: type %q, help %q", f.Name, e.Types[f.Name], e.Helps[f.Name])
			}
		}
	}
}

// Limits leave tcp_stream_count alone, and the rest of the capture's streams is given back.
func TestLimitsDoNotChangeTheCount(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 300)
	active := 0
	for i := range views {
		if !views[i].Finalized {
			active++
		}
	}
	for _, limits := range []exposition.Limits{{}, {Top: 7}, {MinBytes: 1 << 40}, {Top: 7, MinAge: time.Second}, {MinAge: time.Hour}} {
		h := New(&fakeSource{views: views}, Options{Limits: limits})
		for range 2 {
			e := expositiontest.Parse(t, scrapeOnce(h, "GET", "/metrics").Body.Bytes())
			streams := 0
			for series := range e.Values {
				if strings.HasPrefix(series, "tcp_stream_health_score{") {
					streams++
				}
			}
			if got := e.Values["tcp_stream_count"]; got != float64(active) {
				t.Errorf("%+v: tcp_stream_count is %v, want %d", limits, got, active)
			}
			if all := limits == (exposition.Limits{}); all != (streams == len(views)) || limits.Top != 0 && streams != limits.Top || limits.MinAge == time.Hour && streams != 0 {
				t.Errorf("%+v: %d of %d streams", limits, streams, len(views))
			}
		}
		atRest(t, h)
	}
}

func TestMethods(t *testing.T) {
	src := &fakeSource{views: expositiontest.Fixed()}
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
	views := expositiontest.Random(rand.New(rand.NewPCG(9, 9)), 50)
	src := &fakeSource{}
	src.enter = func(context.Context) error {
		src.views = views[:10*src.snapshots.Load()]
		return nil
	}
	h := New(src, Options{})
	for range 4 {
		e := expositiontest.Parse(t, scrapeOnce(h, "GET", "/metrics").Body.Bytes())
		active := 0
		for series := range e.Values {
			if strings.HasPrefix(series, "tcp_stream_health_score") && strings.Contains(series, `state="active"`) {
				active++
			}
		}
		if got := e.Values["tcp_stream_count"]; got != float64(active) || active == 0 {
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

func TestAPanicFreesThePlaces(t *testing.T) {
	src := &fakeSource{views: expositiontest.Fixed(), enter: func(context.Context) error { panic("a fault") }}
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
	for name, l := range map[string]*lane{"streams": &h.streams, "summaries": &h.summaries} {
		if n, _ := l.queue.counts(); n != 0 || len(l.work) != 0 {
			t.Errorf("%s: %d scrapes have a place, %d are at work, want none", name, n, len(l.work))
		}
	}
}

func TestAllocationsDoNotGrowWithTheStreams(t *testing.T) {
	allocs := func(n int) float64 {
		h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), n)}, Options{})
		w := &nullWriter{header: http.Header{}}
		r := httptest.NewRequest("GET", "/metrics", nil)
		return testing.AllocsPerRun(5, func() { h.ServeHTTP(w, r) })
	}
	few, many := allocs(10), allocs(3000)
	if many > few+20 {
		t.Errorf("%v allocations a scrape with 10 streams, %v with 3000", few, many)
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

// name[] picks families as promhttp does, those of streams and the others.
func TestNamesInTheQuery(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Fixed(), stats: totals(7, 8, 9)}, Options{})
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
		for _, contentType := range []string{expositiontest.TextType, expositiontest.OpenMetricsType} {
			_, text := ask(t, h, "/metrics"+row.query, contentType, "")
			e := expositiontest.ParseAs(t, text, contentType)
			if got := slices.Sorted(maps.Keys(e.Types)); !slices.Equal(got, row.want) {
				t.Errorf("%s: %q gives %v, want %v", row.says, row.query, got, row.want)
			}
		}
	}
	families := func(target string) []string {
		_, text := ask(t, h, target, "", "")
		return slices.Sorted(maps.Keys(expositiontest.ParseAs(t, text, expositiontest.TextType).Types))
	}
	if all, other := families("/metrics"), families("/metrics?debug=1&name=x"); len(all) < 20 || !slices.Equal(all, other) {
		t.Errorf("other parameters change the families: %v without, %v with them", all, other)
	}
}

// inheritedNames are the names that promlint would not choose and that users' dashboards know.
var inheritedNames = map[string]string{
	"tcp_stream_count": `non-histogram and non-summary metrics should not have "_count" suffix`, // the gauge that every dashboard starts with
}

func TestPromlint(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Fixed()}, Options{})
	problems, err := promlint.New(scrapeOnce(h, "GET", "/metrics").Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, p := range problems {
		if inheritedNames[p.Metric] != p.Text {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
		met[p.Metric] = true
	}
	for name := range inheritedNames {
		if !met[name] {
			t.Errorf("%s is clean now: take it off the list", name)
		}
	}
}

// accepts lists Accept headers of clients.
var accepts = map[string]string{
	"a client without Accept": "",
	"curl":                    "*/*",
	"plain text":              "text/plain",
	"text 0.0.4":              "text/plain;version=0.0.4",
	"text 1.0.0":              "text/plain;version=1.0.0",
	"OpenMetrics":             "application/openmetrics-text",
	"OpenMetrics 1.0.0":       "application/openmetrics-text; version=1.0.0; charset=utf-8",
	"OpenMetrics 0.0.1":       "application/openmetrics-text;version=0.0.1",
	"OpenMetrics 2.0.0":       "application/openmetrics-text;version=2.0.0",
	"Prometheus 2.42":         "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
	"Prometheus 3":            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
	"Prometheus 3, old names": "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
	"protobuf first":          "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
	"protobuf alone":          "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
	"text with UTF-8 names":   "text/plain;version=0.0.4;escaping=allow-utf-8",
	"a browser":               "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"nonsense":                ";;q=x,/",
}

// Content-Type, Vary and Content-Encoding have to be what promhttp answers with the same formats.
func TestHeadersAsPromhttp(t *testing.T) {
	ours, theirs := New(&fakeSource{}, Options{}), expositiontest.Oracle(nil).Handler()
	for name, accept := range accepts {
		for _, encoding := range []string{"", "gzip", "identity", "zstd", "zstd,gzip", "gzip;q=0.5,zstd;q=0.9", "br", "*;q=0", "gzip;q=0"} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
			if encoding != "" {
				r.Header.Set("Accept-Encoding", encoding)
			}
			got, want := httptest.NewRecorder(), httptest.NewRecorder()
			ours.ServeHTTP(got, r)
			theirs.ServeHTTP(want, r)
			for _, h := range []string{"Content-Type", "Vary", "Content-Encoding"} {
				if g, w := got.Header()[h], want.Header()[h]; !slices.Equal(g, w) || h == "Content-Type" && len(w) == 0 {
					t.Errorf("%s, Accept-Encoding %q: %s is %q, promhttp sends %q", name, encoding, h, g, w)
				}
			}
		}
	}
}

// FuzzScrape asks for the metrics with any method, query and headers: whatever format and compression
// GET gets, its values are the same, and those of the families that the query names; every method but
// GET and HEAD is refused.
func FuzzScrape(f *testing.F) {
	for _, accept := range []string{
		"", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
		"text/plain;version=1.0.0;escaping=allow-utf-8", ";;,,q=", "text/plain;q=1e999", "\"",
	} {
		f.Add("GET", "name[]=up&name[]=%zz", accept, "gzip, zstd;q=0.5", "10")
	}
	f.Add("HEAD", "", "", "", "")
	f.Add("GET", "name[]=tcp_resets_total&name[]=tcp_stream_count", "application/openmetrics-text", "zstd", "")
	f.Add("POST", "a=b", "*/*", "identity", "1e9")
	src := &fakeSource{views: expositiontest.Fixed(), stats: totals(1, 2, 3)}
	h := New(src, Options{})
	all := expositiontest.Parse(f, scrapeOnce(h, "GET", "/metrics").Body.Bytes()).Values
	f.Fuzz(func(t *testing.T, method, query, accept, encoding, timeout string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := (&http.Request{
			Method: method, URL: &url.URL{Path: "/metrics", RawQuery: query},
			Header: http.Header{"Accept": {accept}, "Accept-Encoding": {encoding}, "X-Prometheus-Scrape-Timeout-Seconds": {timeout}},
		}).WithContext(ctx)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch method {
		case http.MethodGet:
			if w.Code != http.StatusOK {
				t.Fatalf("GET: %d, want 200", w.Code)
			}
			want := maps.Clone(all)
			if names := r.URL.Query()["name[]"]; len(names) > 0 {
				maps.DeleteFunc(want, func(series string, _ float64) bool {
					name, _, _ := strings.Cut(series, "{")
					return !slices.Contains(names, name)
				})
			}
			text := unpack(t, w.Header().Get("Content-Encoding"), w.Body.Bytes())
			expositiontest.SameSeries(t, expositiontest.ParseAs(t, text, w.Header().Get("Content-Type")).Values, want)
		case http.MethodHead:
			if w.Code != http.StatusOK || w.Body.Len() != 0 {
				t.Fatalf("HEAD: %d, %d bytes; want 200 and no body", w.Code, w.Body.Len())
			}
		default:
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Fatalf("%q: %d with Allow %q, want 405", method, w.Code, w.Header().Get("Allow"))
			}
			oneLine(t, w)
		}
	})
}

var scrapeStreams = benchflag.Counts{1000, 10_000, 100_000}

func init() {
	flag.Var(&scrapeStreams, "streams", "`numbers` of streams that BenchmarkScrape runs with")
}

// BenchmarkScrape is a whole scrape over loopback, read to the end by the client, which does not
// unpack it. impl=client_golang is the path that the writer replaces: promhttp over an object for each
// value.
func BenchmarkScrape(b *testing.B) {
	for _, n := range scrapeStreams {
		views := benchViews(n)
		for _, impl := range []struct {
			name string
			h    http.Handler
		}{
			{"direct", New(&fakeSource{views: views, shared: true}, Options{})},
			{"client_golang", expositiontest.Oracle(views).Handler()},
		} {
			for _, coding := range []string{noCoding, gzipCoding, zstdCoding} {
				b.Run(fmt.Sprintf("impl=%s/streams=%d/coding=%s", impl.name, n, coding), func(b *testing.B) {
					benchScrape(b, impl.h, coding)
				})
			}
		}
	}
}

// BenchmarkSelection measures flags and name[] with 20,000 streams: time, and bytes with and without
// gzip.
func BenchmarkSelection(b *testing.B) {
	views, random := benchViews(20_000), rand.New(rand.NewPCG(3, 4))
	extras := make([]stream.Extra, len(views))
	for i := range extras {
		extras[i].RTTs, extras[i].RTTSum = random.Uint32N(1e5), random.Uint64N(1e13)
	}
	for _, row := range []struct {
		name, only, except, query string
		limits                    exposition.Limits
	}{
		{name: "all"},
		{name: "three-families", only: "tcp_bytes_transferred_total,tcp_retransmits_total,tcp_avg_delay_seconds"},
		{name: "without-variances", except: ".*_variance.*"},
		{name: "default-and-packets", only: "default,tcp_packets_total"},
		{name: "default-and-rtt", only: "default,tcp_rtt_.*"},
		{name: "top-1000", limits: exposition.Limits{Top: 1000}},
		{name: "one-by-name", query: "?name[]=tcp_retransmits_total"},
	} {
		families, err := exposition.ChooseFamilies(row.only, row.except)
		if err != nil {
			b.Fatal(err)
		}
		h := New(&fakeSource{views: views, extras: extras}, Options{Families: families, Limits: row.limits})
		for _, coding := range []string{"", gzipCoding} {
			b.Run("export="+row.name+"/coding="+coding, func(b *testing.B) {
				r := httptest.NewRequest("GET", "/metrics"+row.query, nil)
				r.Header.Set("Accept-Encoding", coding)
				w := &nullWriter{header: http.Header{}}
				for b.Loop() {
					w.bytes = 0
					h.ServeHTTP(w, r)
				}
				b.ReportMetric(float64(w.bytes), "bytes")
			})
		}
	}
}

func benchScrape(b *testing.B, h http.Handler, coding string) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	buf := make([]byte, 64<<10)
	r, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", coding)
	scrape := func() int64 {
		resp, err := srv.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
		resp.Body.Close()
		return n
	}
	size := scrape() // and makes the memory that later scrapes reuse
	b.ReportAllocs()
	for b.Loop() {
		scrape()
	}
	b.ReportMetric(float64(size), "bytes")
}

// benchViews returns streams with every figure, so that all 19 lines are written.
func benchViews(n int) []expositiontest.Stream {
	views := expositiontest.Random(rand.New(rand.NewPCG(1, uint64(n))), n)
	for i := range views {
		views[i].Has = expositiontest.AllHas
	}
	return views
}
