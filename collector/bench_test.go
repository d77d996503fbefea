package collector

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

var benchSizes = []int{1_000, 20_000, 100_000}

// BenchmarkText is the writer alone: a snapshot in, the text out.
func BenchmarkText(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("streams=%d", n), func(b *testing.B) {
			views := fill(&worker.Snapshot{}, benchViews(n))
			var w textWriter
			var size counted
			if err := w.write(io.Discard, nil, views, plain); err != nil { // the memory that later scrapes reuse
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				size = 0
				if err := w.write(&size, nil, views, plain); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/stream")
		})
	}
}

// BenchmarkScrape is a whole scrape over loopback, read to the end by the client, which does not
// unpack it. impl=client_golang is the path that the writer replaces: promhttp over an object for each
// value.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		views := benchViews(n)
		for _, impl := range []struct {
			name string
			h    http.Handler
		}{
			{"direct", New(&fakeSource{views: views, shared: true}, Options{})},
			{"client_golang", oracle(views).handler()},
		} {
			for _, coding := range []string{noCoding, gzipCoding, zstdCoding} {
				b.Run(fmt.Sprintf("impl=%s/streams=%d/coding=%s", impl.name, n, coding), func(b *testing.B) {
					benchScrape(b, impl.h, coding)
				})
			}
		}
	}
}

// BenchmarkSelection is what flags and name[] make of 20,000 streams: time, and bytes with and without
// gzip.
func BenchmarkSelection(b *testing.B) {
	views, random := benchViews(20_000), rand.New(rand.NewPCG(3, 4))
	extras := make([]stream.Extra, len(views))
	for i := range extras {
		extras[i].RTTs, extras[i].RTTSum = random.Uint32N(1e5), random.Uint64N(1e13)
	}
	for _, row := range []struct {
		name, only, except, query string
		limits                    Limits
	}{
		{name: "all"},
		{name: "three-families", only: "tcp_bytes_transferred_total,tcp_retransmits_total,tcp_avg_delay_seconds"},
		{name: "without-variances", except: ".*_variance.*"},
		{name: "default-and-packets", only: "default,tcp_packets_total"},
		{name: "default-and-rtt", only: "default,tcp_rtt_.*"},
		{name: "top-1000", limits: Limits{Top: 1000}},
		{name: "one-by-name", query: "?name[]=tcp_retransmits_total"},
	} {
		families, err := ChooseFamilies(row.only, row.except)
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

// benchViews are streams with every figure, so that all 19 lines are written.
func benchViews(n int) []shown {
	views := randomViews(rand.New(rand.NewPCG(1, uint64(n))), n)
	for i := range views {
		views[i].Has = allHas
	}
	return views
}

type counted int64

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}
