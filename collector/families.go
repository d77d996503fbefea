package collector

import (
	"strconv"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/printable"
)

// The types of families.
const (
	counter   = exposition.Counter
	gauge     = exposition.Gauge
	histogram = exposition.Histogram
)

type header = exposition.Header

// family is one of the exporter's own families. Its series come from a T.
type family[T any] struct {
	header
	labels []string
	series func(*T, emit)
	// distribution returns the figures of a histogram, which has no series.
	distribution func(*T) (count uint64, sum float64, buckets map[float64]uint64)
}

// emit takes one series of a family: its value, and the values of the family's labels.
type emit func(x float64, labels ...string)

// gaugeOf returns the series of a gauge without labels.
func gaugeOf[T any](value func(*T) float64) func(*T, emit) {
	return func(t *T, e emit) { e(value(t)) }
}

// counterOf returns the series of a counter without labels.
func counterOf[T any](value func(*T) uint64) func(*T, emit) {
	return func(t *T, e emit) { e(float64(value(t))) }
}

// The tables of the exporter's own families follow, in the order of docs/metrics.md.

var buildFamilies = []family[build]{
	{header: header{Name: "tcp_stream_exporter_build_info", Help: "Always 1; the labels say what is running.", Type: gauge},
		labels: []string{"version", "goversion", "libpcap"},
		series: func(b *build, e emit) { e(1, b.version, b.goVersion, b.libpcap) }},
}

var sampleFamilies = []family[float64]{
	{header: header{Name: "tcp_stream_exporter_sample_ratio", Help: "Share of the connections that is captured (-sample): 1 divided by N. No counter is scaled by it.", Type: gauge},
		series: gaugeOf(func(share *float64) float64 { return *share })},
}

var captureFamilies = []family[captured]{
	{header: header{Name: "tcp_stream_exporter_streams", Help: "Streams in the table by state.", Type: gauge},
		labels: []string{"state"},
		series: func(c *captured, e emit) {
			e(float64(c.Active), "active")
			e(float64(c.Streams-c.Active), "finalized")
		}},
	{header: header{Name: "tcp_stream_exporter_connections", Help: "Connections in the table; each has one or two streams.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return float64(c.Connections) })},
	{header: header{Name: "tcp_stream_exporter_connections_capacity", Help: "Connections that the table has room for (-max-connections).", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return float64(c.Capacity) })},
	{header: header{Name: "tcp_stream_exporter_streams_opened_total", Help: "Streams seen for the first time.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.Opened })},
	{header: header{Name: "tcp_stream_exporter_streams_closed_total", Help: "Streams finalized by a FIN or RST, and streams dropped: for their age, to make room, or for a new connection on the same addresses and ports.", Type: counter},
		labels: []string{"reason"},
		series: func(c *captured, e emit) {
			e(float64(c.ClosedFin), "fin")
			e(float64(c.ClosedRst), "rst")
			e(float64(c.Expired), "timeout")
			e(float64(c.Tally.Recycled), "recycled")
			e(float64(c.Replaced), "replaced")
		}},
	{header: header{Name: "tcp_stream_exporter_one_sided_streams_total", Help: "Streams dropped for their age that acknowledged data of a reverse stream never seen: it takes another way, or went to another worker.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.OneSided })},
	{header: header{Name: "tcp_stream_exporter_streams_reopened_total", Help: "Finalized streams that went on with new data.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.Tally.Reopened })},
	{header: header{Name: "tcp_stream_exporter_connections_recycled_total", Help: "Connections that made room for a new one in a full table.", Type: counter},
		labels: []string{"state"},
		series: func(c *captured, e emit) {
			e(float64(c.RecycledHalfOpen), "half_open")
			e(float64(c.RecycledFinalized), "finalized")
		}},
	{header: header{Name: "tcp_stream_exporter_no_room_packets_total", Help: "Packets of new connections that found the table full of live ones.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.NoRoom })},
	{header: header{Name: "tcp_stream_exporter_skipped_packets_total", Help: "Captured packets that gave no TCP segment.", Type: counter},
		labels: []string{"reason"},
		series: func(c *captured, e emit) {
			for why := parse.OK + 1; int(why) < parse.NumReasons; why++ {
				e(float64(c.Skipped[why]), why.String())
			}
			e(float64(c.Unselected), "unselected") // the capture passes these over before they come to package parse
		}},
	{header: header{Name: "tcp_stream_exporter_hidden_ipv6_packets_total", Help: "TCP packets in IPv6 that the metrics by group and the JSON API have, and those by stream have not for want of -ipv6.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.Hidden })},
	{header: header{Name: "tcp_stream_exporter_hidden_ipv6_streams", Help: "Streams in IPv6 that are in the table for the metrics by group and the JSON API, and not in those by stream for want of -ipv6.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return float64(c.HiddenTally.Streams) })},
	{header: header{Name: "tcp_stream_exporter_shared_origin_packets_total", Help: "Packets of an interface and VLANs that no number was left for: they are accounted as of interface \"all others\", where streams of the same addresses and ports are one.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.SharedOrigin })},
	{header: header{Name: "tcp_stream_exporter_capture_gaps_total", Help: "Sequence gaps across a loss of the capture itself: packets that the ring dropped, a bad block, a time without the interface. No stream counts them.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.CaptureGaps + c.HiddenTally.CaptureGaps })},
	{header: header{Name: "tcp_stream_exporter_ring_blocks_total", Help: "Ring blocks walked.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.Blocks })},
	{header: header{Name: "tcp_stream_exporter_ring_blocks_timed_out_total", Help: "Ring blocks that the kernel handed over before they were full.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.TimedOut })},
	{header: header{Name: "tcp_stream_exporter_ring_blocks_bad_total", Help: "Ring blocks whose walk ended at an offset or count outside the block.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.BadBlocks })},
	{header: header{Name: "tcp_stream_exporter_interface_up", Help: "1 while the interface is captured, 0 while it is down or gone.", Type: gauge},
		labels: []string{"interface"},
		series: func(c *captured, e emit) {
			for _, i := range c.interfaces {
				e(oneIf(i.Up), printable.Text(i.Name))
			}
		}},
	{header: header{Name: "tcp_stream_exporter_interface_exists", Help: "1 while there is an interface of the name that was given (-interface), up or down; 0 while there is none.", Type: gauge},
		labels: []string{"interface"},
		series: func(c *captured, e emit) {
			for _, i := range c.interfaces {
				if i.Named {
					e(oneIf(i.Exists), printable.Text(i.Name))
				}
			}
		}},
	{header: header{Name: "tcp_stream_exporter_ring_reopened_total", Help: "Times that capture went on after the interface had been down, gone or renamed.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.Reopened })},
	{header: header{Name: "tcp_stream_exporter_super_packets_total", Help: "Packets processed that held more payload than one segment of the interface's MTU: several in one (GRO, GSO, TSO).", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.SuperPackets })},
	{header: header{Name: "tcp_stream_exporter_super_packet_segments_total", Help: "Segments that those packets held, by the connection's maximum segment size.", Type: counter},
		series: counterOf(func(c *captured) uint64 { return c.SuperSegments })},
	{header: header{Name: "tcp_stream_exporter_max_turn_seconds", Help: "Longest time between two looks at the ring in the last minute, waits for packets left out.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return c.MaxTurn.Seconds() })},
	{header: header{Name: "tcp_stream_exporter_max_turn_cpu_seconds", Help: "Most processor time that the capture spent between two looks at the ring in the last minute.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return c.MaxTurnWork.Seconds() })},
	{header: header{Name: "tcp_stream_exporter_max_packet_wait_seconds", Help: "Longest time in the last minute that a packet lay in the ring.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return c.MaxFrameAge.Seconds() })},
	{header: header{Name: "tcp_stream_exporter_max_expiry_lag_seconds", Help: "How late streams were expired in the last minute, at most; in steps of 0.1 s.", Type: gauge},
		series: gaugeOf(func(c *captured) float64 { return c.MaxExpiryLag.Seconds() })},
	{header: header{Name: "tcp_stream_exporter_snapshot_hold_seconds", Help: "Processor time for which a piece of a snapshot kept the capture from its packets.", Type: histogram},
		distribution: func(c *captured) (uint64, float64, map[float64]uint64) { return holdsOf(&c.Stats) }},
}

var workerFamilies = []family[[]uint64]{
	{header: header{Name: "tcp_stream_exporter_worker_packets_total", Help: "Packets that each worker took out of its ring.", Type: counter},
		labels: []string{"worker"},
		series: func(packets *[]uint64, e emit) {
			for i, n := range *packets {
				e(float64(n), strconv.Itoa(i))
			}
		}},
}

// The families of what was lost before the ring. What cannot be read is left out, rather than exported as 0.
var lossFamilies = []family[loss.Figures]{
	{header: header{Name: "tcp_stream_exporter_capture_complete", Help: "1 if the figures of the last minute can be trusted: nothing was lost by a network card, the kernel's queues, the ring or the table, and the interfaces that were named were there. Else 0.", Type: gauge},
		series: gaugeOf(func(f *loss.Figures) float64 { return oneIf(f.Complete) })},
	{header: header{Name: "tcp_stream_exporter_interface_lost_packets_total", Help: "Packets that the captured interfaces lost before the ring, by the kernel's counters for them.", Type: counter},
		labels: []string{"interface", "counter"},
		series: func(f *loss.Figures, e emit) {
			for _, k := range f.Links {
				for i, n := range k.Lost {
					e(float64(n), k.Name, loss.CounterNames[i])
				}
			}
		}},
	{header: header{Name: "tcp_stream_exporter_softnet_dropped_packets_total", Help: "Packets that the kernel dropped because a processor's receive queue was full; of the whole machine.", Type: counter},
		series: func(f *loss.Figures, e emit) {
			if f.Softnet {
				e(float64(f.SoftnetDropped))
			}
		}},
	{header: header{Name: "tcp_stream_exporter_softnet_time_squeezed_total", Help: "Times that a processor's turn at receiving ended with packets still waiting; of the whole machine.", Type: counter},
		series: func(f *loss.Figures, e emit) {
			if f.Softnet {
				e(float64(f.SoftnetSqueezed))
			}
		}},
}

// The families of what scrapes cost, which count as scrapes go on: newDurations makes them.
var (
	scrapeDuration   = header{Name: "tcp_stream_exporter_scrape_duration_seconds", Help: "Time that answering a scrape took, from its request to its last byte; scrapes that failed are left out.", Type: histogram}
	snapshotDuration = header{Name: "tcp_stream_exporter_snapshot_duration_seconds", Help: "Time that copying the streams for a scrape took, with the wait for the capture.", Type: histogram}
	streamsExported  = header{Name: "tcp_stream_exporter_streams_exported", Help: "Streams of the latest scrape that had per-stream metrics, whoever made it.", Type: gauge}
	scrapeBytes      = header{Name: "tcp_stream_exporter_scrape_bytes_total", Help: "Bytes sent in answer to scrapes, HTTP headers left out.", Type: counter}
)

var reloadFamilies = []family[GroupReload]{
	{header: header{Name: "tcp_stream_exporter_groups_last_reload_successful", Help: "1 if the file of groups (-groups) was read without an error the last time, else 0: the groups before are in force.", Type: gauge},
		series: gaugeOf(func(r *GroupReload) float64 { return oneIf(r.Successful) })},
	{header: header{Name: "tcp_stream_exporter_groups_last_reload_success_timestamp_seconds", Help: "When the file of groups (-groups) was last read without an error, in seconds since 1970.", Type: gauge},
		series: gaugeOf(func(r *GroupReload) float64 { return float64(r.LastSuccess.UnixMilli()) / 1e3 })},
}

var clientFamilies = []family[clients]{
	{header: header{Name: "tcp_stream_exporter_requests_refused_total", Help: "Requests that were answered 503 because too many connections were in use, or too many scrapes waited.", Type: counter},
		labels: []string{"reason"},
		series: func(c *clients, e emit) {
			e(float64(c.refusedConnections), "connections")
			e(float64(c.refusedScrapes), "scrapes")
		}},
	{header: header{Name: "tcp_stream_exporter_clients_cut_off_total", Help: "Connections that were closed because others needed their places: clients that took or sent nothing, and idle ones.", Type: counter},
		labels: []string{"reason"},
		series: func(c *clients, e emit) {
			e(float64(c.stalled), "stalled")
			e(float64(c.idle), "idle")
		}},
}

// oneIf returns the value of a gauge that answers yes or no.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
