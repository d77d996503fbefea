package exposition

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

var orders = []Order{ByBytes, ByPackets, ByRetransmits, ByDelay, ByHealth, ByBitrate}

// figureOf is what an order ranks by, the slow way: the larger the further in front, -1 without one.
func figureOf(o Order, v *stream.View) float64 {
	switch {
	case o == ByPackets:
		return float64(v.Packets)
	case o == ByRetransmits:
		return float64(v.Retransmits)
	case o == ByDelay && v.Has&stream.HasDelay != 0:
		return float64(v.AvgDelay)
	case o == ByHealth && v.Has&stream.HasReverse != 0:
		return 100 - float64(v.Health)
	case o == ByBitrate && v.Has&stream.HasBitrate != 0:
		return v.Bitrate
	case o == ByBytes:
		return float64(v.Bytes)
	}
	return -1
}

// The top streams are those that rank first since the scrape before, and of those that were top then the ones that rank
// before twice the number, against a sort of all.
func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n = 300
	views := expositiontest.Random(r, n)
	change := func(v *stream.View) { // so that there are no ties
		v.Bytes += r.Uint64N(1 << uint(4+r.IntN(30)))
		v.Packets += r.Uint64N(1 << 30)
		v.Retransmits += r.Uint32N(1 << 20)
		v.AvgDelay, v.Bitrate = r.Float32(), r.Float64()*1e9
		v.Health = uint8(r.IntN(101)) // equal ones by their bytes
		v.Has = stream.Has(r.IntN(1 << 6))
	}
	for _, by := range orders {
		for _, top := range []int{1, 7, 100, n - 1, n, 10 * n, math.MaxInt} {
			l := NewLimiter(Limits{Top: top, TopBy: by})
			before, was := map[int]float64{}, map[int]bool{}
			for range 6 {
				order, figure := make([]int, n), make([]float64, n)
				for i := range order {
					change(&views[i].View)
					order[i], figure[i] = i, figureOf(by, &views[i].View)
					if by <= ByRetransmits {
						was := before[i]
						before[i] = figure[i]
						if figure[i] >= was { // else another stream has come in its place
							figure[i] -= was
						}
					}
				}
				slices.SortFunc(order, func(a, b int) int {
					return cmp.Or(cmp.Compare(figure[b], figure[a]), cmp.Compare(views[b].Bytes, views[a].Bytes))
				})
				chosen := map[int]bool{}
				for rank, i := range order {
					if rank < top || rank/2 < top && was[i] {
						chosen[i] = true
					}
				}
				was = chosen
				got := passing(l, views)
				if want := labelsOfAll(views, slices.Collect(maps.Keys(chosen))...); !slices.Equal(got, want) {
					t.Fatalf("top %d by %d: %d streams, want %d, or others", top, by, len(got), len(want))
				}
			}
		}
	}
}

// Streams that change ranks at N and N+1 do not come and go: the series are the same from scrape to scrape. One that ranks
// behind 2N goes.
func TestTopDoesNotFlicker(t *testing.T) {
	const top = 3
	views := expositiontest.Random(rand.New(rand.NewPCG(4, 4)), 10)
	l := NewLimiter(Limits{Top: top, TopBy: ByDelay})
	rank := func(order ...int) {
		for place, i := range order {
			views[i].Has, views[i].AvgDelay = stream.HasDelay, float32(100-place)
		}
	}
	for _, step := range []struct {
		says  string
		order []int
		want  []int
	}{
		{"the first three", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2}},
		{"3 overtakes 2", []int{0, 1, 3, 2, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2, 3}},
		{"and 2 overtakes 3", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2, 3}},
		{"and again", []int{0, 1, 3, 2, 4, 5, 6, 7, 8, 9}, []int{0, 1, 2, 3}},
		{"2 falls to the last place before 2N", []int{0, 1, 3, 4, 5, 2, 6, 7, 8, 9}, []int{0, 1, 2, 3}},
		{"and behind it", []int{0, 1, 3, 4, 5, 6, 2, 7, 8, 9}, []int{0, 1, 3}},
		{"back before 2N is not back in", []int{0, 1, 3, 4, 5, 2, 6, 7, 8, 9}, []int{0, 1, 3}},
		{"all others overtake them: no more than 2N stay", []int{7, 8, 9, 0, 1, 3, 4, 5, 6, 2}, []int{0, 1, 3, 7, 8, 9}},
		{"and go", []int{7, 8, 9, 4, 5, 6, 2, 0, 1, 3}, []int{7, 8, 9}},
	} {
		rank(step.order...)
		if got := passing(l, views); !slices.Equal(got, labelsOfAll(views, step.want...)) {
			t.Errorf("%s: %v", step.says, got)
		}
	}
}

// The picker returns the first streams of all parts, in order, against a sort of all.
func TestPicker(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var p Picker
	for _, most := range []int{0, 1, 20, 499, 500, 1000} {
		for _, by := range orders {
			views := expositiontest.Random(r, 500)
			p.Begin(most)
			all := []int{}
			for i := range views {
				views[i].Bytes = views[i].Bytes<<10 + uint64(i) // so that there are no ties
				views[i].Retransmits, views[i].Health = r.Uint32N(4), uint8(r.IntN(101))
				views[i].Has, views[i].AvgDelay = stream.Has(r.IntN(1<<6)), r.Float32()
				all = append(all, i)
			}
			for part := range slices.Chunk(views, 64) {
				s := streamsOf(part)
				for i := range s.Views {
					p.Offer(by.Score(&s.Views[i]), &s.Views[i], s.Wide)
				}
				clear(s.Views) // the memory of a part is used again
				clear(s.Wide)
			}
			slices.SortFunc(all, func(a, b int) int {
				return cmp.Or(cmp.Compare(figureOf(by, &views[b].View), figureOf(by, &views[a].View)), cmp.Compare(views[b].Bytes, views[a].Bytes))
			})
			s, scores := p.Picked()
			if len(s.Views) != min(most, len(views)) || len(scores) != len(s.Views) {
				t.Fatalf("%d streams and %d scores of %d", len(s.Views), len(scores), most)
			}
			for place := range s.Views {
				v := &views[all[place]]
				got := strings.TrimSuffix(string(s.appendLabels(nil, &s.Views[place])), " ")
				if want := expositiontest.Labels(v); got != want || scores[place] != by.Score(&v.View) {
					t.Fatalf("%d by %d, place %d: %s, want %s", most, by, place, got, want)
				}
			}
		}
	}
}

// Of streams that are equal the picker takes those with the lower addresses, in whatever order they come.
func TestPickerOfEqualStreams(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	views := expositiontest.Random(r, 200)
	for i := range views {
		views[i].Bytes, views[i].Src = 1000, parse.AddrFrom4(uint32(i))
	}
	var p Picker
	for range 5 {
		r.Shuffle(len(views), func(i, j int) { views[i], views[j] = views[j], views[i] })
		s := streamsOf(views)
		p.Begin(10)
		for i := range s.Views {
			p.Offer(1, &s.Views[i], s.Wide)
		}
		picked, _ := p.Picked()
		for i := range picked.Views {
			if e := picked.Views[i].Ends(picked.Wide); e.Src != parse.AddrFrom4(uint32(i)) {
				t.Fatalf("place %d: %v", i, e.Src.Netip())
			}
		}
	}
}

func TestOrdersHaveNames(t *testing.T) {
	for name := range strings.FieldsFuncSeq(strings.ReplaceAll(OrderNames, " or ", ","), func(r rune) bool { return r == ',' || r == ' ' }) {
		if _, known := OrderNamed(name); !known {
			t.Errorf("%q is offered and not known", name)
		}
	}
	if _, known := OrderNamed(""); known {
		t.Error("an order without a name")
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
	views := streamsOf(expositiontest.Random(rand.New(rand.NewPCG(9, 9)), 3))
	top := newTopK(1, ByBytes)
	scores := func(bytes ...uint64) (all []uint64) {
		top.begin(len(bytes))
		for i := range bytes {
			views.Views[i].Bytes = bytes[i]
			all = append(all, top.score(&views.Views[i], views.Wide))
		}
		return all
	}
	for _, step := range []struct {
		says        string
		bytes, want []uint64
	}{
		{"all at first", []uint64{1000, 900, 0}, []uint64{1000, 900, 0}},
		{"what came since", []uint64{1010, 990, 0}, []uint64{10, 90, 0}},
		{"a new one in the place of the second", []uint64{1020, 80, 0}, []uint64{10, 80, 0}},
		{"and on from there", []uint64{1100, 90, 1}, []uint64{80, 10, 1}},
		{"one goes", []uint64{1100, 90}, []uint64{0, 0}},
		{"and is new again", []uint64{1100, 90, 1}, []uint64{0, 0, 1}},
	} {
		if got := scores(step.bytes...); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.says, got, step.want)
		}
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
	for _, by := range orders {
		l := NewLimiter(Limits{Top: 100, TopBy: by})
		apply := func() {
			copy(views, all.Views)
			l.Apply(&Streams{Views: views, Wide: all.Wide})
		}
		apply()
		apply()
		if n := testing.AllocsPerRun(5, apply); n != 0 {
			t.Errorf("by %d: %v allocations", by, n)
		}
		if most := len(l.top.now.slots) + len(l.top.before.slots); most > 8*len(views) {
			t.Errorf("by %d: %d slots for %d streams", by, most, len(views))
		}
		if most := len(l.top.exported.slots); most > 8*100 {
			t.Errorf("by %d: %d slots for 100 streams that stay", by, most)
		}
	}
}
