package collector

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
)

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

func TestAHangUpStopsTheWriting(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 3000)}, Options{})
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

// An answer has its length where that is known before the first byte is sent.
func TestContentLength(t *testing.T) {
	for _, row := range []struct {
		streams int
		known   map[string]bool
	}{
		{3, map[string]bool{"": true, gzipCoding: true, zstdCoding: true}},
		{100, map[string]bool{"": false, gzipCoding: true, zstdCoding: true}},
		{3000, map[string]bool{"": false, gzipCoding: false, zstdCoding: false}},
	} {
		h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), row.streams)}, Options{})
		for coding, known := range row.known {
			w, _ := ask(t, h, "/metrics", "", coding)
			want := ""
			if known {
				want = strconv.Itoa(w.Body.Len())
			}
			if got := w.Header().Get("Content-Length"); got != want {
				t.Errorf("%d streams, coding %q: Content-Length %q, want %q for %d bytes", row.streams, coding, got, want, w.Body.Len())
			}
		}
	}
}
