package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Sizes of panels in cells of the grid, which is 24 wide.
const (
	third      = 8
	half       = 12
	full       = 24
	statWidth  = 4
	statHeight = 4
	height     = 8
)

// query is one expression of a panel, and what its series are called in the legend.
type query struct{ expr, legend string }

// source is the data source that is chosen at the top of the dashboard.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}
}

// newDashboard returns a dashboard with the choice of a data source and of exporters.
func newDashboard(title, uid, description string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).Uid(uid).Description(description).
		Tags([]string{"tcp", "tcp-stream-exporter"}).Editable().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Refresh("30s").Time("now-3h", "now").Timezone("browser").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(choice("instance", "Exporter", "label_values(tcp_stream_exporter_build_info, instance)"))
}

// choice is a variable of all values that a query gives, of which any number may be chosen.
func choice(name, label, values string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source()).
		Query(dashboard.StringOrMap{String: &values}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{
			Selected: new(true),
			Text:     dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value:    dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		})
}

// over is a panel of figures over time.
func over(title, description, unit string, width uint32, queries ...query) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).
		Span(width).Height(height).Min(0).
		LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeTable).Placement(common.LegendPlacementBottom).
			ShowLegend(true).Calcs([]string{"lastNotNull", "max"}).SortBy("Max").SortDesc(true))
	for i, q := range queries {
		p.WithTarget(prometheus.NewDataqueryBuilder().RefId(refID(i)).Expr(q.expr).LegendFormat(q.legend).Range())
	}
	return p
}

// step is a bound from which on a figure has a colour.
type step struct {
	from  float64
	color string
}

// now is a panel of one figure as it is, in the colour of its bounds: base below the first of them.
func now(title, description, unit, expr, base string, steps ...step) *stat.PanelBuilder {
	bounds := []dashboard.Threshold{{Color: base}}
	for _, s := range steps {
		bounds = append(bounds, dashboard.Threshold{Value: new(s.from), Color: s.color})
	}
	return stat.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).
		Span(statWidth).Height(statHeight).
		ColorMode(common.BigValueColorModeBackground).GraphMode(common.BigValueGraphModeNone).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(bounds)).
		WithTarget(prometheus.NewDataqueryBuilder().RefId(refID(0)).Expr(expr).Instant())
}

// list is a table of the series that a query has now, by value.
func list(title, description, unit string, width uint32, expr string) *table.PanelBuilder {
	return table.NewPanelBuilder().Title(title).Description(description).Unit(unit).Datasource(source()).
		Span(width).Height(height).
		SortBy([]cog.Builder[common.TableSortByFieldState]{common.NewTableSortByFieldStateBuilder().DisplayName("Value").Desc(true)}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true, "__name__": true, "job": true},
		}}).
		WithTarget(prometheus.NewDataqueryBuilder().RefId(refID(0)).Expr(expr).Instant().Format(prometheus.PromQueryFormatTable))
}

// trust are the panels that come first on every dashboard: whether the other figures can be relied on.
func trust(d *dashboard.DashboardBuilder) {
	const of = `{instance=~"$instance"}`
	d.WithRow(dashboard.NewRowBuilder("Can the figures be trusted?"))
	d.WithPanel(now("Capture complete",
		"1: nothing was lost anywhere in the last minute. 0: packets were lost or the interface was away; docs/capture-truth.md says where to look.",
		units.Short, `min(tcp_stream_exporter_capture_complete`+of+`)`, "red", step{1, "green"}))
	d.WithPanel(now("Interfaces away",
		"Interfaces that are to be captured and are down or gone.",
		units.Short, `count(tcp_stream_exporter_interface_up`+of+` == 0) or vector(0)`, "green", step{1, "red"}))
	d.WithPanel(now("Dropped by the ring",
		"Share of the packets that found no room in the ring. More blocks (-numblocks) help against bursts.",
		units.PercentUnit,
		`max(rate(capture_dropped_packets_total`+of+`[$__rate_interval]) / (rate(capture_dropped_packets_total`+of+`[$__rate_interval]) + rate(capture_packets_processed_total`+of+`[$__rate_interval]) > 0))`,
		"green", step{0.0001, "orange"}, step{0.001, "red"}))
	d.WithPanel(now("Lost before the ring",
		"Packets a second that network cards and receive queues lost.",
		units.PacketsPerSecond,
		`sum(rate(tcp_stream_exporter_interface_lost_packets_total`+of+`[$__rate_interval])) + sum(rate(tcp_stream_exporter_softnet_dropped_packets_total`+of+`[$__rate_interval]))`,
		"green", step{0.1, "orange"}, step{10, "red"}))
	d.WithPanel(now("Table taken",
		"Share of the records that are in use (-max-connections).",
		units.PercentUnit, `max(tcp_stream_exporter_connections`+of+` / tcp_stream_exporter_connections_capacity`+of+`)`,
		"green", step{0.8, "orange"}, step{0.9, "red"}))
	d.WithPanel(now("Sample",
		"Share of the connections that is captured. Below 1 (-sample), rates and counts are this share of the traffic's; ratios and times are not affected.",
		units.PercentUnit, `min(tcp_stream_exporter_sample_ratio`+of+`)`, "orange", step{1, "green"}))
}

// exporter are the panels that come last: what the exporter itself does.
func exporter(d *dashboard.DashboardBuilder) {
	const of = `{instance=~"$instance"}`
	d.WithRow(dashboard.NewRowBuilder("The exporter"))
	d.WithPanel(over("Packets captured", "Packets a second that each worker took out of its ring.", units.PacketsPerSecond, third,
		query{`rate(tcp_stream_exporter_worker_packets_total` + of + `[$__rate_interval])`, "{{instance}} worker {{worker}}"}))
	d.WithPanel(over("Connections in the table", "Connections that have a record, ended ones of the last minutes included.", units.Short, third,
		query{`tcp_stream_exporter_connections` + of, "{{instance}}"}))
	d.WithPanel(over("Longest waits",
		"Worst of the last minute: how long a packet lay in the ring (about 0.064 s on a quiet line), the longest time between two looks at the ring, and the most processor time of one.",
		units.Seconds, third,
		query{`tcp_stream_exporter_max_packet_wait_seconds` + of, "packet, {{instance}}"},
		query{`tcp_stream_exporter_max_turn_seconds` + of, "turn, {{instance}}"},
		query{`tcp_stream_exporter_max_turn_cpu_seconds` + of, "processor time, {{instance}}"}))
	d.WithPanel(over("Not accounted", "Packets a second that were captured and are no TCP segment, by reason.", units.PacketsPerSecond, third,
		query{`sum by (instance, reason) (rate(tcp_stream_exporter_skipped_packets_total` + of + `[$__rate_interval])) > 0`, "{{reason}}, {{instance}}"}))
	d.WithPanel(over("Time of a scrape", "Mean time from a scrape's request to the last byte of its answer.", units.Seconds, third,
		query{`rate(tcp_stream_exporter_scrape_duration_seconds_sum` + of + `[$__rate_interval]) / (rate(tcp_stream_exporter_scrape_duration_seconds_count` + of + `[$__rate_interval]) > 0)`, "{{instance}}"}))
	d.WithPanel(over("Sent to scrapers", "Bytes a second, after compression.", units.BytesPerSecondSI, third,
		query{`rate(tcp_stream_exporter_scrape_bytes_total` + of + `[$__rate_interval])`, "{{instance}}"}))
}

// refID is the letter by which Grafana knows a panel's query.
func refID(i int) string { return string(rune('A' + i)) }
