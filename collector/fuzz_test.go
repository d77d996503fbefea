package collector

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

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
	src := &fakeSource{views: fixedViews(), stats: totals(1, 2, 3)}
	h := New(src, Options{})
	all := parseText(f, scrapeOnce(h, "GET", "/metrics").Body.Bytes()).values
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
			sameSeries(t, parseAs(t, text, w.Header().Get("Content-Type")).values, want)
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
