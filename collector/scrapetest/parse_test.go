package scrapetest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
)

// Prometheus' own parsers of both formats read what the contract says, and the same types and help texts as
// the parser that the exporter's tests use.
func TestPrometheusParsersReadTheContract(t *testing.T) {
	for seed := range uint64(5) {
		check(t, expositiontest.Random(rand.New(rand.NewPCG(seed, 1)), 200))
	}
	check(t, expositiontest.Fixed())
	check(t, nil)
}

func TestPrometheusParsersReadAnyFloatAndAnyAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		check(t, []expositiontest.Stream{expositiontest.FromBits([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}, r.Uint32(), r.Uint64(), r.Uint32(), uint8(r.Uint32()))})
	}
	v4 := uint64(0xffff) << 32
	for _, x := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64,
		math.SmallestNonzeroFloat64, 1 << 53, 1 << 63, math.MaxUint64} {
		for _, flags := range []uint8{0, 0xff} {
			check(t, []expositiontest.Stream{expositiontest.FromBits([4]uint64{0, v4 | 0x7f000001, 0, 1}, 0x01bbffff, math.Float64bits(x), math.Float32bits(float32(x)), flags)})
		}
	}
}

// check writes streams and totals in both formats and reads them back.
func check(t *testing.T, streams []expositiontest.Stream) {
	t.Helper()
	content := exposition.Content{
		Selection: exposition.DefaultFamilies().Select(nil),
		Totals:    exposition.Totals{ActiveStreams: 3, Packets: 1 << 60, Dropped: 0, Freezes: 123456789},
	}
	content.Streams.Views, content.Streams.Wide = expositiontest.Views(streams)
	want := expositiontest.Expected(streams)
	maps.Copy(want, map[string]float64{
		"tcp_stream_count": 3, "capture_packets_processed_total": 1 << 60, "capture_dropped_packets_total": 0, "capture_queue_freezes_total": 123456789,
	})
	for contentType, format := range map[string]exposition.Format{expositiontest.TextType: exposition.Text, expositiontest.OpenMetricsType: exposition.OpenMetrics} {
		content.Format = format
		var text bytes.Buffer
		if err := new(exposition.Writer).Write(&text, &content); err != nil {
			t.Fatal(err)
		}
		got, same := parseAs(t, text.Bytes(), contentType), expositiontest.ParseAs(t, text.Bytes(), contentType)
		expositiontest.SameSeries(t, got.Values, want)
		if !maps.Equal(got.Types, same.Types) || !maps.Equal(got.Helps, same.Helps) {
			t.Fatalf("Prometheus reads %v and %v, prometheus/common %v and %v", got.Types, got.Helps, same.Types, same.Helps)
		}
	}
}

// parseAs reads a text of the given Content-Type with Prometheus' own parser, as expositiontest.ParseAs does
// with that of prometheus/common.
func parseAs(t testing.TB, text []byte, contentType string) expositiontest.Exposition {
	t.Helper()
	p, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	suffix := ""
	if strings.HasPrefix(contentType, "application/openmetrics-text") {
		suffix = "_total"
	}
	var help string
	e := expositiontest.Exposition{Types: map[string]string{}, Helps: map[string]string{}, Values: map[string]float64{}}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return e
		}
		if err != nil {
			t.Fatalf("Prometheus' parser: %v", err)
		}
		switch entry {
		case textparse.EntryHelp: // stands before its TYPE
			_, text := p.Help()
			help = string(text)
		case textparse.EntryType:
			b, kind := p.Type()
			name := string(b)
			if kind == model.MetricTypeCounter {
				name += suffix
			}
			if _, twice := e.Types[name]; twice {
				t.Fatalf("TYPE of %s twice", name)
			}
			e.Types[name], e.Helps[name] = string(kind), help
		case textparse.EntrySeries:
			_, ts, x := p.Series()
			if ts != nil {
				t.Fatal("a sample has a timestamp")
			}
			var ls labels.Labels
			p.Labels(&ls)
			series := ls.Get(model.MetricNameLabel)
			if ls.Has("src_ip") {
				series += `{dst_ip="` + ls.Get("dst_ip") + `",dst_port="` + ls.Get("dst_port") + `",src_ip="` + ls.Get("src_ip") +
					`",src_port="` + ls.Get("src_port") + `",state="` + ls.Get("state") + `"}`
				if ls.Len() != 6 {
					t.Fatalf("%v has other labels than the five", ls)
				}
				if state := ls.Get("state"); state != "active" && state != "finalized" {
					t.Fatalf("%v has state %q", ls, state)
				}
			} else if ls.Len() > 1 {
				t.Fatalf("%v has labels", ls)
			}
			if _, twice := e.Values[series]; twice {
				t.Fatalf("%s twice", series)
			}
			e.Values[series] = x
		case textparse.EntryComment:
		default:
			t.Fatalf("entry %v in the text", entry)
		}
	}
}
