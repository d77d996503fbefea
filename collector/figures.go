package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/worker"
)

// figures is the client_golang collector of the families without labels. It holds the figures of
// one scrape, so that tcp_stream_count is the count of the same snapshot as the streams below it;
// each scrape at work has its own.
type figures struct {
	stats worker.Stats
}

func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	ch <- streamCountDesc
	ch <- packetsDesc
	ch <- droppedDesc
	ch <- freezesDesc
}

func (f *figures) Collect(ch chan<- prometheus.Metric) {
	ch <- constMetric(streamCountDesc, prometheus.GaugeValue, float64(f.stats.Active))
	ch <- constMetric(packetsDesc, prometheus.CounterValue, float64(f.stats.Packets))
	ch <- constMetric(droppedDesc, prometheus.CounterValue, float64(f.stats.Dropped))
	ch <- constMetric(freezesDesc, prometheus.CounterValue, float64(f.stats.Freezes))
}
