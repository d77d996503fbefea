package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// watcherNames are the contenders of benchrouter as the document calls them, in its order.
var watcherNames = map[string]string{
	"none":          "nobody",
	"walk-one":      "C walk, one interface",
	"exporter-one":  "exporter, one interface",
	"exporter-in":   "exporter, two interfaces, `-direction in`",
	"exporter-both": "exporter, two interfaces, one ring",
	"exporters-two": "two exporters, half a ring each",
	"exporter-any":  "exporter, `-interface any`",
	"walk-two":      "C walk, two interfaces, half a ring each",
	"walk-any":      "C walk, all interfaces",

	"base":            "C walk: copies 96 bytes, blocks of 256 KiB",
	"filter-tcp":      "filter `tcp`, of which five instructions run",
	"filter-exporter": "the exporter's filter `tcp`, copies 54 bytes",
	"filter-100":      "filter of 100 instructions",
	"time-received":   "time taken on receipt (SO_TIMESTAMPNS)",
	"time-hardware":   "the card's time asked for",
	"copy-1514":       "copies 1,514 bytes",
	"block-64k":       "blocks of 64 KiB",
	"block-1m":        "blocks of 1 MiB",
	"fanout-2":        "fanout, two rings of half the size",
	"busy-poll":       "SO_BUSY_POLL 50 µs",
	"wait-each":       "waits for each block",
	"any":             "all interfaces, both directions",
	"any-ingress":     "all interfaces, PACKET_IGNORE_OUTGOING",
}

// loadNames are the loads of benchrouter as the document calls them.
var loadNames = map[string]string{"small": "54-byte ACKs", "large": "1,400 bytes of payload", "super": "the same, joined by GRO"}

// signed writes a whole number with its sign in front, three digits that count.
func signed(v float64) string {
	text := digits(math.Round(math.Abs(v)))
	if v < 0 && text != "0" {
		return "−" + text
	}
	return text
}

// signedSpread is spread for numbers that may be below 0.
func (r *row) signedSpread(median, lowest, highest string) string {
	text := signed(r.number(median))
	if r.number("runs") < 2 {
		return text
	}
	return fmt.Sprintf("%s (%s to %s)", text, signed(r.number(lowest)), signed(r.number(highest)))
}

// measuredBy says what a table of benchrouter is of.
func (d data) measuredBy(name string) string {
	t := d[name]
	build, date, _ := strings.Cut(t.Build, ", ")
	text := fmt.Sprintf("Build `%s`, measured %s; %s.\n\n", build, date, t.Machine)
	if t.Trial {
		text = "**A trial run, whose figures say nothing: to be replaced by `make bench-router`.**\n\n" + text
	}
	return text
}

// routerSentence is the result in a sentence: of small packets, which cost the most.
func (d data) routerSentence() (string, error) {
	t := d["router"]
	load := t.Text(0, "load")
	var found []*row
	of := func(watcher string) *row {
		r := find(t, "load", load, "watcher", watcher)
		if r == nil {
			r = &row{Table: t, err: fmt.Errorf("no row of %s, %s", load, watcher)}
		}
		found = append(found, r)
		return r
	}
	percent := func(r *row) string { return digits(math.Round(100 * r.number("ratio"))) }
	exporter, walk, both := of("exporter-one"), of("walk-one"), of("exporter-both")
	text := fmt.Sprintf("Watched by the exporter on one interface, a router at its limit forwards %s %% of the %s that it does with nobody\n"+
		"watching: %s ns more per packet, where the bare walk takes %s. On both of its interfaces it is %s %%: %s ns, for two copies.\n\n",
		percent(exporter), loadNames[load], signed(exporter.number("more")), signed(walk.number("more")), percent(both), signed(both.number("more")))
	var err error
	for _, r := range found {
		err = errors.Join(err, r.err)
	}
	return text, err
}

func (d data) router() (string, error) {
	sentence, err := d.routerSentence()
	if err != nil {
		return "", err
	}
	head := "| load | who watches | forwarded packets/s | part of nobody's | ns more per packet | in softirqs, ns | watchers' CPU time, ns | dropped | rings | resident |\n" +
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
	text, err := rows(d["router"], head, func(r *row) string {
		part, more := r.spread("ratio", "ratio lowest", "ratio highest"), r.signedSpread("more", "more lowest", "more highest")
		rings, resident := digits(r.number("rings"))+" MiB", digits(r.number("resident"))+" MiB"
		cpu, dropped := digits(r.number("watcher CPU")), "0"
		if r.text("watcher") == "none" {
			part, more, rings, resident, cpu, dropped = "", "", "", "", "", ""
		} else if share := r.number("dropped"); share > 0 {
			dropped = digits(share) + " %"
		}
		return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", loadNames[r.text("load")], watcherNames[r.text("watcher")],
			r.spread("median", "lowest", "highest"), part, more, signed(r.number("softirq")), cpu, dropped, rings, resident)
	})
	return d.measuredBy("router") + sentence + text, err
}

func (d data) routerKernel() (string, error) {
	head := "| what is different | forwarded packets/s | part of nobody's | ns more than nobody | ns more than the first walk | runs |\n|---|---:|---:|---:|---:|---:|\n"
	text, err := rows(d["router-kernel"], head, func(r *row) string {
		part, more, floor := r.spread("ratio", "ratio lowest", "ratio highest"), r.signedSpread("more", "more lowest", "more highest"), ""
		switch r.text("watcher") {
		case "none":
			part, more = "", ""
		case "base":
		default:
			floor = r.signedSpread("floor", "floor lowest", "floor highest")
		}
		return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", watcherNames[r.text("watcher")], r.spread("median", "lowest", "highest"), part, more, floor, r.text("runs"))
	})
	return d.measuredBy("router-kernel") + text, err
}

func (d data) routerChart() (chart, error) {
	return d.watcherChart("router", "What is still forwarded", "forwarded (part of nobody's watching)", [3]string{"ratio", "ratio lowest", "ratio highest"})
}

func (d data) routerKernelChart() (chart, error) {
	return d.watcherChart("router-kernel", "The kernel's part", "more than nobody (ns per packet)", [3]string{"more", "more lowest", "more highest"})
}

// watcherChart has a place for each watcher but none, and points for each load.
func (d data) watcherChart(name, title, x string, columns [3]string) (chart, error) {
	c := chart{title: title, x: x}
	t := &row{Table: d[name]}
	watchers := slices.DeleteFunc(distinct(t, "watcher"), func(w string) bool { return w == "none" })
	for _, w := range watchers {
		c.places = append(c.places, strings.ReplaceAll(watcherNames[w], "`", ""))
	}
	all := distinct(t, "load")
	for n, load := range all {
		line := curve{name: loadNames[load]}
		for i := range t.Rows {
			r := &row{Table: t.Table, at: i}
			place := slices.Index(watchers, r.text("watcher"))
			if place < 0 || r.text("load") != load {
				continue
			}
			// Beside one another, so that ranges do not cover one another.
			at := float64(place+1) + 0.2*(float64(n)-float64(len(all)-1)/2)
			line.points = append(line.points, point{at, r.number(columns[0]), r.number(columns[1]), r.number(columns[2])})
			if r.err != nil {
				return c, r.err
			}
		}
		c.curves = append(c.curves, line)
	}
	return c, nil
}

// plotPlaces lays out a chart whose points are at named places, one below another.
func (c *chart) plotPlaces(note string) (*plot.Plot, error) {
	p := c.frame(note)
	bottom := float64(len(c.places) + 1)
	ticks := make(plot.ConstantTicks, len(c.places))
	for i, name := range c.places {
		ticks[i] = plot.Tick{Value: bottom - float64(i+1), Label: name}
	}
	low, high := 0.0, 0.0
	for i, line := range c.curves {
		var points ranges
		for _, at := range line.points {
			points.XYs = append(points.XYs, plotter.XY{X: at.median, Y: bottom - at.x})
			points.XErrors = append(points.XErrors, struct{ Low, High float64 }{at.median - at.lowest, at.highest - at.median})
			low, high = min(low, at.lowest), max(high, at.highest)
		}
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.name, err)
		}
		bars, err := plotter.NewXErrorBars(points)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.name, err)
		}
		dots.Color, dots.Shape, dots.Radius = colors[i%len(colors)], marks[i%len(marks)], vg.Points(3)
		bars.Color = dots.Color
		p.Add(dots, bars)
		if len(c.curves) > 1 {
			p.Legend.Add(line.name, dots)
		}
	}
	if high == 0 {
		return nil, errors.New("nothing to draw")
	}
	p.Legend.Top, p.Legend.XOffs = true, vg.Points(-6)
	p.X.Min, p.X.Max = low, high*1.02
	p.Y.Tick.Marker, p.Y.Min, p.Y.Max = ticks, 0.3, bottom-0.3
	if len(c.curves) > 1 {
		p.Y.Max += float64(len(c.curves)) * 0.6 // room for the legend
	}
	return p, nil
}

// ranges are points with their ranges along x.
type ranges struct {
	plotter.XYs
	plotter.XErrors
}
