package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/printable"
	"tcp-stream-exporter/worker"
)

// own is the client_golang collector of what the exporter tells of itself: few families, none with
// the labels of a stream.
type own struct {
	stats  func() worker.Stats
	iface  string
	exists func() bool
}

// Own returns the collector of the exporter's own families, tcp_stream_exporter_…, to be registered
// with Handler.Registry. stats returns the capture's totals and may be called from any goroutine;
// iface is the name of the interface that is captured, and exists says whether there is one of that name; it
// may be called from any goroutine, too.
func Own(stats func() worker.Stats, iface string, exists func() bool) prometheus.Collector {
	return own{stats, printable.Text(iface), exists}
}

const prefix = "tcp_stream_exporter_"

func ownDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

var (
	streamsDesc     = ownDesc("streams", "Streams in the table by state.", "state")
	connectionsDesc = ownDesc("connections", "Connections in the table; each has one or two streams.")
	capacityDesc    = ownDesc("connections_capacity", "Connections that the table has room for (-max-connections).")
	openedDesc      = ownDesc("streams_opened_total", "Streams seen for the first time.")
	closedDesc      = ownDesc("streams_closed_total", "Streams finalized by a FIN or RST, and streams dropped: for their age, to make room, or for a new connection on the same addresses and ports.", "reason")
	oneSidedDesc    = ownDesc("one_sided_streams_total", "Streams dropped for their age that acknowledged data of a reverse stream never seen: it takes another way, or went to another worker.")
	reopenedDesc    = ownDesc("streams_reopened_total", "Finalized streams that went on with new data.")
	recycledDesc    = ownDesc("connections_recycled_total", "Connections that made room for a new one in a full table.", "state")
	noRoomDesc      = ownDesc("no_room_packets_total", "Packets of new connections that found the table full of live ones.")
	skippedDesc     = ownDesc("skipped_packets_total", "Captured packets that gave no TCP segment.", "reason")
	blocksDesc      = ownDesc("ring_blocks_total", "Ring blocks walked.")
	timedOutDesc    = ownDesc("ring_blocks_timed_out_total", "Ring blocks that the kernel handed over before they were full.")
	badBlocksDesc   = ownDesc("ring_blocks_bad_total", "Ring blocks whose walk ended at an offset or count outside the block.")
	upDesc          = ownDesc("interface_up", "1 while the interface is captured, 0 while it is down or gone.", "interface")
	existsDesc      = ownDesc("interface_exists", "1 while there is an interface of the name that was given (-interface), up or down; 0 while there is none.", "interface")
	reopensDesc     = ownDesc("ring_reopened_total", "Times that capture went on after the interface had been down, gone or renamed.")
	superDesc       = ownDesc("super_packets_total", "Packets processed that held more payload than one segment of the interface's MTU: several in one (GRO, GSO, TSO).")
	turnDesc        = ownDesc("max_turn_seconds", "Longest time between two looks at the ring in the last minute, waits for packets left out.")
	workDesc        = ownDesc("max_turn_cpu_seconds", "Most processor time that the capture spent between two looks at the ring in the last minute.")
	frameAgeDesc    = ownDesc("max_packet_wait_seconds", "Longest time in the last minute that a packet lay in the ring.")
	holdDesc        = ownDesc("snapshot_hold_seconds", "Processor time for which a piece of a snapshot kept the capture from its packets.")
	lagDesc         = ownDesc("max_expiry_lag_seconds", "How late streams were expired in the last minute, at most; in steps of 0.1 s.")
)

func (o own) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(o, ch) }

func (o own) Collect(ch chan<- prometheus.Metric) {
	s := o.stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- constMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- constMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(streamsDesc, float64(s.Active), "active")
	gauge(streamsDesc, float64(s.Streams-s.Active), "finalized")
	gauge(connectionsDesc, float64(s.Connections))
	gauge(capacityDesc, float64(s.Capacity))
	counter(openedDesc, s.Opened)
	counter(closedDesc, s.ClosedFin, "fin")
	counter(closedDesc, s.ClosedRst, "rst")
	counter(closedDesc, s.Expired, "timeout")
	counter(closedDesc, s.Tally.Recycled, "recycled")
	counter(closedDesc, s.Replaced, "replaced")
	counter(oneSidedDesc, s.OneSided)
	counter(reopenedDesc, s.Tally.Reopened)
	counter(recycledDesc, s.RecycledHalfOpen, "half_open")
	counter(recycledDesc, s.RecycledFinalized, "finalized")
	counter(noRoomDesc, s.NoRoom)
	for why := parse.OK + 1; int(why) < parse.NumReasons; why++ {
		counter(skippedDesc, s.Skipped[why], why.String())
	}
	counter(blocksDesc, s.Blocks)
	counter(timedOutDesc, s.TimedOut)
	counter(badBlocksDesc, s.BadBlocks)
	gauge(upDesc, oneIf(s.InterfaceUp), o.iface)
	gauge(existsDesc, oneIf(o.exists()), o.iface)
	counter(reopensDesc, s.Reopened)
	counter(superDesc, s.SuperPackets)
	gauge(turnDesc, s.MaxTurn.Seconds())
	gauge(workDesc, s.MaxTurnWork.Seconds())
	gauge(frameAgeDesc, s.MaxFrameAge.Seconds())
	gauge(lagDesc, s.MaxExpiryLag.Seconds())
	ch <- holdHistogram(&s.Holds)
}

// holdHistogram is a histogram of what the worker has counted.
func holdHistogram(h *worker.Holds) prometheus.Metric {
	buckets := make(map[float64]uint64, len(worker.HoldBounds))
	all := uint64(0)
	for i, bound := range worker.HoldBounds {
		all += h.Counts[i]
		buckets[float64(bound)/1e9] = all
	}
	all += h.Counts[len(worker.HoldBounds)]
	m, err := prometheus.NewConstHistogram(holdDesc, all, float64(h.Sum)/1e9, buckets)
	if err != nil {
		return prometheus.NewInvalidMetric(holdDesc, err)
	}
	return m
}

// constMetric is a series that does not change. With a label that is none (UTF-8 alone is) a scrape fails, where
// client_golang's Must functions end the program.
func constMetric(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}

// oneIf is how a gauge says yes.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// BuildInfo returns a collector of the one series tcp_stream_exporter_build_info, whose labels say
// what is running.
func BuildInfo(version, goVersion, libpcap string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": printable.Text(version), "goversion": printable.Text(goVersion), "libpcap": printable.Text(libpcap)},
	})
	g.Set(1)
	return g
}
