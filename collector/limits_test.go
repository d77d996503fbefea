package collector

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// exported are the streams of a scrape, by their labels; count is tcp_stream_count.
func exported(t *testing.T, h *Handler) (labels []string, count float64) {
	t.Helper()
	e := parseText(t, scrapeOnce(h, "GET", "/metrics").Body.Bytes())
	for series := range e.values {
		if l, ok := strings.CutPrefix(series, "tcp_bytes_transferred_total"); ok {
			labels = append(labels, l)
		}
	}
	slices.Sort(labels)
	return labels, e.values["tcp_stream_count"]
}

func labelsOfAll(views []shown, which ...int) []string {
	var all []string
	for _, i := range which {
		all = append(all, labelsOf(&views[i]))
	}
	slices.Sort(all)
	return all
}

func TestMinimums(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(1, 1)), 5)
	for i, v := range []struct {
		bytes  uint64
		uptime float64
	}{{0, 0}, {999, 5}, {1000, 5}, {1001, 9.999}, {1 << 40, 10}} {
		views[i].Bytes, views[i].Uptime, views[i].Finalized = v.bytes, v.uptime, i%2 == 0
	}
	for _, row := range []struct {
		says   string
		limits Limits
		want   []int
	}{
		{"no limit", Limits{}, []int{0, 1, 2, 3, 4}},
		{"bytes, the bound included", Limits{MinBytes: 1000}, []int{2, 3, 4}},
		{"age, the bound included", Limits{MinAge: 10 * time.Second}, []int{4}},
		{"both", Limits{MinBytes: 999, MinAge: 5 * time.Second}, []int{1, 2, 3, 4}},
		{"nothing is left", Limits{MinAge: time.Hour}, nil},
		{"the minimums before the top", Limits{Top: 2, MinAge: 5 * time.Second}, []int{3, 4}},
	} {
		got, count := exported(t, New(&fakeSource{views: views}, Options{Limits: row.limits}))
		if want := labelsOfAll(views, row.want...); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", row.says, got, want)
		}
		if count != 2 {
			t.Errorf("%s: tcp_stream_count is %v, want 2", row.says, count)
		}
	}
}

// The top streams are those with the most bytes since the scrape before, against a sort of all.
func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n = 300
	views := randomViews(r, n)
	src := &fakeSource{}
	before := make([]uint64, n)
	for i := range views {
		views[i].Bytes = r.Uint64N(1 << 30)
	}
	for _, top := range []int{1, 7, 100, n - 1, n, 10 * n} {
		h := New(src, Options{Limits: Limits{Top: top}})
		clear(before)
		for range 6 {
			*src = fakeSource{views: views}
			order := make([]int, n)
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(a, b int) int {
				return cmp.Or(cmp.Compare(views[b].Bytes-before[b], views[a].Bytes-before[a]), cmp.Compare(views[b].Bytes, views[a].Bytes))
			})
			got, _ := exported(t, h)
			if want := labelsOfAll(views, order[:min(top, n)]...); !slices.Equal(got, want) {
				t.Fatalf("top %d: %d streams, want %d, or others", top, len(got), len(want))
			}
			for i := range views {
				before[i] = views[i].Bytes
				if r.IntN(3) > 0 {
					views[i].Bytes += r.Uint64N(1 << uint(r.IntN(30)))
				}
			}
		}
	}
}

// Of streams that are equal in everything the same ones are exported again and again, in whatever
// order the capture has them.
func TestTiesAreStable(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	views := randomViews(r, 100)
	for i := range views {
		views[i].Bytes = 1000
	}
	src := &fakeSource{views: views}
	h := New(src, Options{Limits: Limits{Top: 10}})
	first, _ := exported(t, h)
	if len(first) != 10 {
		t.Fatalf("%d streams", len(first))
	}
	for range 5 {
		r.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
		*src = fakeSource{views: views}
		if again, _ := exported(t, h); !slices.Equal(again, first) {
			t.Fatalf("%v, and before %v", again, first)
		}
	}
}

// A new connection on the ends of an old one counts from its own start; streams that went away are
// forgotten.
func TestTopAcrossNewConnections(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(9, 9)), 3)
	src := &fakeSource{}
	h := New(src, Options{Limits: Limits{Top: 1}})
	for _, step := range []struct {
		says  string
		bytes [3]uint64
		want  int
	}{
		{"the most at first", [3]uint64{1000, 900, 0}, 0},
		{"the most since", [3]uint64{1010, 990, 0}, 1},
		{"a new one in its place, with more since than the others", [3]uint64{1020, 80, 0}, 1},
		{"and on from there", [3]uint64{1100, 90, 1}, 0},
	} {
		for i := range views {
			views[i].Bytes = step.bytes[i]
		}
		*src = fakeSource{views: views}
		if got, _ := exported(t, h); !slices.Equal(got, labelsOfAll(views, step.want)) {
			t.Errorf("%s: %v", step.says, got)
		}
	}
	*src = fakeSource{views: views[1:]}
	exported(t, h)
	views[1].Bytes, views[2].Bytes = 90+50, 1
	*src = fakeSource{views: views}
	if got, _ := exported(t, h); !slices.Equal(got, labelsOfAll(views, 0)) {
		t.Errorf("a stream that had gone is known from before: %v", got)
	}
}

// Extras stay with their streams.
func TestLimitsKeepExtrasInStep(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(3, 3)), 200)
	extras := make([]stream.Extra, len(views))
	for i := range extras {
		extras[i] = stream.Extra{First: int64(i) * 1e9, Handshake: -1}
	}
	for _, l := range []Limits{{Top: 20}, {MinBytes: 1 << 30}, {Top: 5, MinAge: time.Second}} {
		h := New(&fakeSource{views: views, extras: extras}, Options{Families: optionalFamilies, Limits: l})
		e := parseText(t, scrapeOnce(h, "GET", "/metrics").Body.Bytes())
		seen := 0
		for i := range views {
			if x, ok := e.values["tcp_first_packet_timestamp_seconds"+labelsOf(&views[i])]; ok {
				seen++
				if x != float64(i) {
					t.Errorf("%+v: stream %d has the timestamp of %v", l, i, x)
				}
			}
		}
		if seen == 0 || seen == len(views) {
			t.Errorf("%+v: %d streams", l, seen)
		}
	}
}

// Several scrapers at once share one memory.
func TestTopForSeveralScrapers(t *testing.T) {
	h := New(&fakeSource{views: randomViews(rand.New(rand.NewPCG(2, 2)), 500)}, Options{Limits: Limits{Top: 50}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got, _ := exported(t, h); len(got) != 50 {
				t.Errorf("%d streams, want 50", len(got))
			}
		})
	}
	wg.Wait()
	atRest(t, h)
}

func TestRankingDoesNotAllocate(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(1, 1)), 5000)
	src := &fakeSource{views: views}
	var s worker.Snapshot
	h := New(src, Options{Limits: Limits{Top: 100}})
	limit := func() {
		src.once = sync.Once{}
		if err := src.Snapshot(context.Background(), &s); err != nil {
			t.Fatal(err)
		}
		h.limit(&s)
	}
	limit()
	limit()
	if n := testing.AllocsPerRun(5, limit); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if most := len(h.ranking.now.slots) + len(h.ranking.before.slots); most > 8*len(views) {
		t.Errorf("%d slots for %d streams", most, len(views))
	}
}

func BenchmarkLimit(b *testing.B) {
	src := &fakeSource{views: randomViews(rand.New(rand.NewPCG(1, 1)), 100_000)}
	for name, l := range map[string]Limits{"top=100": {Top: 100}, "min-bytes": {MinBytes: 1 << 30}} {
		b.Run(name, func(b *testing.B) {
			h := New(src, Options{Limits: l})
			var s worker.Snapshot
			for b.Loop() {
				if err := src.Snapshot(context.Background(), &s); err != nil {
					b.Fatal(err)
				}
				s.Views = slices.Clone(s.Views)
				h.limit(&s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/stream")
		})
	}
}
