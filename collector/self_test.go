package collector

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/parse"
)

// prefix is that of the exporter's own families.
const prefix = "tcp_stream_exporter_"

func TestOwnFamilies(t *testing.T) {
	var s Stats
	s.Active, s.Streams, s.Connections, s.Capacity = 3, 5, 4, 100
	s.Opened, s.ClosedFin, s.ClosedRst, s.Expired, s.Tally.Recycled, s.Replaced, s.Tally.Reopened = 21, 22, 23, 24, 25, 26, 27
	s.RecycledHalfOpen, s.RecycledFinalized, s.NoRoom = 31, 32, 33
	s.Skipped[parse.NotIP], s.Blocks, s.TimedOut, s.BadBlocks = 41, 42, 43, 44
	s.Unselected, s.SharedOrigin, s.CaptureGaps = 45, 46, 40
	s.Hidden, s.HiddenTally.Streams, s.HiddenTally.CaptureGaps = 48, 49, 7
	s.InterfaceUp, s.Reopened = true, 51
	s.SuperPackets, s.SuperSegments, s.MaxTurn, s.MaxTurnWork = 61, 611, 620*time.Microsecond, 62*time.Microsecond
	s.MaxFrameAge, s.MaxExpiryLag = 63*time.Millisecond, 1400*time.Millisecond
	s.Holds.Counts = [...]uint64{5, 4, 3, 2, 1, 0, 0, 0, 1}
	s.Holds.Sum = 12_345_000
	f := loss.Figures{
		Links:   []loss.Link{{Name: "eth7", Lost: [loss.NumCounters]uint64{71, 72, 73, 74}}, {Name: loss.Others, Lost: [loss.NumCounters]uint64{75}}},
		Softnet: true, SoftnetDropped: 76, SoftnetSqueezed: 77,
	}
	h := New(&fakeSource{}, Options{})
	h.Registry().MustRegister(Own(func() Stats { return s }, oneInterface("eth7")), BuildInfo("v1", "go1", "libpcap 1"), Sample(0.125),
		Losses(func() loss.Figures { return f }), h.Durations(),
		h.Clients(func() (refused, stalled, idle uint64) { return 81, 82, 83 }))
	h.streams.queue.refused, h.streams.queue.stalled = 84, 1
	text := scrapeOnce(h, "GET", "/metrics").Body.String()
	for _, line := range []string{
		`tcp_stream_exporter_streams{state="active"} 3`,
		`tcp_stream_exporter_streams{state="finalized"} 2`,
		`tcp_stream_exporter_connections 4`,
		`tcp_stream_exporter_connections_capacity 100`,
		`tcp_stream_exporter_streams_opened_total 21`,
		`tcp_stream_exporter_streams_closed_total{reason="fin"} 22`,
		`tcp_stream_exporter_streams_closed_total{reason="rst"} 23`,
		`tcp_stream_exporter_streams_closed_total{reason="timeout"} 24`,
		`tcp_stream_exporter_streams_closed_total{reason="recycled"} 25`,
		`tcp_stream_exporter_streams_closed_total{reason="replaced"} 26`,
		`tcp_stream_exporter_streams_reopened_total 27`,
		`tcp_stream_exporter_connections_recycled_total{state="half_open"} 31`,
		`tcp_stream_exporter_connections_recycled_total{state="finalized"} 32`,
		`tcp_stream_exporter_no_room_packets_total 33`,
		`tcp_stream_exporter_skipped_packets_total{reason="not_ip"} 41`,
		`tcp_stream_exporter_skipped_packets_total{reason="fragment"} 0`,
		`tcp_stream_exporter_skipped_packets_total{reason="unselected"} 45`,
		`tcp_stream_exporter_hidden_ipv6_packets_total 48`,
		`tcp_stream_exporter_hidden_ipv6_streams 49`,
		`tcp_stream_exporter_shared_origin_packets_total 46`,
		`tcp_stream_exporter_capture_gaps_total 47`,
		`tcp_stream_exporter_ring_blocks_total 42`,
		`tcp_stream_exporter_ring_blocks_timed_out_total 43`,
		`tcp_stream_exporter_ring_blocks_bad_total 44`,
		`tcp_stream_exporter_interface_up{interface="eth7"} 1`,
		`tcp_stream_exporter_interface_exists{interface="eth7"} 1`,
		`tcp_stream_exporter_ring_reopened_total 51`,
		`tcp_stream_exporter_super_packets_total 61`,
		`tcp_stream_exporter_super_packet_segments_total 611`,
		`tcp_stream_exporter_max_turn_seconds 0.00062`,
		`tcp_stream_exporter_max_turn_cpu_seconds 6.2e-05`,
		`tcp_stream_exporter_max_packet_wait_seconds 0.063`,
		`tcp_stream_exporter_max_expiry_lag_seconds 1.4`,
		`tcp_stream_exporter_snapshot_hold_seconds_bucket{le="1e-05"} 5`,
		`tcp_stream_exporter_snapshot_hold_seconds_bucket{le="5e-05"} 12`,
		`tcp_stream_exporter_snapshot_hold_seconds_bucket{le="0.01"} 15`,
		`tcp_stream_exporter_snapshot_hold_seconds_bucket{le="+Inf"} 16`,
		`tcp_stream_exporter_snapshot_hold_seconds_sum 0.012345`,
		`tcp_stream_exporter_snapshot_hold_seconds_count 16`,
		`tcp_stream_exporter_capture_complete 0`,
		`tcp_stream_exporter_interface_lost_packets_total{counter="rx_dropped",interface="eth7"} 71`,
		`tcp_stream_exporter_interface_lost_packets_total{counter="rx_missed_errors",interface="eth7"} 72`,
		`tcp_stream_exporter_interface_lost_packets_total{counter="rx_fifo_errors",interface="eth7"} 73`,
		`tcp_stream_exporter_interface_lost_packets_total{counter="rx_over_errors",interface="eth7"} 74`,
		`tcp_stream_exporter_interface_lost_packets_total{counter="rx_dropped",interface="all others"} 75`,
		`tcp_stream_exporter_softnet_dropped_packets_total 76`,
		`tcp_stream_exporter_softnet_time_squeezed_total 77`,
		`tcp_stream_exporter_requests_refused_total{reason="connections"} 81`,
		`tcp_stream_exporter_requests_refused_total{reason="scrapes"} 84`,
		`tcp_stream_exporter_clients_cut_off_total{reason="stalled"} 83`,
		`tcp_stream_exporter_clients_cut_off_total{reason="idle"} 83`,
		`tcp_stream_exporter_build_info{goversion="go1",libpcap="libpcap 1",version="v1"} 1`,
		`tcp_stream_exporter_sample_ratio 0.125`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the scrape lacks %s", line)
		}
	}
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, prefix) {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}

// What cannot be read is left out, rather than exported as 0.
func TestUnknownLossesAreLeftOut(t *testing.T) {
	f := loss.Figures{Complete: true}
	h := New(&fakeSource{}, Options{})
	h.Registry().MustRegister(Losses(func() loss.Figures { return f }))
	text := scrapeOnce(h, "GET", "/metrics").Body.String()
	if !strings.Contains(text, "\ntcp_stream_exporter_capture_complete 1\n") {
		t.Error("the gauge is missing")
	}
	for _, name := range []string{"softnet", "interface_lost"} {
		if strings.Contains(text, prefix+name) {
			t.Errorf("%s%s is there although nobody knows it", prefix, name)
		}
	}
}

// Each scrape shows what those before it cost, and how many bytes they were.
func TestDurationsOfScrapes(t *testing.T) {
	src := &fakeSource{views: expositiontest.Fixed()}
	h := New(src, Options{})
	h.Registry().MustRegister(h.Durations())
	value := func(text, name string) float64 { return expositiontest.Parse(t, []byte(text)).Values[prefix+name] }

	first := scrapeOnce(h, "GET", "/metrics").Body.String()
	if n := value(first, "scrape_duration_seconds_count"); n != 0 {
		t.Errorf("the first scrape shows %v before it", n)
	}
	scrapeOnce(h, "HEAD", "/metrics")
	scrapeOnce(h, "PUT", "/metrics")
	src.err = errors.New("no snapshot")
	scrapeOnce(h, "GET", "/metrics")
	src.err = nil
	const slow = 12 * time.Millisecond
	src.enter = func(context.Context) error {
		time.Sleep(slow)
		return nil
	}
	second := scrapeOnce(h, "GET", "/metrics").Body.String()
	last := scrapeOnce(h, "GET", "/metrics").Body.String()
	for name, want := range map[string]float64{
		"scrape_duration_seconds_count":   2, // HEAD, PUT and the failed one are no answers
		"snapshot_duration_seconds_count": 4, // three of GET, one of HEAD
		"scrape_bytes_total":              float64(len(first) + len(second)),
	} {
		if got := value(last, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, least := range map[string]time.Duration{"scrape_duration_seconds_sum": slow, "snapshot_duration_seconds_sum": 2 * slow} {
		if got := value(last, name); got < least.Seconds() || got > 5 {
			t.Errorf("%s is %v, want %v or a little more", name, got, least)
		}
	}
}

// A label that is not UTF-8, which nobody should give, makes no panic, at the start or in a scrape.
func TestLabelsThatAreNotUTF8(t *testing.T) {
	h := New(&fakeSource{}, Options{})
	var f loss.Figures
	for what, c := range map[string]func() error{
		"interface": func() error {
			return h.Registry().Register(Own(func() (s Stats) { return s }, func(*Stats) []Interface { return []Interface{{Name: "a\xff", Named: true}} }))
		},
		"losses": func() error { return h.Registry().Register(Losses(func() loss.Figures { return f })) },
		"build":  func() error { return h.Registry().Register(BuildInfo("v\xff", "go\xff", "libpcap\xff")) },
	} {
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%s: panic: %v", what, r)
				}
			}()
			if err := c(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}()
	}
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("a scrape panics: %v", r)
		}
	}()
	w := scrapeOnce(h, "GET", "/metrics")
	for _, line := range []string{
		`tcp_stream_exporter_interface_up{interface="a\\xff"} 0`,
		`tcp_stream_exporter_interface_exists{interface="a\\xff"} 0`,
		`tcp_stream_exporter_build_info{goversion="go\\xff",libpcap="libpcap\\xff",version="v\\xff"} 1`,
	} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), line) {
			t.Errorf("status %d, the scrape lacks %s", w.Code, line)
		}
	}
	// Package loss gives text alone. Nothing else of a label that is none makes it worse than an error.
	f.Links = []loss.Link{{Name: "a\xff"}}
	if w := scrapeOnce(h, "GET", "/metrics"); w.Code != 500 || strings.Contains(w.Body.String(), "panic") {
		t.Errorf("status %d: %.300s", w.Code, w.Body)
	}
}

// oneInterface is what a capture of one interface says of it.
func oneInterface(name string) func(*Stats) []Interface {
	return func(s *Stats) []Interface {
		return []Interface{{Name: name, Up: s.InterfaceUp, Named: true, Exists: true}}
	}
}

// A scrape says how many streams it has itself; one without streams leaves the number of the one before.
func TestStreamsExported(t *testing.T) {
	h := New(&fakeSource{views: expositiontest.Random(rand.New(rand.NewPCG(1, 1)), 9)}, Options{Limits: exposition.Limits{Top: 3}})
	h.Registry().MustRegister(h.Durations())
	for _, target := range []string{"/metrics", "/metrics?name[]=tcp_stream_exporter_streams_exported"} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest("GET", target, nil))
		if text := answer.Body.String(); !strings.Contains(text, "\ntcp_stream_exporter_streams_exported 3\n") {
			t.Errorf("%s: %s", target, text)
		}
	}
}
