package collector

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"tcp-stream-exporter/capture"
)

var benchSizes = []int{1_000, 20_000, 100_000}

// BenchmarkText is the writer alone: a snapshot in, the text out.
func BenchmarkText(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("streams=%d", n), func(b *testing.B) {
			views := fill(&capture.Snapshot{}, benchViews(n))
			var w textWriter
			var size counted
			if err := w.write(io.Discard, nil, views); err != nil { // the memory that later scrapes reuse
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				size = 0
				if err := w.write(&size, nil, views); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/stream")
		})
	}
}

// BenchmarkScrape is a whole scrape over loopback, read to the end by the client.
func BenchmarkScrape(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("impl=direct/streams=%d", n), func(b *testing.B) {
			benchScrape(b, New(&fakeSource{views: benchViews(n)}, Options{}))
		})
	}
	// The path that the writer replaces. 100,000 streams would take it the better part of a minute.
	for _, n := range benchSizes[:2] {
		b.Run(fmt.Sprintf("impl=client_golang/streams=%d", n), func(b *testing.B) {
			benchScrape(b, oracle(benchViews(n)).handler())
		})
	}
}

func benchScrape(b *testing.B, h http.Handler) {
	srv := httptest.NewServer(h)
	defer srv.Close()
	buf := make([]byte, 64<<10)
	scrape := func() int64 {
		resp, err := srv.Client().Get(srv.URL)
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
	b.SetBytes(scrape()) // and makes the memory that later scrapes reuse
	b.ReportAllocs()
	for b.Loop() {
		scrape()
	}
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
