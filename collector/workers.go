package collector

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var workerPacketsDesc = ownDesc("worker_packets_total", "Packets that each worker took out of its ring.", "worker")

type workers func() []uint64

// Workers returns the collector of how the traffic is shared out among the workers, whose packets
// packets returns; it may be called from any goroutine.
func Workers(packets func() []uint64) prometheus.Collector { return workers(packets) }

func (w workers) Describe(ch chan<- *prometheus.Desc) { ch <- workerPacketsDesc }

func (w workers) Collect(ch chan<- prometheus.Metric) {
	for i, n := range w() {
		ch <- constMetric(workerPacketsDesc, prometheus.CounterValue, float64(n), strconv.Itoa(i))
	}
}
