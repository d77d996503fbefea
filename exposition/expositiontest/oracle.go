package expositiontest

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/promhttp/zstd" // what promhttp compresses with
	"github.com/prometheus/common/expfmt"
)

// Oracle exports streams the slow, obvious way: one client_golang metric object for each value, by the
// Contract and not by the writer's tables.
type Oracle []Stream

// Describe describes nothing: the registry does not check what it gets.
func (Oracle) Describe(chan<- *prometheus.Desc) {}

// Collect sends every value of every stream.
func (o Oracle) Collect(ch chan<- prometheus.Metric) {
	names := []string{"dst_ip", "dst_port", "src_ip", "src_port", "state"}
	for family, c := range Contract {
		if !c.PerStream {
			continue
		}
		desc := prometheus.NewDesc(c.Name, "By client_golang.", names, nil)
		kind := prometheus.GaugeValue
		if c.Type == "counter" {
			kind = prometheus.CounterValue
		}
		for i := range o {
			v := &o[i]
			if !Present(family, v.Has) {
				continue
			}
			state := "active"
			if v.Finalized {
				state = "finalized"
			}
			m, err := prometheus.NewConstMetric(desc, kind, c.Value(&v.View), v.Dst.Netip().String(), strconv.Itoa(int(v.DstPort)),
				v.Src.Netip().String(), strconv.Itoa(int(v.SrcPort)), state)
			if err != nil {
				m = prometheus.NewInvalidMetric(desc, err)
			}
			ch <- m
		}
	}
}

// Handler returns the promhttp handler of the oracle.
func (o Oracle) Handler() http.Handler {
	r := prometheus.NewRegistry()
	_ = r.Register(o) // fails on descriptors alone, and there are none
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{AcceptedFormats: []expfmt.Format{
		expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtText,
	}})
}
