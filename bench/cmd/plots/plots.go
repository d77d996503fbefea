package main

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const plotWidth, plotHeight = 17 * vg.Centimeter, 10 * vg.Centimeter

// colors are told apart also by those who are colour-blind (Okabe and Ito, jfly.uni-koeln.de/color).
var colors = []color.Color{
	color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}, color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}, color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}, color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff},
}

// marks tell lines apart where colours do not.
var marks = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{}}

// point is a median with its range at x.
type point struct{ x, median, lowest, highest float64 }

// curve is one line of a plot, with its name.
type curve struct {
	name   string
	points []point
}

// Len, XY and YError make curve a plotter.XYer and a plotter.YErrorer.
func (c curve) Len() int                { return len(c.points) }
func (c curve) XY(i int) (x, y float64) { return c.points[i].x, c.points[i].median }
func (c curve) YError(i int) (below, above float64) {
	p := c.points[i]
	return p.median - p.lowest, p.highest - p.median
}

// chart is one plot.
type chart struct {
	title, x, y string // y and x with their units
	logY        bool   // x always is
	curves      []curve
	places      []string // names of the places 1, 2, … that points are at: then values go from left to right
}

// charts are the plots by the names of their files, without the ending.
var charts = []struct {
	name string
	of   func(data) (chart, error)
}{
	{"prepared", data.preparedChart}, {"live", data.liveChart}, {"scrape", data.scrapeChart}, {"memory", data.memoryChart},
	{"router", data.routerChart}, {"router-kernel", data.routerKernelChart},
}

// plain names the columns of most points: median, lowest and highest.
var plain = [3]string{"median", "lowest", "highest"}

// add adds the rows that pick chooses as a curve, if there are any.
func (c *chart) add(name string, t *row, x string, y [3]string, pick func(*row) bool) error {
	line := curve{name: name}
	for at := range t.Rows {
		r := &row{Table: t.Table, at: at}
		if !pick(r) {
			continue
		}
		line.points = append(line.points, point{r.number(x), r.number(y[0]), r.number(y[1]), r.number(y[2])})
		if r.err != nil {
			return r.err
		}
	}
	slices.SortFunc(line.points, func(a, b point) int { return int(a.x - b.x) })
	if len(line.points) > 0 {
		c.curves = append(c.curves, line)
	}
	return nil
}

func (d data) preparedChart() (chart, error) {
	c := chart{title: "Prepared blocks: the worker", x: "streams", y: "CPU time (ns per packet)"}
	t := &row{Table: d["prepared"]}
	var err error
	for _, traffic := range distinct(t, "traffic") {
		err = errors.Join(err, c.add(traffic, t, "streams", plain, func(r *row) bool { return r.text("traffic") == traffic }))
	}
	return c, err
}

func (d data) liveChart() (chart, error) {
	c := chart{title: "Live traffic: the whole process", x: "streams", y: "CPU time (ns per packet)", logY: true}
	t := &row{Table: d["live"]}
	var err error
	for _, reader := range distinct(t, "reader") {
		err = errors.Join(err, c.add(readerNames[reader], t, "streams", plain, func(r *row) bool { return r.text("reader") == reader }))
	}
	return c, err
}

func (d data) scrapeChart() (chart, error) {
	c := chart{title: "A scrape over loopback", x: "streams", y: "time (ms)", logY: true}
	t := &row{Table: d["scrape"]}
	var err error
	for _, impl := range distinct(t, "implementation") {
		for _, coding := range distinct(t, "coding") {
			name := codingNames[coding]
			if impl != "direct" {
				name = impl + ", " + name
			}
			err = errors.Join(err, c.add(name, t, "streams", plain, func(r *row) bool { return r.text("implementation") == impl && r.text("coding") == coding }))
		}
	}
	return c, err
}

func (d data) memoryChart() (chart, error) {
	c := chart{title: "Resident memory, default flags", x: "connections, two streams each", y: "resident memory (MiB)"}
	t := &row{Table: d["memory"]}
	all := func(*row) bool { return true }
	return c, errors.Join(
		c.add("after three scrapes", t, "connections", [3]string{"after three scrapes", "after lowest", "after highest"}, all),
		c.add("before the first scrape", t, "connections", [3]string{"before the first scrape", "before lowest", "before highest"}, all),
		c.add("at the start", t, "connections", [3]string{"start", "start lowest", "start highest"}, all),
	)
}

// distinct returns the values of a column in the order in which they first come.
func distinct(t *row, name string) (values []string) {
	for at := range t.Rows {
		if v := t.Text(at, name); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// frame returns a plot with the chart's title and axes, and a note behind the title.
func (c *chart) frame(note string) *plot.Plot {
	p := plot.New()
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		*f = font.From(sans, f.Size)
	}
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title+note, c.x, c.y
	p.Title.Padding, p.X.Label.Padding, p.Y.Label.Padding = vg.Points(8), vg.Points(4), vg.Points(4)
	grid := plotter.NewGrid()
	pale := color.Gray{Y: 0xdd}
	grid.Vertical.Color, grid.Horizontal.Color = pale, pale
	p.Add(grid)
	return p
}

// plot lays out the chart, with a note behind its title.
func (c *chart) plot(note string) (*plot.Plot, error) {
	if len(c.places) > 0 {
		return c.plotPlaces(note)
	}
	p := c.frame(note)
	lowX, highX, lowY, highY := math.Inf(1), 0.0, math.Inf(1), 0.0
	for i, line := range c.curves {
		path, dots, err := plotter.NewLinePoints(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.name, err)
		}
		path.Color, path.Width = colors[i%len(colors)], vg.Points(1.5)
		dots.Color, dots.Shape, dots.Radius = path.Color, marks[i%len(marks)], vg.Points(3)
		ranges, err := plotter.NewYErrorBars(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line.name, err)
		}
		ranges.Color = path.Color
		p.Add(path, dots, ranges)
		p.Legend.Add(line.name, path, dots)
		for _, at := range line.points {
			lowX, highX, lowY, highY = min(lowX, at.x), max(highX, at.x), min(lowY, at.lowest), max(highY, at.highest)
		}
	}
	if lowX <= 0 || c.logY && lowY <= 0 {
		return nil, errors.New("want values above 0 on logarithmic axes")
	}
	if len(c.curves) == 0 {
		return nil, errors.New("nothing to draw")
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(2), vg.Points(6), vg.Points(-4)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, logTicks{}
	p.X.Min, p.X.Max = lowX/1.2, highX*1.2
	if c.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
		p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(lowY))), highY*math.Pow(highY/lowY, 0.5) // room for the legend
	} else {
		p.Y.Min, p.Y.Max = 0, highY*1.5
	}
	return p, nil
}

// svg draws the chart. The same chart gives the same bytes.
func (c *chart) svg(note string) ([]byte, error) {
	p, err := c.plot(note)
	if err != nil {
		return nil, err
	}
	canvas := vgsvg.New(plotWidth, plotHeight)
	const margin = 6
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	p.Draw(draw.Crop(whole, margin, -margin, margin, -margin))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// Few machines have the font whose widths were reckoned with; those of the others are nearly the same.
	return []byte(strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// logTicks marks powers of ten, with commas, and what lies between them without a label.
type logTicks struct{}

// Ticks returns the marks from low to high.
func (logTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high; power *= 10 {
		for i := range 9 {
			tick := plot.Tick{Value: power * float64(i+1)}
			if tick.Value < low || tick.Value > high {
				continue
			}
			if i == 0 {
				tick.Label = digits(power)
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// drawings returns the files of all plots by their paths below the root.
func (d data) drawings() (map[string][]byte, error) {
	note := ""
	if d["live"].Trial {
		note = " (trial run: the figures say nothing)"
	}
	files := map[string][]byte{}
	for _, one := range charts {
		c, err := one.of(d)
		if err != nil {
			return nil, fmt.Errorf("%s.tsv: %w", one.name, err)
		}
		if files[dataFolder+"/"+one.name+".svg"], err = c.svg(note); err != nil {
			return nil, fmt.Errorf("plot of %s.tsv: %w", one.name, err)
		}
	}
	return files, nil
}
