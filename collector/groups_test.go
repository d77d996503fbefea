package collector

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
)

// fakeGroups hands out copies of a reading.
type fakeGroups struct {
	reading group.Reading
	err     error
	mu      sync.Mutex
	asked   int
}

func (f *fakeGroups) Groups(_ context.Context, r *group.Reading) error {
	f.mu.Lock()
	f.asked++
	f.mu.Unlock()
	rows := append(r.Rows[:0], f.reading.Rows...)
	*r = f.reading
	r.Rows = rows
	return f.err
}

// allGroupFamilies returns every family of groups.
func allGroupFamilies(t testing.TB) exposition.GroupFamilies {
	t.Helper()
	all, err := exposition.ChooseGroupFamilies(".*")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// groupHandler returns a handler that exports every family of groups of a reading, and no stream.
func groupHandler(t testing.TB, reading group.Reading) *Handler {
	t.Helper()
	return New(&fakeSource{}, Options{
		Families: exposition.NoFamilies, Groups: &fakeGroups{reading: reading}, GroupFamilies: allGroupFamilies(t), GroupName: expositiontest.Member,
		InterfaceName: func(index uint32) string { return map[uint32]string{7: "eth0", 8: `a"\` + "\xff"}[index] },
	})
}

// withSelf adds what the exporter itself says of a reading, and the totals of an empty capture.
func withSelf(want map[string]float64, r *group.Reading) map[string]float64 {
	want = maps.Clone(want)
	for i, kind := range []string{"groups", "subnets"} {
		want[fmt.Sprintf("tcp_stream_exporter_group_combinations{kind=%q}", kind)] = float64(r.Used[i])
		want[fmt.Sprintf("tcp_stream_exporter_group_combinations_capacity{kind=%q}", kind)] = float64(r.Capacity[i])
	}
	want["tcp_stream_exporter_group_overflow_connections_total"] = float64(r.Overflow)
	for _, h := range exposition.TotalHeaders() {
		want[h.Name] = 0
	}
	return want
}

var groupFormats = []string{expositiontest.TextType, expositiontest.OpenMetricsType, expositiontest.ProtobufType}

// Every figure of a reading is there in every format, by the contract and not by the tables of families.
func TestGroupsAreExported(t *testing.T) {
	for seed, n := range []int{0, 1, 2, 40} {
		reading := expositiontest.Groups(rand.New(rand.NewPCG(uint64(seed), 1)), n)
		if n > 2 {
			reading.Rows[1].Interface, reading.Rows[2].Interface = 7, 9 // 9 has no name
		}
		want := withSelf(expositiontest.ExpectedGroups(reading.Rows, func(index uint32) string { return map[uint32]string{7: "eth0", 9: "9"}[index] }), &reading)
		h := groupHandler(t, reading)
		for range 2 { // the second time with the memory of the first
			for _, format := range groupFormats {
				w, text := ask(t, h, "/metrics", format, "gzip")
				if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, format) {
					t.Errorf("Content-Type %q, want %q", got, format)
				}
				expositiontest.SameSeries(t, expositiontest.ParseAs(t, text, format).Values, want)
			}
		}
		atRest(t, h)
	}
}

// Combinations that differ as keys and not in their labels are one series. Those that have counted nothing are
// none.
func TestTheLabelsMakeTheSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	rows := expositiontest.Groups(r, 12).Rows
	subnet := group.Member{Name: 1, Bits: 24, Net: parse.AddrFrom4(0x0a000000)}
	renamed := subnet
	renamed.Name = 2 // the same subnet below another name: its label is the same
	rows[0].Client, rows[11].Client, rows[5].Client = subnet, renamed, renamed
	for _, i := range []int{0, 5, 11} {
		rows[i].Server, rows[i].Service, rows[i].Interface = group.Member{}, 443, 7
	}
	rows[3].Totals = group.Totals{}
	rows[4].Totals = group.Totals{OneWay: 1} // moved here, and nothing has happened since
	rows[6].Totals = group.Totals{Closed: [group.ClosedReasons]uint64{group.ClosedTimeout: 1}}

	present := slices.Delete(slices.Clone(rows), 3, 4)
	reading := group.Reading{Rows: rows}
	want := withSelf(expositiontest.ExpectedGroups(present, func(uint32) string { return "eth0" }), &reading)
	if n := len(want); n != 9*166-2+len(exposition.TotalHeaders())+5 { // row 4 was not seen in both directions
		t.Fatalf("%d series are expected of 9 combinations", n)
	}
	h := groupHandler(t, reading)
	for _, format := range groupFormats {
		_, text := ask(t, h, "/metrics", format, "")
		got := expositiontest.ParseAs(t, text, format).Values
		for series, x := range want { // sums of sums of seconds may differ in the last digit
			if y := got[series]; strings.Contains(series, "_sum{") && x != y && max(x, y)/min(x, y) < 1+1e-12 {
				got[series] = x
			}
		}
		expositiontest.SameSeries(t, got, want)
	}
}

// asCollector is the slow way: a registry of client_golang over the metrics of all combinations.
type asCollector struct {
	families     exposition.GroupFamilies
	combinations *exposition.Combinations
}

func (asCollector) Describe(chan<- *prometheus.Desc) {}
func (c asCollector) Collect(ch chan<- prometheus.Metric) {
	for i := range c.families {
		c.combinations.Series(&c.families[i], func(s *exposition.GroupSeries) bool {
			own := *s
			if s.Distribution != nil {
				d := *s.Distribution
				d.Counts = slices.Clone(d.Counts)
				own.Distribution = &d
			}
			ch <- &groupMetric{family: &c.families[i], series: &own}
			return true
		})
	}
}

// The text is what client_golang writes, byte by byte but for the order of series; so are the messages. Its
// registry finds no series twice and no label that is not UTF-8.
func TestGroupsAsClientGolangWritesThem(t *testing.T) {
	reading := expositiontest.Groups(rand.New(rand.NewPCG(5, 6)), 60)
	for i := range reading.Rows {
		reading.Rows[i].Interface = 7 + uint32(i%3)
	}
	h := groupHandler(t, reading)
	selection := h.families.Select(nil).WithGroups(h.groupings)
	var c exposition.Combinations
	rows := reading
	rows.Rows = slices.Clone(reading.Rows)
	c.Read(&rows, h.names)
	r := prometheus.NewRegistry()
	r.MustRegister(asCollector{selection.Groups(), &c})
	want, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 23 {
		t.Fatalf("%d families, want 23", len(want))
	}
	for _, f := range want {
		target := "/metrics?name[]=" + f.GetName()
		for _, format := range []string{expositiontest.TextType, expositiontest.OpenMetricsType} {
			var text bytes.Buffer
			encoder := expfmt.NewEncoder(&text, expfmt.Format(format))
			if err := encoder.Encode(f); err != nil {
				t.Fatal(err)
			}
			if err := encoder.(expfmt.Closer).Close(); err != nil {
				t.Fatal(err)
			}
			_, got := ask(t, h, target, format, "")
			if g, w := sortedLines(got), sortedLines(text.Bytes()); g != w {
				t.Fatalf("%s as %s:\n%s\nwant\n%s", f.GetName(), format, g, w)
			}
		}
		_, messages := ask(t, h, target, expositiontest.ProtobufType, "")
		got := expositiontest.Families(t, messages)
		if len(got) != 1 {
			t.Fatalf("%d families named %s", len(got), f.GetName())
		}
		byLabels := func(a, b *dto.Metric) int { return cmp.Compare(fmt.Sprint(a.Label), fmt.Sprint(b.Label)) }
		slices.SortFunc(got[0].Metric, byLabels)
		slices.SortFunc(f.Metric, byLabels)
		if !proto.Equal(got[0], f) {
			t.Fatalf("%s is\n%v\nwant\n%v", f.GetName(), got[0], f)
		}
	}
}

func sortedLines(text []byte) string {
	lines := strings.Split(string(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestPromlintOfGroups(t *testing.T) {
	h := groupHandler(t, expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 3))
	problems, err := promlint.New(scrapeOnce(h, "GET", "/metrics").Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if inheritedNames[p.Metric] != p.Text {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}

// metricsPage says how many series a combination has.
func TestThePageKnowsTheSeriesOfACombination(t *testing.T) {
	count := func(families exposition.GroupFamilies) int {
		reading := expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 1)
		h := New(&fakeSource{}, Options{Families: exposition.NoFamilies, Groups: &fakeGroups{reading: reading}, GroupFamilies: families})
		return bytes.Count(scrapeOnce(h, "GET", "/metrics").Body.Bytes(), []byte("\ntcp_group_"))
	}
	page := readPage(t)
	for says, n := range map[string]int{
		"%d series for each combination":                count(nil),
		"%d with the two that are off unless asked for": count(allGroupFamilies(t)),
	} {
		if want := fmt.Sprintf(says, n); !strings.Contains(strings.Join(strings.Fields(page), " "), want) {
			t.Errorf("docs/metrics.md does not say %q", want)
		}
	}
}

// names returns the families that a path answers with.
func familyNames(t *testing.T, h http.Handler, target string) []string {
	t.Helper()
	w, text := ask(t, h, target, "", "")
	return slices.Sorted(maps.Keys(expositiontest.ParseAs(t, text, w.Header().Get("Content-Type")).Types))
}

// Two jobs, one for the summary and one for the streams, have every family once; neither asks the capture for what
// it does not show. name[] chooses within them.
func TestPaths(t *testing.T) {
	src := &fakeSource{views: expositiontest.Fixed()}
	groups := &fakeGroups{reading: expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 2)}
	h := New(src, Options{Groups: groups, GroupName: expositiontest.Member})
	h.Registry().MustRegister(h.Durations())
	all, streams := familyNames(t, h, "/metrics"), familyNames(t, h.Streams(), "/metrics/streams")
	if n := groups.asked; n != 1 {
		t.Errorf("%d readings of groups for all and for the streams, want 1", n)
	}
	if src.asked.TotalsOnly {
		t.Error("no streams were copied for the streams")
	}
	summary := familyNames(t, h.Summary(), "/metrics/summary")
	if !src.asked.TotalsOnly {
		t.Error("streams were copied for the summary")
	}
	if got := slices.Sorted(slices.Values(slices.Concat(streams, summary))); !slices.Equal(got, all) || len(streams) != 19 {
		t.Errorf("the streams have %v, the summary %v, both together %v", streams, summary, all)
	}
	for _, row := range []struct {
		h                         http.Handler
		query                     string
		streams, totals, overflow bool // of these three families
		totalsOnly                bool
		readings                  int
	}{
		{h, "", true, true, true, false, 1},
		{h.Summary(), "", false, true, true, true, 1},
		{h.Streams(), "", true, false, false, false, 0},
		{h.Summary(), "name[]=tcp_stream_count&name[]=tcp_resets_total", false, true, false, true, 0},
		{h.Streams(), "name[]=tcp_stream_count&name[]=tcp_resets_total", true, false, false, false, 0},
		{h.Streams(), "name[]=tcp_stream_count", false, false, false, true, 0},
		{h, "name[]=tcp_stream_exporter_group_overflow_connections_total", false, false, true, true, 1},
	} {
		groups.asked = 0
		got := familyNames(t, row.h, "/?"+row.query)
		for name, want := range map[string]bool{
			"tcp_resets_total": row.streams, "tcp_stream_count": row.totals, "tcp_stream_exporter_group_overflow_connections_total": row.overflow,
		} {
			if slices.Contains(got, name) != want {
				t.Errorf("%q: %s is there: %v", row.query, name, !want)
			}
		}
		if src.asked.TotalsOnly != row.totalsOnly || groups.asked != row.readings {
			t.Errorf("%q: streams are left out: %v, %d readings of groups", row.query, src.asked.TotalsOnly, groups.asked)
		}
	}
}

// Protobuf is offered where no family of streams is selected; the choice does not depend on how many streams there
// are, nor on the method.
func TestWhereProtobufIsOffered(t *testing.T) {
	groups := &fakeGroups{reading: expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 2)}
	all := New(&fakeSource{}, Options{Groups: groups})
	none := New(&fakeSource{}, Options{Families: exposition.NoFamilies})
	for _, row := range []struct {
		h        http.Handler
		query    string
		protobuf bool
	}{
		{all, "", false},
		{all, "name[]=tcp_resets_total", false},
		{all, "name[]=tcp_resets_total&name[]=tcp_stream_count", false},
		{all, "name[]=tcp_stream_count", true},
		{all, "name[]=tcp_group_rtt_seconds", true},
		{all.Summary(), "", true},
		{all.Summary(), "name[]=tcp_resets_total", true},
		{all.Streams(), "", false},
		{none, "", true},
		{none.Summary(), "", true},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := httptest.NewRequest(method, "/metrics?"+row.query, nil)
			r.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"+
				"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1")
			w := httptest.NewRecorder()
			row.h.ServeHTTP(w, r)
			got := w.Header().Get("Content-Type")
			if want := map[bool]string{true: expositiontest.ProtobufType, false: expositiontest.OpenMetricsType}[row.protobuf]; !strings.HasPrefix(got, want) || w.Code != 200 {
				t.Errorf("%s %q: %d %q, want %q", method, row.query, w.Code, got, want)
			}
			if method == "GET" {
				expositiontest.ParseAs(t, w.Body.Bytes(), got)
			}
		}
		if w, _ := ask(t, row.h, "/metrics?"+row.query, "", ""); !strings.HasPrefix(w.Header().Get("Content-Type"), expositiontest.TextType) {
			t.Errorf("%q: a client without Accept gets %q", row.query, w.Header().Get("Content-Type"))
		}
	}
}

// Protobuf has the other families too: those of client_golang's registry, with the figures of the text.
func TestProtobufHasEveryFamilyOfTheSummary(t *testing.T) {
	src := &fakeSource{views: expositiontest.Fixed(), stats: totals(123456789, 42, 7)}
	h := New(src, Options{Groups: &fakeGroups{reading: expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 2)}, GoMetrics: true})
	h.Registry().MustRegister(Own(func() Stats { return src.stats }, func(*Stats) []Interface { return nil }))
	_, text := ask(t, h.Summary(), "/metrics/summary", expositiontest.TextType, "")
	_, messages := ask(t, h.Summary(), "/metrics/summary", expositiontest.ProtobufType, "zstd")
	want, got := expositiontest.ParseAs(t, text, expositiontest.TextType), expositiontest.ParseAs(t, messages, expositiontest.ProtobufType)
	moves := func(series string, _ float64) bool { return strings.HasPrefix(series, "go_") }
	maps.DeleteFunc(want.Values, moves)
	maps.DeleteFunc(got.Values, moves)
	expositiontest.SameSeries(t, got.Values, want.Values)
	if !maps.Equal(got.Types, want.Types) || !maps.Equal(got.Helps, want.Helps) {
		t.Errorf("types %v and help texts %v, the text has %v and %v", got.Types, got.Helps, want.Types, want.Helps)
	}
}

func TestAReadingOfGroupsThatFailsIs503(t *testing.T) {
	h := New(&fakeSource{}, Options{Groups: &fakeGroups{err: context.DeadlineExceeded}})
	w := scrapeOnce(h.Summary(), "GET", "/metrics/summary")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "groups") {
		t.Errorf("%d %q, want 503 and what failed", w.Code, w.Body)
	}
	oneLine(t, w)
	atRest(t, h)
}

// While scrapes of streams take all their places and permits, a summary is answered; and it takes none of theirs.
func TestASummaryDoesNotWaitForStreams(t *testing.T) {
	release := make(chan struct{})
	src := &fakeSource{views: expositiontest.Fixed()}
	src.enter = func(context.Context) error {
		src.mu.Lock()
		streams := !src.asked.TotalsOnly
		src.mu.Unlock()
		if streams {
			<-release
		}
		return nil
	}
	h := New(src, Options{Groups: &fakeGroups{}})
	var wg sync.WaitGroup
	for range maxOpen + 2 {
		wg.Go(func() { scrapeOnce(h, "GET", "/metrics") })
	}
	await(t, "work", func() bool {
		open, waiting := h.streams.queue.counts()
		return open == maxOpen && waiting == 2 && src.snapshots.Load() == maxWorking
	})
	for range 2 * maxOpen {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		w := httptest.NewRecorder()
		h.Summary().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/metrics/summary", nil))
		cancel()
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	close(release)
	wg.Wait()
	atRest(t, h)
}

// Summaries have bounds of their own: one at work, some with a place, some that wait; the others are refused, and
// counted as the others are.
func TestBoundsOfSummaries(t *testing.T) {
	const most = 6
	release := make(chan struct{})
	src := &fakeSource{enter: func(context.Context) error { <-release; return nil }}
	h := New(src, Options{MaxWaiting: most})
	h.Registry().MustRegister(h.Clients(func() (refused, stalled, idle uint64) { return 0, 0, 0 }))
	codes := make(chan int, 100)
	var wg sync.WaitGroup
	for range maxOpen + most/2 + 3 {
		wg.Go(func() { codes <- scrapeOnce(h.Summary(), "GET", "/metrics/summary").Code })
	}
	await(t, "refusals", func() bool {
		open, waiting := h.summaries.queue.counts()
		refused, _ := h.summaries.queue.turnedAway()
		return open == maxOpen && waiting == most/2 && refused == 3 && src.snapshots.Load() == maxSummarizing
	})
	close(release)
	wg.Wait()
	close(codes)
	got := map[int]int{}
	for code := range codes {
		got[code]++
	}
	if want := map[int]int{200: maxOpen + most/2, 503: 3}; !maps.Equal(got, want) {
		t.Errorf("status codes %v, want %v", got, want)
	}
	text := scrapeOnce(h.Summary(), "GET", "/metrics/summary").Body.String()
	if !regexp.MustCompile(`(?m)^tcp_stream_exporter_requests_refused_total\{reason="scrapes"\} 3$`).MatchString(text) {
		t.Errorf("the refusals are not counted in\n%s", text)
	}
	atRest(t, h)
}

// A summary allocates little, however many combinations there are: its memory is kept.
func TestASummaryAllocatesLittle(t *testing.T) {
	const most = 256 << 10 // bytes; about 60 KB with labels of 256 combinations and the race detector off
	h := groupHandler(t, expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), 256))
	for _, format := range groupFormats {
		for _, coding := range []string{"", gzipCoding} {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept", format)
			r.Header.Set("Accept-Encoding", coding)
			w := &nullWriter{header: http.Header{}}
			for range 2 {
				h.ServeHTTP(w, r)
			}
			var before, after runtime.MemStats
			const runs = 5
			runtime.ReadMemStats(&before)
			for range runs {
				h.ServeHTTP(w, r)
			}
			runtime.ReadMemStats(&after)
			if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > most {
				t.Errorf("%s %s: %d bytes allocated, want at most %d", format, coding, n, most)
			} else {
				t.Logf("%s %s: %d bytes in %d objects", format, coding, n, (after.Mallocs-before.Mallocs)/runs)
			}
		}
	}
}

// BenchmarkSummary is the answer to /metrics/summary without the capture's part.
func BenchmarkSummary(b *testing.B) {
	for _, n := range []int{16, 256, 4096} {
		h := groupHandler(b, expositiontest.Groups(rand.New(rand.NewPCG(1, 2)), n))
		for _, format := range groupFormats {
			for _, coding := range []string{"", gzipCoding} {
				kind, _, _ := strings.Cut(format, ";")
				b.Run(fmt.Sprintf("combinations=%d/type=%s/coding=%s", n, kind[strings.Index(kind, "/")+1:], coding), func(b *testing.B) {
					r := httptest.NewRequest("GET", "/metrics/summary", nil)
					r.Header.Set("Accept", format)
					r.Header.Set("Accept-Encoding", coding)
					w := &nullWriter{header: http.Header{}}
					b.ReportAllocs()
					for b.Loop() {
						w.bytes = 0
						h.ServeHTTP(w, r)
					}
					b.ReportMetric(float64(w.bytes), "bytes")
				})
			}
		}
	}
}

// Duplicate ACKs of connections that were seen in one direction are absent, and the family where there are no others.
func TestDuplicateAcksTakeBothDirections(t *testing.T) {
	const family = "tcp_group_duplicate_acks_total"
	oneWay := group.Row{Key: group.Key{Service: 1}, Totals: group.Totals{Opened: 2, OneWay: 2}}
	oneWay.Data[group.FromClient].Packets, oneWay.Data[group.FromServer].Packets = 5, 5 // of different connections
	both := group.Row{Key: group.Key{Service: 2}, Totals: group.Totals{Opened: 1, Established: 1}}
	for _, format := range groupFormats {
		for _, rows := range [][]group.Row{{oneWay}, {oneWay, both}} {
			_, text := ask(t, groupHandler(t, group.Reading{Rows: rows}), "/metrics", format, "")
			n, other := 0, 0
			for series := range expositiontest.ParseAs(t, text, format).Values {
				if strings.HasPrefix(series, family) {
					n++
					if !strings.Contains(series, `service="2"`) {
						t.Errorf("%s: %s is there", format, series)
					}
				} else if strings.HasPrefix(series, "tcp_group_resets_total") {
					other++
				}
			}
			if want := 2 * (len(rows) - 1); n != want || other != 2*len(rows) || want == 0 && bytes.Contains(text, []byte(family)) {
				t.Errorf("%s: %d series of %d rows, want %d", format, n, len(rows), want)
			}
		}
	}
}
