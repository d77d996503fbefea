package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/loss"
)

// losses is the client_golang collector of what was lost before the ring.
type losses struct {
	figures func() loss.Figures
}

// Losses returns the collector of the families that say whether the capture's figures can be
// trusted, to be registered with Handler.Registry. figures may be called from any goroutine and
// returns at once.
func Losses(figures func() loss.Figures) prometheus.Collector { return losses{figures} }

var (
	completeDesc = ownDesc("capture_complete", "1 if the figures of the last minute can be trusted: nothing was lost by a network card, the kernel's queues, the ring or the table, and the interface was there. Else 0.")
	linkLostDesc = ownDesc("interface_lost_packets_total", "Packets that the captured interfaces lost before the ring, by the kernel's counters for them.", "interface", "counter")
	softDropDesc = ownDesc("softnet_dropped_packets_total", "Packets that the kernel dropped because a processor's receive queue was full; of the whole machine.")
	squeezedDesc = ownDesc("softnet_time_squeezed_total", "Times that a processor's turn at receiving ended with packets still waiting; of the whole machine.")
)

func (l losses) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{completeDesc, linkLostDesc, softDropDesc, squeezedDesc} {
		ch <- d
	}
}

func (l losses) Collect(ch chan<- prometheus.Metric) {
	f := l.figures()
	ch <- constMetric(completeDesc, prometheus.GaugeValue, oneIf(f.Complete))
	for _, k := range f.Links {
		for i, n := range k.Lost {
			ch <- constMetric(linkLostDesc, prometheus.CounterValue, float64(n), k.Name, loss.CounterNames[i])
		}
	}
	if f.Softnet {
		ch <- constMetric(softDropDesc, prometheus.CounterValue, float64(f.SoftnetDropped))
		ch <- constMetric(squeezedDesc, prometheus.CounterValue, float64(f.SoftnetSqueezed))
	}
}
