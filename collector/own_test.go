package collector

import (
	"bytes"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/parse"
)

func TestOwnFamilies(t *testing.T) {
	var s capture.Stats
	s.Active, s.Streams, s.Connections, s.Capacity = 3, 5, 4, 100
	s.Opened, s.ClosedFin, s.ClosedRst, s.Expired, s.Tally.Recycled, s.Replaced, s.Tally.Reopened = 21, 22, 23, 24, 25, 26, 27
	s.RecycledHalfOpen, s.RecycledFinalized, s.NoRoom = 31, 32, 33
	s.Skipped[parse.NotIP], s.Blocks, s.TimedOut, s.BadBlocks = 41, 42, 43, 44
	s.InterfaceUp, s.Reopened = true, 51
	h := New(&fakeSource{}, Options{})
	h.Registry().MustRegister(Own(func() capture.Stats { return s }, "eth7"), BuildInfo("v1", "go1", "libpcap 1"))
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
		`tcp_stream_exporter_ring_blocks_total 42`,
		`tcp_stream_exporter_ring_blocks_timed_out_total 43`,
		`tcp_stream_exporter_ring_blocks_bad_total 44`,
		`tcp_stream_exporter_interface_up{interface="eth7"} 1`,
		`tcp_stream_exporter_ring_reopened_total 51`,
		`tcp_stream_exporter_build_info{goversion="go1",libpcap="libpcap 1",version="v1"} 1`,
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
