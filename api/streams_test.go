package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares an answer with a file, but for when it was taken.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	got = regexp.MustCompile(`"timestamp_seconds":\d+\.\d{3},`).ReplaceAll(got, []byte(`"timestamp_seconds":1700000000.000,`))
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
		t.Errorf("the answer differs from %s (go test ./api -update writes it anew):\n%s", path, got)
	}
}

func TestGoldenStreams(t *testing.T) {
	f := &fakeSource{streams: expositiontest.Fixed()}
	f.stats.Skipped[parse.IPv6], f.stats.Hidden, f.stats.HiddenTally.Streams = 1912, 1900, 4
	for i := range f.streams {
		f.streams[i].Has |= stream.HasReverse * stream.Has(i%2)
		f.origins = append(f.origins, stream.Origin{IfIndex: uint32(i)})
	}
	h := New(f, Options{Group: testGroup, Service: testService, InterfaceName: func(uint32) string { return "eth0" }})
	golden(t, "testdata/streams.json", ask(t, h, "GET", StreamsPath).Body.Bytes())
	golden(t, "testdata/none.json", ask(t, New(&fakeSource{}, Options{IPv6: true, IPv6Metrics: true}), "GET", StreamsPath).Body.Bytes())
}

// figure is what a sort ranks by, the slow way; -1: the stream has none.
func figure(sort string, v *stream.View) float64 {
	switch {
	case sort == "bytes":
		return float64(v.Bytes)
	case sort == "packets":
		return float64(v.Packets)
	case sort == "retransmits":
		return float64(v.Retransmits)
	case sort == "delay" && v.Has&stream.HasDelay != 0:
		return float64(v.AvgDelay)
	case sort == "health" && v.Has&stream.HasReverse != 0:
		return 100 - float64(v.Health)
	case sort == "bitrate" && v.Has&stream.HasBitrate != 0:
		return v.Bitrate
	}
	return -1
}

// The answer has the first streams by the sort, against a sort of everything, and never more than it was asked for.
func TestStreamsAgainstASortOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(20, 1))
	f := &fakeSource{streams: expositiontest.Random(r, 3000), part: 250}
	for i := range f.streams {
		v := &f.streams[i].View
		v.Bytes = v.Bytes>>24<<12 + uint64(i) // no ties, and exact as a float64
		v.Has |= stream.HasReverse * stream.Has(r.IntN(2))
	}
	h := New(f, Options{})
	for _, sort := range []string{"bytes", "packets", "retransmits", "delay", "health", "bitrate"} {
		for _, limit := range []int{1, 20, 1000} {
			for _, state := range []string{"", "active", "finalized"} {
				all := []*expositiontest.Stream{}
				for i := range f.streams {
					if s := &f.streams[i]; state == "" || s.Finalized == (state == "finalized") {
						all = append(all, s)
					}
				}
				slices.SortFunc(all, func(a, b *expositiontest.Stream) int {
					return cmp.Or(cmp.Compare(figure(sort, &b.View), figure(sort, &a.View)), cmp.Compare(b.Bytes, a.Bytes))
				})
				query := fmt.Sprintf("sort=%s&limit=%d", sort, limit)
				if state != "" {
					query += "&state=" + state
				}
				a := streamsOf(t, h, query)
				if a.Schema != 1 || a.Sort != sort || a.InTable != len(f.streams) || a.Matched != len(all) || len(a.Streams) != min(limit, len(all)) ||
					time.Since(time.UnixMilli(int64(a.Timestamp*1e3))).Abs() > time.Minute || a.Window != nil {
					t.Fatalf("%s: %+v", query, a)
				}
				for i, got := range a.Streams {
					want := all[i]
					if got.SrcIP != want.Src.Netip().String() || got.SrcPort != int(want.SrcPort) || got.Bytes != want.Bytes {
						t.Fatalf("%s: place %d: %+v, want %+v", query, i, got, want)
					}
					if both := want.Has&stream.HasReverse != 0; (got.Health != nil) != both || (got.DupAcks != nil) != both || (got.Delay != nil) != (want.Has&stream.HasDelay != 0) {
						t.Fatalf("%s: place %d: %+v of has %b", query, i, got, want.Has)
					}
				}
			}
		}
	}
}

// some returns streams whose ends are written as src:port>dst:port.
func some(ends ...string) (all []expositiontest.Stream) {
	for i, text := range ends {
		var s expositiontest.Stream
		src, dst, _ := strings.Cut(text, ">")
		for _, end := range []struct {
			text string
			addr *parse.Addr
			port *uint16
		}{{src, &s.Src, &s.SrcPort}, {dst, &s.Dst, &s.DstPort}} {
			at := strings.LastIndex(end.text, ":")
			*end.addr = expositiontest.Addr(end.text[:at])
			fmt.Sscan(end.text[at+1:], end.port)
		}
		s.Bytes = uint64(1000 - i)
		all = append(all, s)
	}
	return all
}

func TestFilters(t *testing.T) {
	f := &fakeSource{streams: some(
		"10.0.0.1:40000>192.0.2.1:443", // 0
		"192.0.2.1:443>10.0.0.1:40000", // 1
		"10.0.1.2:443>192.0.2.2:22",    // 2
		"2001:db8::1:50000>2001:db8:1::2:443",
		"192.0.2.3:8080>192.0.2.4:9000", // 4
	)}
	f.streams[4].Finalized = true
	ten := parse.VLANs(0).Push(10)
	f.origins = []stream.Origin{{IfIndex: 2, VLANs: ten}, {IfIndex: 2}, {IfIndex: 3, VLANs: ten.Push(20)}, {Shared: true}, {IfIndex: 9}}
	names := map[uint32]string{2: "eth0", 3: "ppp0"}
	h := New(f, Options{ByVLAN: true, Group: testGroup, Service: testService, InterfaceName: func(i uint32) string { return names[i] }})
	for query, want := range map[string]string{
		"":                                "[0 1 2 3 4]",
		"addr=10.0.0.1":                   "[0 1]",
		"addr=192.0.2.2":                  "[2]",
		"addr=192.0.2.0/24":               "[0 1 2 4]",
		"addr=192.0.2.77/30":              "[]", // host bits do not count: .76 to .79
		"addr=192.0.2.2/30":               "[0 1 2 4]",
		"addr=::ffff:10.0.0.1":            "[0 1]",
		"addr=0.0.0.0/0":                  "[0 1 2 4]",
		"addr=::/0":                       "[0 1 2 3 4]",
		"addr=2001:db8::/48":              "[3]",
		"src=10.0.0.0/8":                  "[0 2]",
		"dst=10.0.0.0/8":                  "[1]",
		"src=10.0.0.0/8&dst=192.0.2.2":    "[2]",
		"src=192.0.2.1&addr=10.0.0.0/8":   "[1]",
		"port=443":                        "[0 1 2 3]",
		"port=0":                          "[]",
		"port=22&addr=10.0.1.2":           "[2]",
		"group=lan":                       "[0 1 2]",
		"group=other":                     "[0 1 2 3 4]", // either side
		"group=nobody":                    "[]",
		"service=443":                     "[0 1 2 3]",
		"service=other":                   "[4]",
		"interface=eth0":                  "[0 1]",
		"interface=9":                     "[4]", // away: shown by its index
		"interface=all+others":            "[3]",
		"vlan=10":                         "[0]",
		"vlan=10.20":                      "[2]",
		"vlan=none":                       "[1 3 4]",
		"state=active":                    "[0 1 2 3]",
		"state=finalized":                 "[4]",
		"min_bytes=998":                   "[0 1 2]",
		"min_bytes=18446744073709551615":  "[]",
		"group=lan&port=443&vlan=none":    "[1]",
		"limit=2&addr=%31%30.0.0.0%2f8&&": "[0 1]",
	} {
		got := []int{}
		a := streamsOf(t, h, query)
		for _, r := range a.Streams {
			got = append(got, 1000-int(r.Bytes))
		}
		if fmt.Sprint(got) != want || a.Matched < len(got) {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	if a := streamsOf(t, h, "limit=1"); *a.Streams[0].SrcGroup != "lan" || *a.Streams[0].Service != "443" {
		t.Errorf("%+v", a.Streams[0])
	}
}

// A window ranks by what came in it, of streams that began in it too, and of new ones on the ends of old ones.
func TestWindow(t *testing.T) {
	f := &fakeSource{streams: some("10.0.0.1:1>10.0.0.2:2", "10.0.0.1:3>10.0.0.2:4", "10.0.0.1:5>10.0.0.2:6")}
	before := [][3]uint64{{1e9, 500, 700}, {1e9 + 5, 900, 100}} // the third one is another stream the second time
	reading := 0
	f.enter = func(context.Context) error {
		for i := range f.streams {
			f.streams[i].Bytes = before[reading][i]
		}
		if reading++; reading == 2 {
			f.streams = append(f.streams, some("10.0.0.1:7>10.0.0.2:8")...)
			f.streams[3].Bytes = 300
		}
		return nil
	}
	a := streamsOf(t, New(f, Options{}), "window=1s")
	got := []uint64{}
	for _, r := range a.Streams {
		got = append(got, *r.Increase)
	}
	if fmt.Sprint(got) != "[400 300 100 5]" || a.Window == nil || *a.Window < 1 || *a.Window > 30 || reading != 2 {
		t.Errorf("%v in %+v", got, a)
	}
}

// What a request takes does not grow with the streams.
func TestStreamsAllocateByTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	f := &fakeSource{streams: expositiontest.Random(r, 50_000)}
	h := New(f, Options{})
	var q query
	var err error
	if q, err = h.options.parseQuery("limit=20"); err != nil {
		t.Fatal(err)
	}
	var s exposition.Streams
	s.Views, s.Wide = expositiontest.Views(f.streams)
	pick := func() {
		h.picker.Begin(q.limit)
		for i := range s.Views {
			if v := &s.Views[i]; q.matches(&s, v, &h.options) {
				h.picker.Offer(q.by.Score(v), v, s.Wide)
			}
		}
	}
	pick()
	if n := testing.AllocsPerRun(3, pick); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkPick is the reader's part of a request, per stream: it should stay below the worker's.
func BenchmarkPick(b *testing.B) {
	var s exposition.Streams
	s.Views, s.Wide = expositiontest.Views(expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 8192))
	h := New(nil, Options{Group: testGroup})
	for _, raw := range []string{"", "limit=1000", "addr=10.0.0.0/24", "group=lan"} {
		b.Run("query="+raw, func(b *testing.B) {
			q, err := h.options.parseQuery(raw)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				h.picker.Begin(q.limit)
				for i := range s.Views {
					if v := &s.Views[i]; q.matches(&s, v, &h.options) {
						h.picker.Offer(q.by.Score(v), v, s.Wide)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.Views)), "ns/stream")
		})
	}
}

// One request reads, four wait, and a few more may be taking their answers: others are turned away at once, and all that
// were admitted are answered.
func TestTooManyRequests(t *testing.T) {
	release := make(chan struct{})
	var atWork, most atomic.Int32
	f := &fakeSource{streams: some("10.0.0.1:1>10.0.0.2:2")}
	f.enter = func(context.Context) error {
		most.Store(max(most.Load(), atWork.Add(1)))
		defer atWork.Add(-1)
		<-release
		return nil
	}
	h := New(f, Options{})
	done := make(chan int, 100)
	begin := func() { go func() { done <- ask(t, h, "GET", StreamsPath).Code }() }
	for range 1 + maxWaiting {
		begin()
	}
	for end := time.Now().Add(10 * time.Second); h.admission.waiting.Load() != maxWaiting || atWork.Load() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait", h.admission.waiting.Load())
		}
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := h.streams(soon, ""); !errors.Is(err, errCrowded) {
		t.Errorf("one more that waits: %v", err)
		close(release)
		return
	}
	for range 20 {
		if w := ask(t, h, "GET", StreamsPath); w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "too many requests") {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	close(release)
	for range 1 + maxWaiting {
		if code := <-done; code != 200 {
			t.Errorf("status %d", code)
		}
	}
	if n := most.Load(); n != 1 {
		t.Errorf("%d read at a time", n)
	}
	if w := ask(t, h, "GET", StreamsPath); w.Code != 200 || h.admission.inside.Load() != 0 || h.admission.waiting.Load() != 0 {
		t.Errorf("afterwards %d, %d inside", w.Code, h.admission.inside.Load())
	}
}

// One window is measured at a time; meanwhile other requests are answered.
func TestOneWindowAtATime(t *testing.T) {
	h := New(&fakeSource{}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := h.streams(ctx, "window=10s")
		done <- err
	}()
	for end := time.Now().Add(10 * time.Second); len(h.admission.window) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no window has begun")
		}
	}
	if w := ask(t, h, "GET", StreamsPath+"?window=1s"); w.Code != 503 || w.Header().Get("Retry-After") != "10" {
		t.Errorf("a second window: %d %s", w.Code, w.Body)
	}
	if w := ask(t, h, "GET", StreamsPath); w.Code != 200 {
		t.Errorf("beside a window: %d %s", w.Code, w.Body)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("a client that hung up was waited for")
	}
	if len(h.admission.window) != 0 || len(h.admission.reading) != 0 {
		t.Error("a client that hung up holds a place")
	}
}
