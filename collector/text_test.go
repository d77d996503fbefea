package collector

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"tcp-stream-exporter/stream"

	"tcp-stream-exporter/worker"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGoldenText(t *testing.T) {
	h := New(&fakeSource{views: fixedViews(), stats: totals(123456789, 42, 7)}, Options{})
	for path, contentType := range map[string]string{"testdata/metrics.txt": textType, "testdata/openmetrics.txt": openType} {
		_, got := ask(t, h, "/metrics", contentType, "")
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the text differs from %s (go test -update writes it anew):\n%s", path, got)
		}
	}
}

func TestBothParsersReadTheSameFamilies(t *testing.T) {
	stats := totals(123456789, 42, 7)
	h := New(&fakeSource{views: fixedViews(), stats: stats}, Options{})
	text := scrapeOnce(h, "GET", "/metrics").Body.Bytes()

	e := parseText(t, text)
	want := expected(fixedViews())
	want["tcp_stream_count"] = 2
	want["capture_packets_processed_total"] = 123456789
	want["capture_dropped_packets_total"] = 42
	want["capture_queue_freezes_total"] = 7
	sameSeries(t, e.values, want)

	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contract {
		if string(e.types[c.name]) != c.kind || e.helps[c.name] == "" {
			t.Errorf("%s: type %q and help %q, want a %s with a help text", c.name, e.types[c.name], e.helps[c.name], c.kind)
		}
		f := families[c.name]
		if f == nil || strings.ToLower(f.GetType().String()) != c.kind || f.GetHelp() != e.helps[c.name] {
			t.Errorf("%s: expfmt reads %v", c.name, f)
		}
	}
	if len(families) != len(contract) || len(e.types) != len(contract) {
		t.Errorf("%d and %d families, want %d", len(families), len(e.types), len(contract))
	}
}

func TestPresence(t *testing.T) {
	for bit := stream.Has(0); bit <= allHas; bit++ {
		views := fixedViews()[:1]
		views[0].Has = bit
		e := parseText(t, render(t, views))
		for _, c := range contract {
			if !c.perStream {
				continue
			}
			need := presence[c.present]
			_, there := e.values[c.name+labelsOf(&views[0])]
			_, typed := e.types[c.name]
			if want := bit&need == need; there != want || typed != want {
				t.Errorf("%s with Has %05b: line %v, TYPE %v; want both %v (%s)", c.name, bit, there, typed, want, c.present)
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

func TestEveryOctet(t *testing.T) {
	for o := range 256 {
		a := addr("0.0.0.0")
		a.Lo |= uint64(o)<<24 | uint64(255-o)<<16 | uint64(o^0x55)<<8 | uint64(o)
		if got, want := string(appendAddr(nil, a)), a.Netip().String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPiecesHaveTheirSizeAndEndWithALine(t *testing.T) {
	views := randomViews(rand.New(rand.NewPCG(1, 2)), 3000)
	var sizes []int
	var whole bytes.Buffer
	var w textWriter
	for range 2 { // the second time with kept memory
		sizes = nil
		whole.Reset()
		err := w.write(writerFunc(func(p []byte) (int, error) {
			sizes = append(sizes, len(p))
			if p[len(p)-1] != '\n' {
				t.Fatal("a piece ends inside a line")
			}
			return whole.Write(p)
		}), []byte("# head\n"), fill(&worker.Snapshot{}, views), plain)
		if err != nil {
			t.Fatal(err)
		}
		sameSeries(t, parseText(t, whole.Bytes()).values, expected(views))
	}
	for i, n := range sizes {
		if last := i == len(sizes)-1; n > pieceSize+lineRoom || n < pieceSize && !last {
			t.Errorf("piece %d of %d has %d bytes", i+1, len(sizes), n)
		}
	}
	if cap(w.buf) != pieceSize+lineRoom {
		t.Errorf("the buffer grew to %d", cap(w.buf))
	}
}

func TestALongHeadIsWrittenWhole(t *testing.T) {
	head := []byte(strings.Repeat("# a line of a registry with very many families\n", 3000))
	var out bytes.Buffer
	var w textWriter
	if err := w.write(&out, head, fill(&worker.Snapshot{}, fixedViews()), plain); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), head) {
		t.Error("the head was cut")
	}
	sameSeries(t, parseText(t, out.Bytes()).values, expected(fixedViews()))
}

func TestWriterStopsAtTheFirstError(t *testing.T) {
	gone := errors.New("gone")
	for _, accepted := range []int{0, 1, 3} {
		n := 0
		var w textWriter
		err := w.write(writerFunc(func(p []byte) (int, error) {
			if n++; n > accepted {
				return 0, gone
			}
			return len(p), nil
		}), nil, fill(&worker.Snapshot{}, randomViews(rand.New(rand.NewPCG(3, 4)), 2000)), plain)
		if !errors.Is(err, gone) || n != accepted+1 {
			t.Errorf("a client that takes %d pieces: error %v after %d writes, want %v after %d", accepted, err, n, gone, accepted+1)
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	views := fill(&worker.Snapshot{}, randomViews(rand.New(rand.NewPCG(5, 6)), 2000))
	var w textWriter
	if n := testing.AllocsPerRun(5, func() {
		if err := w.write(io.Discard, nil, views, plain); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per scrape of a warm writer, want 0", n)
	}
}

// inheritedNames are the names that promlint would not choose and that users' dashboards know.
var inheritedNames = map[string]string{
	"tcp_stream_count": `non-histogram and non-summary metrics should not have "_count" suffix`, // the gauge that every dashboard starts with
}

func TestPromlint(t *testing.T) {
	h := New(&fakeSource{views: fixedViews()}, Options{})
	problems, err := promlint.New(scrapeOnce(h, "GET", "/metrics").Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, p := range problems {
		if inheritedNames[p.Metric] != p.Text {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
		met[p.Metric] = true
	}
	for name := range inheritedNames {
		if !met[name] {
			t.Errorf("%s is clean now: take it off the list", name)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// render writes views with a fresh writer.
func render(t testing.TB, views []shown) []byte {
	t.Helper()
	return renderAs(t, views, plain)
}

func renderAs(t testing.TB, views []shown, as shape) []byte {
	t.Helper()
	var out bytes.Buffer
	var w textWriter
	if err := w.write(&out, nil, fill(&worker.Snapshot{}, views), as); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
