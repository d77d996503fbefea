package app

import (
	"strconv"

	"tcp-stream-exporter/api"
	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/status"
	"tcp-stream-exporter/stream"
)

// apiOptions returns what the JSON API shows of a capture.
func (o *options) apiOptions(c *capture.Workers, s *setup, groups *groupsInForce, status *status.History) api.Options {
	a := api.Options{IPv6: o.ipv6, IPv6Metrics: o.ipv6, ByVLAN: o.byVLAN, Totals: c.Stats, Status: status.Answer, StatusPoints: historyPoints}
	if o.byInterface() {
		a.InterfaceName = s.lines.name
	}
	if !o.countsGroups() {
		return a
	}
	a.IPv6 = true
	a.Groups, a.Member, a.Histogram, a.Service = c, groups.name, histogramOf, groups.service
	if o.groups.isConfigured() {
		a.Group = func(addr parse.Addr) string {
			set := groups.set.Load()
			return set.Label(set.Find(addr))
		}
	}
	return a
}

// service returns the name of a stream's service. Which side is the server a stream does not say: of two listed ports the
// lower one counts.
func (g *groupsInForce) service(v *stream.View) string {
	set := g.set.Load()
	a, b := set.Service(v.SrcPort), set.Service(v.DstPort)
	switch {
	case a == 0 && b == 0:
		return "other"
	case a == 0 || b != 0 && b < a:
		a = b
	}
	return strconv.Itoa(int(a))
}

// histogramOf returns what the API shows of a histogram.
func histogramOf(h *group.Histogram) api.Histogram {
	classic := h.Classic()
	bounds, cells := h.Cells()
	return api.Histogram{
		Count: h.Count(), Bounds: group.ClassicBounds[:], Cumulative: classic[:],
		FineBounds: bounds, FineCumulative: cells[:],
	}
}
