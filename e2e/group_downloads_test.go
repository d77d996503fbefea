package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
)

// Six downloads of 20 MB that begin and end between two scrapes are the increase between those, to the byte, where
// families of streams show nothing at all.
func TestGroupDownloadsBetweenScrapes(t *testing.T) {
	t.Parallel()
	const downloads, size = 6, 20_000_000
	r := lab.NewRouter(t, lab.RouterConfig{})
	e := r.M.StartExporter(t, binary(t), append(routerGroups, "-interface", "tob", "-service-ports", "none",
		"-finalized-age", "300ms")...)
	gone := 0.0
	awaitGone := func(connections float64) {
		t.Helper()
		gone += 2 * connections
		e.Await(t, 10*time.Second, func(m lab.Metrics) error {
			if n := m[lab.Key("tcp_stream_exporter_streams_closed_total", "reason", "timeout")]; n != gone {
				return fmt.Errorf("%v streams are gone, want %v", n, gone)
			}
			return nil
		}, "tcp_stream_exporter_streams_closed_total")
	}
	lab.Transfer{From: r.A, To: r.B, Connections: 1, Forth: 10, Back: 10}.Run(t)
	awaitGone(1)
	before := e.Scrape(t)
	again := lab.Transfer{From: r.A, To: r.B, Connections: downloads, Forth: 100, Back: size}.Run(t).RetransSegs
	awaitGone(downloads)
	m := e.Scrape(t)
	nothingDropped(t, m)
	for direction, want := range map[string]float64{"from_client": downloads * 100, "from_server": downloads * size} {
		increase := func(family string) float64 {
			key := homeToRemote.key(family, "direction", direction)
			was, there := before[key]
			if !there {
				t.Errorf("%s is not in the scrape before the downloads", key)
			}
			return m[key] - was
		}
		bytes, repeated := increase("tcp_group_bytes_total"), increase("tcp_group_retransmitted_bytes_total")
		t.Logf("%s: %v bytes more, %v of them sent again; the kernels sent %d segments again", direction, bytes, repeated, again)
		if bytes-repeated != want || again == 0 && bytes != want {
			t.Errorf("%s: %v bytes more, %v of them sent again; want %v", direction, bytes, repeated, want)
		}
	}
	for key := range m {
		if strings.HasPrefix(key, "tcp_bytes_transferred_total{") {
			t.Errorf("%s is there: the downloads were to be gone by now", key)
		}
	}
	key := homeToRemote.key("tcp_group_connections_closed_total", "reason", "fin")
	if n := m[key] - before[key]; n != downloads {
		t.Errorf("%v connections were closed by FIN, want %v", n, downloads)
	}
}
