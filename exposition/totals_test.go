package exposition

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// totalsByClientGolang are the totals and two more families of a program, as client_golang knows them.
type totalsByClientGolang struct {
	Totals
	others bool // those of the program alone, and not the totals
}

func (totalsByClientGolang) Describe(chan<- *prometheus.Desc) {}

func (t totalsByClientGolang) Collect(ch chan<- prometheus.Metric) {
	send := func(h Header, x float64) {
		kind := prometheus.GaugeValue
		if h.Type == Counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(h.Name, h.Help, nil, nil), kind, x)
	}
	for _, name := range []string{"app_ok", "capture_of_something_else", "go_threads", "zz_last_total"} {
		send(Header{Name: name, Help: "Of the program.", Type: Gauge}, 1)
	}
	if t.others {
		return
	}
	for i := range totals {
		send(totals[i].Header, totals[i].value(&t.Totals))
	}
}

// The totals have the bytes and the places that client_golang's encoders give them.
func TestTotalsAsClientGolangWritesThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := []Totals{{}, {1, 1, 1, 1}, {10, 265, 1e6, 123456789}, {1 << 30, 1 << 53, math.MaxUint64, 1e15}, {-1, 1e18, 1e19, 999999}}
	for range 1000 {
		some = append(some, Totals{random.Int64() >> random.IntN(63), random.Uint64() >> random.IntN(64), random.Uint64() >> random.IntN(64), random.Uint64N(100)})
	}
	for _, x := range some {
		for as, format := range map[expfmt.Format]Format{expfmt.FmtText: Text, expfmt.FmtOpenMetrics_1_0_0: OpenMetrics} {
			want, _ := encoded(t, as, totalsByClientGolang{x, false})
			_, others := encoded(t, as, totalsByClientGolang{x, true})
			if format == OpenMetrics {
				want = append(want, "# EOF\n"...)
			}
			if got := write(t, &Content{Format: format, Totals: x, Others: others}); !bytes.Equal(got, want) {
				t.Fatalf("%+v in %s:\n%s\nclient_golang writes\n%s", x, as, got, want)
			}
		}
	}
}

// encoded returns what client_golang writes of c, as a whole and by family.
func encoded(t *testing.T, as expfmt.Format, c prometheus.Collector) (whole []byte, families []Encoded) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		var lines bytes.Buffer
		if err := expfmt.NewEncoder(&lines, as).Encode(f); err != nil {
			t.Fatal(err)
		}
		whole, families = append(whole, lines.Bytes()...), append(families, Encoded{f.GetName(), lines.Bytes()})
	}
	return whole, families
}

func TestNamesSelectTotals(t *testing.T) {
	content := Content{Selection: DefaultFamilies().Select([]string{"tcp_stream_count", "app"}), Totals: Totals{ActiveStreams: 7}}
	want := "# HELP tcp_stream_count Streams (one direction of a connection) that are active, that is not finalized.\n" +
		"# TYPE tcp_stream_count gauge\ntcp_stream_count 7\n"
	if got := string(write(t, &content)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
