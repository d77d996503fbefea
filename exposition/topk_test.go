package exposition

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

// The top streams are those with the most bytes since the scrape before, against a sort of all.
func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n = 300
	views := expositiontest.Random(r, n)
	before := make([]uint64, n)
	for i := range views {
		views[i].Bytes = r.Uint64N(1 << 30)
	}
	for _, top := range []int{1, 7, 100, n - 1, n, 10 * n} {
		l := NewLimiter(Limits{Top: top})
		clear(before)
		for range 6 {
			order := make([]int, n)
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(a, b int) int {
				return cmp.Or(cmp.Compare(views[b].Bytes-before[b], views[a].Bytes-before[a]), cmp.Compare(views[b].Bytes, views[a].Bytes))
			})
			got := passing(l, views)
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
	views := expositiontest.Random(r, 100)
	for i := range views {
		views[i].Bytes = 1000
	}
	l := NewLimiter(Limits{Top: 10})
	first := passing(l, views)
	if len(first) != 10 {
		t.Fatalf("%d streams", len(first))
	}
	for range 5 {
		r.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
		if again := passing(l, views); !slices.Equal(again, first) {
			t.Fatalf("%v, and before %v", again, first)
		}
	}
}

// A new connection on the ends of an old one counts from its own start; streams that went away are
// forgotten.
func TestTopAcrossNewConnections(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(9, 9)), 3)
	l := NewLimiter(Limits{Top: 1})
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
		if got := passing(l, views); !slices.Equal(got, labelsOfAll(views, step.want)) {
			t.Errorf("%s: %v", step.says, got)
		}
	}
	passing(l, views[1:])
	views[1].Bytes, views[2].Bytes = 90+50, 1
	if got := passing(l, views); !slices.Equal(got, labelsOfAll(views, 0)) {
		t.Errorf("a stream that had gone is known from before: %v", got)
	}
}

// Several scrapers at once share one memory.
func TestTopForSeveralScrapers(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(2, 2)), 500)
	l := NewLimiter(Limits{Top: 50})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := passing(l, views); len(got) != 50 {
				t.Errorf("%d streams, want 50", len(got))
			}
		})
	}
	wg.Wait()
}

func TestTopDoesNotAllocate(t *testing.T) {
	all := streamsOf(expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 5000))
	views := make([]stream.View, len(all.Views))
	l := NewLimiter(Limits{Top: 100})
	apply := func() {
		copy(views, all.Views)
		l.Apply(&Streams{Views: views, Wide: all.Wide})
	}
	apply()
	apply()
	if n := testing.AllocsPerRun(5, apply); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if most := len(l.top.now.slots) + len(l.top.before.slots); most > 8*len(views) {
		t.Errorf("%d slots for %d streams", most, len(views))
	}
}
