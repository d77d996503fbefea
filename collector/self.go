package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/printable"
)

// set is the client_golang collector of a table of families. All series of a scrape come from one T.
type set[T any] struct {
	families []family[T]
	descs    []*prometheus.Desc // of the families
	read     func() T
}

// newSet returns the collector of families, whose figures read returns; it is called at each scrape.
func newSet[T any](families []family[T], read func() T) *set[T] {
	s := &set[T]{families: families, read: read}
	for i := range families {
		f := &families[i]
		s.descs = append(s.descs, prometheus.NewDesc(f.Name, f.Help, f.labels, nil))
	}
	return s
}

func (s *set[T]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
}

func (s *set[T]) Collect(ch chan<- prometheus.Metric) {
	t := s.read()
	for i := range s.families {
		f, desc := &s.families[i], s.descs[i]
		if f.distribution != nil {
			count, sum, buckets := f.distribution(&t)
			m, err := prometheus.NewConstHistogram(desc, count, sum, buckets)
			ch <- orInvalid(m, desc, err)
			continue
		}
		kind := prometheus.GaugeValue
		if f.Type == counter {
			kind = prometheus.CounterValue
		}
		f.series(&t, func(x float64, labels ...string) {
			m, err := prometheus.NewConstMetric(desc, kind, x, labels...)
			ch <- orInvalid(m, desc, err)
		})
	}
}

// orInvalid returns m, or in case of an error a metric that fails the scrape with it, where client_golang's
// Must functions end the program: a label that is not UTF-8 is enough.
func orInvalid(m prometheus.Metric, desc *prometheus.Desc, err error) prometheus.Metric {
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// captured holds the figures of captureFamilies.
type captured struct {
	Stats
	interfaces []Interface
}

// Interface tells of one interface that is captured, or is to be.
type Interface struct {
	Name   string // no two may be the same as text, see printable.Text
	Up     bool   // it is captured
	Named  bool   // -interface has its name, not a pattern that it matches
	Exists bool   // there is one of that name, up or down
}

// Own returns the collector of what the capture counts about itself, to be registered with
// Handler.Registry. stats returns the capture's totals, and interfaces what is captured. Both functions may
// be called from any goroutine.
func Own(stats func() Stats, interfaces func(*Stats) []Interface) prometheus.Collector {
	return newSet(captureFamilies, func() captured {
		c := captured{Stats: stats()}
		c.interfaces = interfaces(&c.Stats)
		return c
	})
}

// Workers returns the collector of how the traffic is shared out among the workers, to be registered with
// Handler.Registry. packets returns the packets of each; it may be called from any goroutine.
func Workers(packets func() []uint64) prometheus.Collector { return newSet(workerFamilies, packets) }

// Losses returns the collector of the families that show whether the capture's figures can be trusted, to
// be registered with Handler.Registry. figures may be called from any goroutine and returns at once.
func Losses(figures func() loss.Figures) prometheus.Collector { return newSet(lossFamilies, figures) }

// GroupReload tells how the file of groups was read the last time.
type GroupReload struct {
	Successful  bool
	LastSuccess time.Time
}

// GroupReloads returns the collector of how the file of groups was read, to be registered with Handler.Registry. figures
// may be called from any goroutine.
func GroupReloads(figures func() GroupReload) prometheus.Collector {
	return newSet(reloadFamilies, figures)
}

// build holds the figures of buildFamilies.
type build struct{ version, goVersion, libpcap string }

// BuildInfo returns the collector of the series whose labels identify the build, to be registered with
// Handler.Registry.
func BuildInfo(version, goVersion, libpcap string) prometheus.Collector {
	b := build{printable.Text(version), printable.Text(goVersion), printable.Text(libpcap)}
	return newSet(buildFamilies, func() build { return b })
}

// Sample returns the collector of the share of the connections that is captured, above 0 to 1, to be registered with
// Handler.Registry.
func Sample(share float64) prometheus.Collector {
	return newSet(sampleFamilies, func() float64 { return share })
}

// clients holds the figures of clientFamilies, counted since the start.
type clients struct{ refusedConnections, refusedScrapes, stalled, idle uint64 }

// Clients returns the collector of requests that were refused and of clients that lost their places, to be
// registered with Registry. connections returns the same of the server's connections, since the start:
// refused for want of a place, cut off because they stalled, and closed while they were idle. It may be
// called from any goroutine.
func (h *Handler) Clients(connections func() (refused, stalled, idle uint64)) prometheus.Collector {
	return newSet(clientFamilies, func() clients {
		refused, stalled, idle := connections()
		c := clients{refusedConnections: refused, stalled: stalled, idle: idle}
		for _, l := range []*lane{&h.streams, &h.summaries} {
			refusedScrapes, stalledScrapes := l.queue.turnedAway()
			c.refusedScrapes += refusedScrapes
			c.stalled += stalledScrapes
		}
		return c
	})
}

// durations counts what scrapes cost, and how much the latest one shows. A scrape is counted when it is over: the next one shows it.
type durations struct {
	scrapes, snapshots prometheus.Histogram
	bytes              prometheus.Counter
	exported           prometheus.Gauge // of the latest snapshot of streams
}

// durationBuckets are bounds in seconds, from a small scrape on the local machine to one of a million
// streams over a slow line.
var durationBuckets = []float64{0.001, 0.01, 0.1, 1, 10}

func newDurations() durations {
	newHistogram := func(h header) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: h.Name, Help: h.Help, Buckets: durationBuckets})
	}
	return durations{
		scrapes:   newHistogram(scrapeDuration),
		snapshots: newHistogram(snapshotDuration),
		bytes:     prometheus.NewCounter(prometheus.CounterOpts{Name: scrapeBytes.Name, Help: scrapeBytes.Help}),
		exported:  prometheus.NewGauge(prometheus.GaugeOpts{Name: streamsExported.Name, Help: streamsExported.Help}),
	}
}

// Durations returns the collector of what scrapes cost, to be registered with Registry.
func (h *Handler) Durations() prometheus.Collector { return &h.durations }

func (d *durations) Describe(ch chan<- *prometheus.Desc) {
	d.scrapes.Describe(ch)
	d.snapshots.Describe(ch)
	d.bytes.Describe(ch)
	d.exported.Describe(ch)
}

func (d *durations) Collect(ch chan<- prometheus.Metric) {
	d.scrapes.Collect(ch)
	d.snapshots.Collect(ch)
	d.bytes.Collect(ch)
	d.exported.Collect(ch)
}

// observe has h count the time since begin.
func observe(h prometheus.Histogram, begin time.Time) { h.Observe(time.Since(begin).Seconds()) }
