package app

import (
	"context"

	"tcp-stream-exporter/capture"
	"tcp-stream-exporter/collector"
	"tcp-stream-exporter/loss"
	"tcp-stream-exporter/printable"
	"tcp-stream-exporter/status"
	"tcp-stream-exporter/worker"
)

// historyPoints is how many points of a chart can be asked for.
const historyPoints = uint64(status.Points)

// status returns the status of a capture, and keeps its history until ctx ends.
func (o *options) status(ctx context.Context, c *capture.Workers, losses *loss.Watcher, states *health, interfaces func(*worker.Stats) []collector.Interface) *status.History {
	h := status.New(status.Config{
		Version: printable.Text(versionName()), Interface: printable.Text(o.iface), Filter: printable.Text(o.filter.shown()),
		Sample: uint64(o.sample), IPv6: o.ipv6 || o.countsGroups(), Tunnels: o.tunnels != 0,
		StreamFilters: o.streamFilters(), Groups: o.countsGroups(),
		Workers: c.StatsByWorker, SinceTurn: c.SinceTurn, Losses: losses.Figures, Healthy: states.healthy, Ready: states.ready,
		Interfaces: func() []status.Interface {
			s := c.Stats()
			told := interfaces(&s)
			all := make([]status.Interface, len(told))
			for i, k := range told {
				all[i] = status.Interface{Name: printable.Text(k.Name), Up: k.Up, Named: k.Named, Exists: k.Exists}
			}
			return all
		},
	})
	go h.Run(ctx)
	return h
}

// countsGroups reports whether groups are counted.
func (o *options) countsGroups() bool {
	plain, _ := o.groups.combinations()
	return plain != 0
}

// streamFilters returns the parameters by which the API selects streams, those that it refuses left out.
func (o *options) streamFilters() []string {
	all := []string{"addr", "src", "dst", "port", "state", "min_bytes"}
	if o.countsGroups() {
		all = append(all, "service")
		if o.groups.isConfigured() {
			all = append(all, "group")
		}
	}
	if o.byInterface() {
		all = append(all, "interface")
	}
	if o.byVLAN {
		all = append(all, "vlan")
	}
	return all
}
