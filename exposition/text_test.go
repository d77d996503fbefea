package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

func TestPresence(t *testing.T) {
	for bit := stream.Has(0); bit <= expositiontest.AllHas; bit++ {
		views := expositiontest.Fixed()[:1]
		views[0].Has = bit
		e := expositiontest.Parse(t, render(t, views))
		for family, c := range expositiontest.Contract {
			if !c.PerStream {
				continue
			}
			_, there := e.Values[c.Name+expositiontest.Labels(&views[0])]
			_, typed := e.Types[c.Name]
			if want := expositiontest.Present(family, bit); there != want || typed != want {
				t.Errorf("%s with Has %05b: line %v, TYPE %v; want both %v", c.Name, bit, there, typed, want)
			}
		}
	}
}

func TestNoStreamsWriteNothing(t *testing.T) {
	if text := render(t, nil); len(text) != 0 {
		t.Errorf("no stream gave %q", text)
	}
}

func TestValues(t *testing.T) {
	for _, row := range []struct {
		x    float64
		as   number
		want string
	}{
		{0, whole, "0"},
		{65535, whole, "65535"},
		{1 << 53, whole, "9007199254740992"},
		{1<<63 - 1024, whole, "9223372036854774784"},
		{1 << 63, whole, "9.223372036854776e+18"}, // past the integer range: the float's shortest text
		{math.MaxUint64, whole, "1.8446744073709552e+19"},
		{0.015584, double, "0.015584"},
		{float64(float32(0.015584)), single, "0.015584"},
		{float64(float32(0.015584)), double, "0.015584000386297703"},
		{math.SmallestNonzeroFloat64, double, "5e-324"},
		{math.SmallestNonzeroFloat32, single, "1e-45"},
		{math.Copysign(0, -1), double, "-0"},
		{math.NaN(), double, "NaN"},
		{math.NaN(), single, "NaN"},
		{math.NaN(), whole, "NaN"},
		{math.Inf(1), double, "+Inf"},
		{math.Inf(-1), single, "-Inf"},
		{math.Inf(1), whole, "+Inf"},
	} {
		if got := string(appendValue(nil, row.x, row.as)); got != row.want {
			t.Errorf("%v as %d is %q, want %q", row.x, row.as, got, row.want)
		}
	}
}

func TestPiecesHaveTheirSizeAndEndWithALine(t *testing.T) {
	views := expositiontest.Random(rand.New(rand.NewPCG(1, 2)), 3000)
	var sizes []int
	var whole bytes.Buffer
	var w Writer
	content := contentOf(views, Text)
	for range 2 { // the second time with kept memory
		sizes = nil
		whole.Reset()
		err := w.Write(writerFunc(func(p []byte) (int, error) {
			sizes = append(sizes, len(p))
			if p[len(p)-1] != '\n' {
				t.Fatal("a piece ends inside a line")
			}
			return whole.Write(p)
		}), content)
		if err != nil {
			t.Fatal(err)
		}
		expositiontest.SameSeries(t, expositiontest.Parse(t, whole.Bytes()).Values, expositiontest.Expected(views))
	}
	for i, n := range sizes {
		if last := i == len(sizes)-1; n > PieceSize+lineSpace || n < PieceSize && !last {
			t.Errorf("piece %d of %d has %d bytes", i+1, len(sizes), n)
		}
	}
	if cap(w.buf) != PieceSize+lineSpace {
		t.Errorf("the buffer grew to %d", cap(w.buf))
	}
}

func TestALongHeadIsWrittenWhole(t *testing.T) {
	head := []byte(strings.Repeat("# a line of a registry with very many families\n", 3000))
	var out bytes.Buffer
	var w Writer
	content := contentOf(expositiontest.Fixed(), Text)
	content.Others = []Encoded{{Name: "app", Lines: head}}
	if err := w.Write(&out, content); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), head) {
		t.Error("the head was cut")
	}
	expositiontest.SameSeries(t, expositiontest.Parse(t, out.Bytes()).Values, expositiontest.Expected(expositiontest.Fixed()))
}

func TestWriterStopsAtTheFirstError(t *testing.T) {
	gone := errors.New("gone")
	for _, accepted := range []int{0, 1, 3} {
		n := 0
		var w Writer
		err := w.Write(writerFunc(func(p []byte) (int, error) {
			if n++; n > accepted {
				return 0, gone
			}
			return len(p), nil
		}), contentOf(expositiontest.Random(rand.New(rand.NewPCG(3, 4)), 2000), Text))
		if !errors.Is(err, gone) || n != accepted+1 {
			t.Errorf("a client that takes %d pieces: error %v after %d writes, want %v after %d", accepted, err, n, gone, accepted+1)
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	content := contentOf(expositiontest.Random(rand.New(rand.NewPCG(5, 6)), 2000), Text)
	content.Selection = DefaultFamilies().Select(nil)
	content.Others = []Encoded{{Name: "app", Lines: []byte("app 1\n")}}
	var w Writer
	if n := testing.AllocsPerRun(5, func() {
		if err := w.Write(io.Discard, content); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per scrape of a warm writer, want 0", n)
	}
}

func TestFamiliesComeTogetherOnce(t *testing.T) {
	text := render(t, expositiontest.Random(rand.New(rand.NewPCG(2, 2)), 300))
	var order []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), " ")
		name, _, _ = strings.Cut(name, "{")
		if len(order) == 0 || order[len(order)-1] != name {
			order = append(order, name)
		}
	}
	if len(order) != 19 || !slices.IsSorted(order) {
		t.Errorf("the families come in this order: %v", order)
	}
}

func TestSameAsClientGolang(t *testing.T) {
	for seed := range uint64(5) {
		views := expositiontest.Random(rand.New(rand.NewPCG(seed, 1)), 200)
		theirs := expositiontest.Oracle(views).Handler()
		for contentType, format := range map[string]Format{expositiontest.TextType: Text, expositiontest.OpenMetricsType: OpenMetrics} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept", contentType)
			w := httptest.NewRecorder()
			theirs.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, contentType) {
				t.Fatalf("client_golang answers %q", got)
			}
			want := expositiontest.ParseAs(t, w.Body.Bytes(), contentType)
			got := expositiontest.ParseAs(t, renderAs(t, views, format), contentType)
			expositiontest.SameSeries(t, got.Values, want.Values)
			for name, kind := range want.Types {
				if got.Types[name] != kind {
					t.Errorf("%s: %s has type %q, client_golang says %q", contentType, name, got.Types[name], kind)
				}
			}
			if len(got.Types) != len(want.Types) {
				t.Errorf("%s: %d families, client_golang writes %d", contentType, len(got.Types), len(want.Types))
			}
		}
	}
}

func TestAnyFloatAndAnyAddress(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		check(t, [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}, r.Uint32(), r.Uint64(), r.Uint32(), uint8(r.Uint32()))
	}
}

// FuzzText has the parser read what the writer makes of arbitrary bits, in both formats.
func FuzzText(f *testing.F) {
	v4 := uint64(0xffff) << 32
	for _, x := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64,
		math.SmallestNonzeroFloat64, 1 << 53, 1 << 63, math.MaxUint64} {
		f.Add(uint64(0), v4|0x7f000001, uint64(0), v4|0xffffffff, uint32(0x01bbffff), math.Float64bits(x), math.Float32bits(float32(x)), uint8(0xff))
	}
	f.Add(uint64(0), uint64(0), uint64(0), uint64(1), uint32(0), uint64(1), uint32(1), uint8(0))                          // :: and ::1
	f.Add(uint64(0xfe80)<<48, uint64(1), uint64(0x20010db8)<<32, uint64(0), uint32(0), uint64(1), uint32(1), uint8(0x20)) // runs of zeros
	f.Fuzz(func(t *testing.T, srcHi, srcLo, dstHi, dstLo uint64, ports uint32, bits uint64, bits32 uint32, flags uint8) {
		check(t, [4]uint64{srcHi, srcLo, dstHi, dstLo}, ports, bits, bits32, flags)
	})
}

// check renders one stream of expositiontest.FromBits in both formats, and reads it back.
func check(t *testing.T, a [4]uint64, ports uint32, bits uint64, bits32 uint32, flags uint8) {
	t.Helper()
	views := []expositiontest.Stream{expositiontest.FromBits(a, ports, bits, bits32, flags)}
	want := expositiontest.Expected(views)
	expositiontest.SameSeries(t, expositiontest.Parse(t, render(t, views)).Values, want)
	expositiontest.SameSeries(t, expositiontest.ParseAs(t, renderAs(t, views, OpenMetrics), expositiontest.OpenMetricsType).Values, want)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// streamsOf returns streams as a snapshot has them.
func streamsOf(streams []expositiontest.Stream) (s Streams) {
	s.Views, s.Wide = expositiontest.Views(streams)
	return s
}

// contentOf returns streams alone, with the families that are exported by default.
func contentOf(streams []expositiontest.Stream, format Format) *Content {
	selection := DefaultFamilies().Select(nil)
	selection.names = []string{""} // no totals
	return &Content{Format: format, Selection: selection, Streams: streamsOf(streams)}
}

// render writes streams with a fresh writer.
func render(t testing.TB, streams []expositiontest.Stream) []byte {
	t.Helper()
	return renderAs(t, streams, Text)
}

func renderAs(t testing.TB, streams []expositiontest.Stream, format Format) []byte {
	t.Helper()
	return write(t, contentOf(streams, format))
}

// write writes content with a fresh writer.
func write(t testing.TB, content *Content) []byte {
	t.Helper()
	var out bytes.Buffer
	var w Writer
	if err := w.Write(&out, content); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkText is the writer alone: a snapshot in, the text out.
func BenchmarkText(b *testing.B) {
	for _, n := range []int{1_000, 20_000, 100_000} {
		b.Run(fmt.Sprintf("streams=%d", n), func(b *testing.B) {
			content := contentOf(benchStreams(n), Text)
			var w Writer
			var size counted
			if err := w.Write(io.Discard, content); err != nil { // the memory that later scrapes reuse
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				size = 0
				if err := w.Write(&size, content); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/stream")
		})
	}
}

// benchStreams returns streams with every figure, so that all 19 lines are written.
func benchStreams(n int) []expositiontest.Stream {
	views := expositiontest.Random(rand.New(rand.NewPCG(1, uint64(n))), n)
	for i := range views {
		views[i].Has = expositiontest.AllHas
	}
	return views
}

type counted int64

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}
