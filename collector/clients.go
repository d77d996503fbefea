package collector

import "github.com/prometheus/client_golang/prometheus"

var (
	refusedDesc = ownDesc("requests_refused_total", "Requests that were answered 503 because too many connections were in use, or too many scrapes waited.", "reason")
	cutOffDesc  = ownDesc("clients_cut_off_total", "Connections that were closed because others needed their places: clients that took or sent nothing, and idle ones.", "reason")
)

type clients struct {
	queue       *queue
	connections func() (refused, stalled, idle uint64)
}

// Clients returns the collector of requests that were refused and of clients that lost their places, to be
// registered with Registry. connections returns the same of the server's connections, since the start:
// refused for want of a place, cut off because they stalled, and closed while they were idle. It may be
// called from any goroutine.
func (h *Handler) Clients(connections func() (refused, stalled, idle uint64)) prometheus.Collector {
	return clients{h.queue, connections}
}

func (c clients) Describe(ch chan<- *prometheus.Desc) {
	ch <- refusedDesc
	ch <- cutOffDesc
}

func (c clients) Collect(ch chan<- prometheus.Metric) {
	refused, stalled, idle := c.connections()
	scrapes, stalledScrapes := c.queue.figures()
	counter := func(d *prometheus.Desc, n uint64, reason string) {
		ch <- constMetric(d, prometheus.CounterValue, float64(n), reason)
	}
	counter(refusedDesc, refused, "connections")
	counter(refusedDesc, scrapes, "scrapes")
	counter(cutOffDesc, stalled+stalledScrapes, "stalled")
	counter(cutOffDesc, idle, "idle")
}
