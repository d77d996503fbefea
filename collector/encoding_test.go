package collector

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tcp-stream-exporter/exposition/expositiontest"
)

func TestChooseEncoding(t *testing.T) {
	for _, row := range []struct{ says, accept, want string }{
		{"nothing asked, nothing done", "", noCoding},
		{"Prometheus", "gzip", gzipCoding},
		{"Prometheus with zstd", "zstd,gzip", gzipCoding},
		{"zstd alone", "zstd", zstdCoding},
		{"a weight decides", "gzip;q=0.5, zstd;q=0.9", zstdCoding},
		{"also against compression", "gzip;q=0.5, identity", noCoding},
		{"compressed rather than not", "identity, gzip", gzipCoding},
		{"capitals and spaces", " GZIP ; Q=1 ", gzipCoding},
		{"the old name", "x-gzip", gzipCoding},
		{"no gzip", "gzip;q=0", noCoding},
		{"nothing at all", "*;q=0", noCoding},
		{"anything", "*", noCoding},
		{"a browser", "gzip, deflate, br, zstd", gzipCoding},
		{"unknown ones", "br, compress", noCoding},
		{"a weight that is none", "gzip;q=much", noCoding},
		{"a weight beyond 1", "gzip;q=2", noCoding},
		{"not a number", "gzip;q=NaN", noCoding},
		{"another parameter", "gzip;level=9", gzipCoding},
		{"nonsense", ";;,,q=", noCoding},
	} {
		h := http.Header{}
		if row.accept != "" {
			h.Set("Accept-Encoding", row.accept)
		}
		if got := chooseEncoding(h); got != row.want {
			t.Errorf("%s: %q gets %s, want %s", row.says, row.accept, got, row.want)
		}
	}
	if got := chooseEncoding(http.Header{"Accept-Encoding": {"br", "gzip;q=0.1", "zstd;q=0.2"}}); got != zstdCoding {
		t.Errorf("three lines get %s, want %s", got, zstdCoding)
	}
}

// unpack undoes the coding of an answer.
func unpack(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch coding {
	case gzipCoding:
		g, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = g
	case zstdCoding:
		z, err := zstd.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	case "":
	default:
		t.Fatalf("Content-Encoding %q", coding)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	return text
}

// ask answers one GET with the given headers, in memory, and unpacks the text.
func ask(t testing.TB, h http.Handler, target, accept, encoding string) (*httptest.ResponseRecorder, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("Accept-Encoding", encoding)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w, unpack(t, w.Header().Get("Content-Encoding"), w.Body.Bytes())
}

// Compressed or not, the text is the same; with the same compressors again and again, large and small.
func TestCompressedIsTheSameText(t *testing.T) {
	src := &fakeSource{}
	h := New(src, Options{})
	for _, n := range []int{0, 3000, 1, 800} {
		views := expositiontest.Random(rand.New(rand.NewPCG(1, uint64(n))), n)
		*src = fakeSource{views: views}
		for _, contentType := range []string{expositiontest.TextType, expositiontest.OpenMetricsType} {
			_, want := ask(t, h, "/metrics", contentType, "")
			if n > 0 {
				if got := len(expositiontest.ParseAs(t, want, contentType).Values); got < 10*n {
					t.Fatalf("%d streams gave %d series", n, got)
				}
			}
			for _, coding := range []string{gzipCoding, zstdCoding} {
				w, got := ask(t, h, "/metrics", contentType, coding)
				if w.Header().Get("Content-Encoding") != coding || !bytes.Equal(got, want) {
					t.Errorf("%d streams, %s as %q: %d bytes of text, want %d", n, coding, w.Header().Get("Content-Encoding"), len(got), len(want))
				}
				if w.Body.Len() >= len(want) {
					t.Errorf("%d streams, %s: %d bytes of %d", n, coding, w.Body.Len(), len(want))
				}
			}
		}
	}
	atRest(t, h)
}

// Over a connection the length and the chunks are right too.
func TestCompressedOverHTTP(t *testing.T) {
	for _, n := range []int{3, 1000} {
		views := expositiontest.Random(rand.New(rand.NewPCG(1, 1)), n)
		want := expositiontest.Expected(views)
		h := New(&fakeSource{views: views}, Options{})
		maps.Copy(want, expositiontest.Parse(t, scrapeOnce(h, "GET", "/metrics?name[]="+url.QueryEscape("tcp_stream_count")).Body.Bytes()).Values)
		for _, name := range []string{"capture_packets_processed_total", "capture_dropped_packets_total", "capture_queue_freezes_total"} {
			want[name] = 0
		}
		srv := httptest.NewServer(h)
		for _, coding := range []string{"", gzipCoding, zstdCoding} {
			r, err := http.NewRequest("GET", srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", coding)
			resp, err := srv.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			expositiontest.SameSeries(t, expositiontest.Parse(t, unpack(t, resp.Header.Get("Content-Encoding"), body)).Values, want)
		}
		srv.Close()
	}
}

func TestAHangUpStopsCompressing(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 5000)}, Options{})
	for _, coding := range []string{gzipCoding, zstdCoding} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", coding)
		ctx, cancel := context.WithCancel(context.Background())
		w := &nullWriter{header: http.Header{}, onWrite: func(int) { cancel() }}
		h.ServeHTTP(w, r.WithContext(ctx))
		if w.pieces != 1 {
			t.Errorf("%s: hung up at the first piece, %d were written", coding, w.pieces)
		}
		cancel()
		atRest(t, h)
		if _, text := ask(t, h, "/metrics", "", coding); len(text) < 1<<20 {
			t.Errorf("%s: the scrape after it has %d bytes", coding, len(text))
		}
	}
}

// A write that fails ends the scrape, and leaves nothing behind in the compressor.
func TestAFailingClientOfCompression(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 5000)}, Options{})
	for _, coding := range []string{gzipCoding, zstdCoding} {
		_, want := ask(t, h, "/metrics", "", "")
		for accepted := range 3 {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept-Encoding", coding)
			w := &failingWriter{header: http.Header{}, left: accepted}
			h.ServeHTTP(w, r)
			if !w.failed {
				t.Errorf("%s: the scrape had at most %d pieces", coding, accepted)
			}
			if _, got := ask(t, h, "/metrics", "", coding); !bytes.Equal(got, want) {
				t.Errorf("%s: after a failure at piece %d the next scrape differs", coding, accepted+1)
			}
		}
	}
	atRest(t, h)
}

// failingWriter is a client that goes away after so many pieces.
type failingWriter struct {
	header http.Header
	left   int
	failed bool
}

func (f *failingWriter) Header() http.Header { return f.header }
func (f *failingWriter) WriteHeader(int)     {}
func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		f.failed = true
		return 0, errors.New("gone")
	}
	return len(p), nil
}

func TestCompressingAllocatesLittle(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 3000), shared: true}, Options{})
	for _, coding := range []string{"", gzipCoding, zstdCoding} {
		w := &nullWriter{header: http.Header{}}
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept-Encoding", coding)
		h.ServeHTTP(w, r) // makes what later scrapes use again
		var before, after runtime.MemStats
		const scrapes = 5
		runtime.ReadMemStats(&before)
		for range scrapes {
			h.ServeHTTP(w, r)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / scrapes; n > 200<<10 {
			t.Errorf("coding %q: %d bytes allocated per scrape", coding, n)
		}
	}
}
