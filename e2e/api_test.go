package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// The API's answer holds a download as the kernel and the scrape know it, by its filters and its window.
func TestAPI(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	s, c := serve(t, l.A, l.A.Addr), newClient(t, l.B)
	e := l.A.StartExporter(t, binary(t), append(ages, "-interface", lab.IfName)...)
	if err := c.exchange(s, 100_000, 1_000_000); err != nil {
		t.Fatal(err)
	}
	_, data := s.with(t, c)
	m := e.Settle(t)

	type row struct {
		SrcIP    string   `json:"src_ip"`
		SrcPort  int      `json:"src_port"`
		DstIP    string   `json:"dst_ip"`
		State    string   `json:"state"`
		Bytes    float64  `json:"tcp_bytes_transferred_total"`
		Packets  float64  `json:"tcp_packets_total"`
		Delay    *float64 `json:"tcp_avg_delay_seconds"`
		Health   *float64 `json:"tcp_stream_health_score"`
		Increase float64  `json:"window_increase"`
	}
	type answer struct {
		Timestamp float64 `json:"timestamp_seconds"`
		InTable   int     `json:"streams_in_table"`
		Matched   int     `json:"streams_matched"`
		Streams   []row
		Error     string
	}
	ask := func(status int, query string) (a answer) {
		t.Helper()
		resp, text, err := e.Do("GET", "/api/v1/streams?"+query)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil || resp.StatusCode != status {
			t.Fatalf("%s: %s, %v\n%s", query, resp.Status, err, text)
		}
		return a
	}
	// The exporter's own connection is captured too: the download's is told by the server's port.
	port := fmt.Sprintf("port=%d", data.Src.Port())
	a := ask(200, port)
	if len(a.Streams) != 2 || a.Matched != 2 || a.InTable < 2 || time.Since(time.UnixMilli(int64(a.Timestamp*1e3))).Abs() > time.Minute {
		t.Fatalf("%+v", a)
	}
	first := a.Streams[0] // the download
	if first.SrcIP != data.Src.Addr().String() || first.DstIP != data.Dst.Addr().String() || first.State != "active" || first.Delay == nil || first.Health == nil || first.Packets == 0 {
		t.Errorf("%+v", first)
	}
	if err := is(m, data, "active", "tcp_bytes_transferred_total", first.Bytes); err != nil {
		t.Errorf("the API has %v bytes: %v", first.Bytes, err)
	}
	for query, want := range map[string]int{
		"&src=" + data.Src.Addr().String():          1,
		"&dst=" + data.Src.Addr().String() + "/32":  1,
		"&addr=" + data.Src.Addr().String() + "/24": 2,
		"&state=finalized":                          0,
		"&sort=retransmits&min_bytes=500000":        1,
		"&sort=delay&limit=1":                       1,
	} {
		if a := ask(200, port+query); len(a.Streams) != want {
			t.Errorf("%s: %d streams, want %d", query, len(a.Streams), want)
		}
	}
	done := make(chan error, 1)
	go func() {
		time.Sleep(200 * time.Millisecond) // within the window; a busy machine may be late by its length
		done <- c.exchange(s, 0, 300_000)
	}()
	a = ask(200, port+"&window=3s")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if grown := a.Streams[0].Bytes - first.Bytes; len(a.Streams) != 2 || a.Streams[0].Increase != grown || grown < 300_000 {
		t.Errorf("%v bytes in the window, and the stream has grown by %v", a.Streams[0].Increase, grown)
	}
	if a := ask(400, "limit=0"); a.Error != "limit=0: want 1 to 1000" {
		t.Errorf("%q", a.Error)
	}
	resp, groups, err := e.Do("GET", "/api/v1/groups")
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(groups), `"client_group": "other"`) && !strings.Contains(string(groups), `"client_group":"other"`) {
		t.Errorf("groups: %v, %v: %s", resp, err, groups)
	}
}
