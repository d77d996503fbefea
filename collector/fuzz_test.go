package collector

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// FuzzScrape asks for the metrics with any method, query and headers: GET and HEAD get the same
// answer whatever else the request says, every other method is refused.
func FuzzScrape(f *testing.F) {
	for _, accept := range []string{
		"", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2,*/*;q=0.1",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
		"text/plain;version=1.0.0;escaping=allow-utf-8", ";;,,q=", "text/plain;q=1e999", "\"",
	} {
		f.Add("GET", "name[]=up&name[]=%zz", accept, "gzip, zstd;q=0.5", "10")
	}
	f.Add("HEAD", "", "", "", "")
	f.Add("POST", "a=b", "*/*", "identity", "1e9")
	src := &fakeSource{views: fixedViews(), stats: totals(1, 2, 3)}
	h := New(src, Options{})
	want := scrapeOnce(h, "GET", "/metrics")
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
			if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), want.Body.Bytes()) {
				t.Fatalf("%d, %d bytes; want 200 and the %d bytes of a plain request", w.Code, w.Body.Len(), want.Body.Len())
			}
		case http.MethodHead:
			if w.Code != http.StatusOK || w.Body.Len() != 0 {
				t.Fatalf("HEAD: %d, %d bytes; want 200 and no body", w.Code, w.Body.Len())
			}
		default:
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Fatalf("%q: %d with Allow %q, want 405", method, w.Code, w.Header().Get("Allow"))
			}
			oneLine(t, w)
			return
		}
		if got := w.Header().Get("Content-Type"); got != want.Header().Get("Content-Type") {
			t.Fatalf("Accept %q: Content-Type %q, want %q", accept, got, want.Header().Get("Content-Type"))
		}
	})
}
