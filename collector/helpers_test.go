package collector

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

const allHas = stream.HasRate | stream.HasDelay | stream.HasBitrate | stream.HasSize | stream.HasInterarrival

func addr(s string) parse.Addr { return parse.AddrFrom(netip.MustParseAddr(s)) }

// shown is a stream with its addresses.
type shown struct {
	Src, Dst parse.Addr
	stream.View
}

// fill puts views into s.
func fill(s *worker.Snapshot, views []shown) *worker.Snapshot {
	s.Views, s.Wide = s.Views[:0], s.Wide[:0]
	for _, v := range views {
		s.Wide = v.SetEnds(stream.Ends{Src: v.Src, Dst: v.Dst}, s.Wide)
		s.Views = append(s.Views, v.View)
	}
	return s
}

// fixedViews are the streams of the golden text: one with every figure, one with none of the
// conditional ones, one IPv6 with some.
func fixedViews() []shown {
	return []shown{
		{addr("10.0.0.1"), addr("203.0.113.255"), stream.View{
			SrcPort: 43210, DstPort: 443,
			Has: allHas, Health: 63, WindowBytes: 64256, Packets: 1500, Bytes: 20971520,
			Uptime: 12.345678901, MinDelay: 0.000125, MaxDelay: 1.25, Bitrate: 16000000,
			AvgDelay: 0.015584, Jitter: 0.0023, BitrateVariation: 0.25, SizeVariation: 1.5e-7, InterarrivalDeviation: 0.01,
			Retransmits: 5, OutOfOrder: 4, DuplicateAcks: 3, Gaps: 2, ZeroWindows: 1,
		}},
		{addr("203.0.113.255"), addr("10.0.0.1"), stream.View{
			SrcPort: 443, DstPort: 43210,
			Finalized: true, Health: 80, Resets: 1, Packets: 1,
		}},
		{addr("2001:db8::1"), addr("2001:db8:0:1::2"), stream.View{
			SrcPort: 65535, DstPort: 1,
			Has: stream.HasRate | stream.HasInterarrival, Health: 100, WindowBytes: 1 << 30, Packets: 1 << 40, Bytes: 1 << 63,
			Uptime: 3600, InterarrivalDeviation: 9.5,
		}},
	}
}

// randomViews are n different streams with arbitrary figures.
func randomViews(r *rand.Rand, n int) []shown {
	views := make([]shown, n)
	for i := range views {
		a, b := parse.AddrFrom4(0x0a000000|uint32(i)), parse.AddrFrom4(r.Uint32())
		if r.IntN(8) == 0 {
			a, b = parse.Addr{Hi: 0x20010db8 << 32, Lo: uint64(i)}, parse.Addr{Hi: r.Uint64(), Lo: r.Uint64()}
		}
		views[i] = shown{a, b, stream.View{
			SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()),
			Finalized: r.IntN(3) == 0, Has: stream.Has(r.UintN(32)), Health: uint8(r.UintN(101)), WindowBytes: r.Uint32(),
			Packets: r.Uint64() >> r.UintN(64), Bytes: r.Uint64() >> r.UintN(64),
			Uptime: r.ExpFloat64() * 100, MinDelay: r.Float32() / 1000, MaxDelay: r.Float32(),
			Bitrate: float64(r.Uint32()) * 8, AvgDelay: r.Float32(), Jitter: r.Float32() / 100,
			BitrateVariation: r.Float32() * 3, SizeVariation: r.Float32(), InterarrivalDeviation: r.Float32(),
			Retransmits: r.Uint32() >> r.UintN(32), OutOfOrder: r.Uint32N(100), DuplicateAcks: r.Uint32N(1000),
			Gaps: r.Uint32N(10), ZeroWindows: r.Uint32N(3), Resets: r.Uint32N(2),
		}}
	}
	return views
}

// totals are a capture's packets, drops and queue freezes.
func totals(packets, dropped, freezes uint64) (s worker.Stats) {
	s.Packets, s.Dropped, s.Freezes = packets, dropped, freezes
	return s
}

// fakeSource hands out fixed views. enter, when set, runs inside Snapshot.
type fakeSource struct {
	views     []shown
	extras    []stream.Extra
	stats     worker.Stats
	err       error
	enter     func(ctx context.Context) error
	snapshots atomic.Int32
	once      sync.Once
	filled    worker.Snapshot
	shared    bool // all readers get the same memory, for those that change nothing in it

	mu    sync.Mutex
	asked struct{ TotalsOnly, WithExtras bool } // for, the last time
}

func (f *fakeSource) Snapshot(ctx context.Context, s *worker.Snapshot) error {
	f.snapshots.Add(1)
	f.mu.Lock()
	f.asked.TotalsOnly, f.asked.WithExtras = s.TotalsOnly, s.WithExtras
	f.mu.Unlock()
	if f.enter != nil {
		if err := f.enter(ctx); err != nil {
			return err
		}
	}
	if f.err != nil {
		return f.err
	}
	f.once.Do(func() { fill(&f.filled, f.views) })
	s.Stats = f.stats
	for i := range f.filled.Views {
		if !f.filled.Views[i].Finalized {
			s.Stats.Active++
		}
	}
	if f.shared && !s.TotalsOnly {
		s.Views, s.Wide, s.Extras = f.filled.Views, f.filled.Wide, f.extras
		return nil
	}
	// Each reader gets what is its own: limits move the streams.
	s.Views, s.Wide, s.Extras = s.Views[:0], f.filled.Wide, s.Extras[:0]
	if !s.TotalsOnly {
		s.Views = append(s.Views, f.filled.Views...)
	}
	if s.WithExtras {
		s.Extras = append(s.Extras, f.extras...)
	}
	return nil
}

// scrapeOnce answers one request in memory. A scrape that never gets its place gives up in time.
func scrapeOnce(h http.Handler, method, target string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, target, nil))
	return w
}

// exposition is what Prometheus' own parser reads from a text.
type exposition struct {
	types  map[string]model.MetricType
	helps  map[string]string
	values map[string]float64 // by series: name{labels}
}

const (
	textType = "text/plain; version=0.0.4; charset=utf-8"
	openType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// The shapes of all families.
var (
	plain = shape{families: streamFamilies}
	open  = shape{families: streamFamilies, openMetrics: true}
)

func parseText(t testing.TB, text []byte) exposition {
	t.Helper()
	return parseAs(t, text, textType)
}

// parseAs reads a text of the given Content-Type. The types and help texts are those of the series'
// names: OpenMetrics has them under the name without _total.
func parseAs(t testing.TB, text []byte, contentType string) exposition {
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
	e := exposition{map[string]model.MetricType{}, map[string]string{}, map[string]float64{}}
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
			if _, twice := e.types[name]; twice {
				t.Fatalf("TYPE of %s twice", name)
			}
			e.types[name], e.helps[name] = kind, help
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
				series = ls.String() // of a collector that is not ours
			}
			if _, twice := e.values[series]; twice {
				t.Fatalf("%s twice", series)
			}
			e.values[series] = x
		case textparse.EntryComment:
		default:
			t.Fatalf("entry %v in the text", entry)
		}
	}
}
