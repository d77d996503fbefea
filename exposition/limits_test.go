package exposition

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

// passing returns the labels of the streams that l lets pass, sorted.
func passing(l *Limiter, streams []expositiontest.Stream) (labels []string) {
	s := streamsOf(streams)
	l.Apply(&s)
	for i := range s.Views {
		labels = append(labels, strings.TrimSuffix(string(s.appendLabels(nil, &s.Views[i])), " "))
	}
	slices.Sort(labels)
	return labels
}

func labelsOfAll(views []expositiontest.Stream, which ...int) []string {
	var all []string
	for _, i := range which {
		all = append(all, expositiontest.Labels(&views[i]))
	}
	slices.Sort(all)
	return all
}

func TestMinimums(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 5)
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
		got := passing(NewLimiter(row.limits), views)
		if want := labelsOfAll(views, row.want...); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", row.says, got, want)
		}
	}
}

// Extras stay with their streams.
func TestLimitsKeepExtrasInStep(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(3, 3)), 200)
	extras := make([]stream.Extra, len(views))
	for i := range extras {
		extras[i] = stream.Extra{First: int64(i) * 1e9, Handshake: -1}
	}
	for _, limits := range []Limits{{Top: 20}, {MinBytes: 1 << 30}, {Top: 5, MinAge: time.Second}} {
		content := Content{Selection: AllFamilies().Select(nil), Streams: streamsOf(views)}
		content.Streams.Extras = slices.Clone(extras)
		NewLimiter(limits).Apply(&content.Streams)
		e := expositiontest.Parse(t, write(t, &content))
		seen := 0
		for i := range views {
			if x, ok := e.Values["tcp_first_packet_timestamp_seconds"+expositiontest.Labels(&views[i])]; ok {
				seen++
				if x != float64(i) {
					t.Errorf("%+v: stream %d has the timestamp of %v", limits, i, x)
				}
			}
		}
		if seen == 0 || seen == len(views) || seen != len(content.Streams.Extras) {
			t.Errorf("%+v: %d streams with %d extras", limits, seen, len(content.Streams.Extras))
		}
	}
}

func BenchmarkLimit(b *testing.B) {
	all := streamsOf(expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 100_000))
	views := make([]stream.View, len(all.Views))
	for name, limits := range map[string]Limits{"top=100": {Top: 100}, "min-bytes": {MinBytes: 1 << 30}} {
		b.Run(name, func(b *testing.B) {
			l := NewLimiter(limits)
			for b.Loop() {
				copy(views, all.Views)
				l.Apply(&Streams{Views: views, Wide: all.Wide})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/stream")
		})
	}
}
