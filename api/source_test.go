package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// fakeSource hands out streams in parts, whose memory it spoils after each. enter, when set, runs at the beginning.
type fakeSource struct {
	streams []expositiontest.Stream
	origins []stream.Origin // of the streams, if set
	part    int             // streams in a part; 0: all
	stats   worker.Stats
	enter   func(ctx context.Context) error
}

func (f *fakeSource) Each(ctx context.Context, _ *worker.Parts, visit func(*worker.Snapshot)) (worker.Stats, error) {
	if f.enter != nil {
		if err := f.enter(ctx); err != nil {
			return worker.Stats{}, err
		}
	}
	size := f.part
	if size == 0 {
		size = max(len(f.streams), 1)
	}
	for begin := 0; begin < len(f.streams); begin += size {
		var s worker.Snapshot
		for i := begin; i < min(begin+size, len(f.streams)); i++ {
			x := &f.streams[i]
			e := stream.Ends{Src: x.Src, Dst: x.Dst}
			if f.origins != nil {
				e.Origin = f.origins[i]
			}
			v := x.View
			s.Wide = v.SetEnds(e, s.Wide)
			s.Views = append(s.Views, v)
		}
		visit(&s)
		clear(s.Views)
		clear(s.Wide)
	}
	stats := f.stats
	stats.Streams = int64(len(f.streams))
	return stats, nil
}

// ask sends a request and returns the answer, which must be JSON that nobody keeps.
func ask(t testing.TB, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %.200s: %v\n%.500s", method, target, w.Header(), w.Body)
	}
	return w
}

// answer is that of /api/v1/streams, as a client reads it.
type answer struct {
	Schema    int
	Timestamp float64 `json:"timestamp_seconds"`
	Sort      string
	Window    *float64 `json:"window_seconds"`
	InTable   int      `json:"streams_in_table"`
	Matched   int      `json:"streams_matched"`
	IPv6      bool     `json:"ipv6_accounted"`
	Skipped   int      `json:"ipv6_skipped_packets"`
	Hidden    int      `json:"ipv6_hidden_packets"`
	Streams   []row
}

type row struct {
	SrcIP    string   `json:"src_ip"`
	SrcPort  int      `json:"src_port"`
	DstIP    string   `json:"dst_ip"`
	DstPort  int      `json:"dst_port"`
	Bytes    uint64   `json:"tcp_bytes_transferred_total"`
	Delay    *float64 `json:"tcp_avg_delay_seconds"`
	Health   *int     `json:"tcp_stream_health_score"`
	DupAcks  *int     `json:"tcp_duplicate_acks_total"`
	Increase *uint64  `json:"window_increase"`
	SrcGroup *string  `json:"src_group"`
	Service  *string
}

// streamsOf returns the answer to a request that succeeds.
func streamsOf(t testing.TB, h http.Handler, query string) answer {
	t.Helper()
	w := ask(t, h, "GET", StreamsPath+"?"+query)
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
		t.Fatalf("%s: %d %v: %s", query, w.Code, err, w.Body)
	}
	return a
}

// testGroup and testService stand in for what the configuration says.
func testGroup(a parse.Addr) string {
	if a.Is4() && a.Lo>>24&0xff == 10 {
		return "lan"
	}
	return "other"
}

func testService(v *stream.View) string {
	if v.SrcPort == 443 || v.DstPort == 443 {
		return "443"
	}
	return "other"
}
