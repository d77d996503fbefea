package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations is what scrapes cost. A scrape notes its own when it is over: the next one shows them.
type durations struct {
	scrapes, snapshots prometheus.Histogram
	bytes              prometheus.Counter
}

// durationBuckets hold a small scrape on the local machine, and one of a million streams over a
// slow line, seconds.
var durationBuckets = []float64{0.001, 0.01, 0.1, 1, 10}

func newDurations() durations {
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: durationBuckets})
	}
	return durations{
		scrapes:   histogram("scrape_duration_seconds", "Time that answering a scrape took, from its request to its last byte; scrapes that failed are left out."),
		snapshots: histogram("snapshot_duration_seconds", "Time that copying the streams for a scrape took, with the wait for the capture."),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "scrape_bytes_total", Help: "Bytes sent in answer to scrapes, HTTP headers left out.",
		}),
	}
}

// Durations returns the collector of what scrapes cost, to be registered with Registry.
func (h *Handler) Durations() prometheus.Collector { return &h.durations }

func (d *durations) Describe(ch chan<- *prometheus.Desc) {
	d.scrapes.Describe(ch)
	d.snapshots.Describe(ch)
	d.bytes.Describe(ch)
}

func (d *durations) Collect(ch chan<- prometheus.Metric) {
	d.scrapes.Collect(ch)
	d.snapshots.Collect(ch)
	d.bytes.Collect(ch)
}

// observe notes how long it has been since begin.
func observe(h prometheus.Histogram, begin time.Time) { h.Observe(time.Since(begin).Seconds()) }
