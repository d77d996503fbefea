package collector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/need"
)

// A real Prometheus that takes the classic buckets of the text finds quantiles within the bucket that the time itself is
// in. The current one finds those of the native buckets within theirs (collector/scrapetest), which are narrower: the two
// agree within a bucket.
func TestARealPrometheusFindsQuantiles(t *testing.T) {
	need.Tool(t, "prometheus")
	r := rand.New(rand.NewPCG(20, 27))
	reading := group.Reading{}
	times := map[string][]int64{} // ns by service, ascending
	for port := uint16(1); port <= 8; port++ {
		row := group.Row{Key: group.Key{Service: port}}
		row.Opened = 1
		for range 200 {
			ns := min(int64(50e6*math.Exp(r.NormFloat64()*float64(port)/4)), 1<<37-1) // around 50 ms, ever farther
			row.RTT[group.ClientLeg].Note(ns)
			times[fmt.Sprint(port)] = append(times[fmt.Sprint(port)], ns)
		}
		slices.Sort(times[fmt.Sprint(port)])
		reading.Rows = append(reading.Rows, row)
	}
	h := New(&fakeSource{}, Options{Families: exposition.NoFamilies, Groups: &fakeGroups{reading: reading}})
	exporter := httptest.NewServer(h.Summary())
	defer exporter.Close()
	api := startPrometheus(t, exporter.Listener.Addr().String())
	for _, q := range []float64{0.05, 0.5, 0.95, 0.99} {
		var result struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
		query := fmt.Sprintf(`histogram_quantile(%v, sum by (service, le) (tcp_group_rtt_seconds_bucket{leg="client"}))`, q)
		await(t, query, func() bool {
			return api.get("/api/v1/query?query="+url.QueryEscape(query), &result) == nil && len(result.Result) == len(times)
		})
		for _, s := range result.Result {
			got, err := strconv.ParseFloat(s.Value[1].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			of := times[s.Metric["service"]]
			exact := float64(of[int(math.Ceil(q*float64(len(of))))-1]) / 1e9
			i, _ := slices.BinarySearch(group.ClassicBounds[:], exact)
			low, high := 0.0, group.ClassicBounds[min(i, len(group.ClassicBounds)-1)]
			if i > 0 {
				low = group.ClassicBounds[i-1] // above the highest bound Prometheus answers with that
			}
			if i == len(group.ClassicBounds) {
				low = high
			}
			if got < low || got > high {
				t.Errorf("service %s, quantile %v: %v, the time itself is %v, in (%v, %v]", s.Metric["service"], q, got, exact, low, high)
			}
		}
	}
}
