package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tcp-stream-exporter/bench/internal/perfdata"
)

// What lies between these two lines in the document is generated; NAME is one of blocks.
const (
	blockBegin = "<!-- perf: NAME: written by make plots -->\n"
	blockEnd   = "<!-- end -->\n"
)

// blocks are the generated parts of the document. A block's text begins and ends with a line that is not
// empty.
var blocks = []struct {
	name string
	text func(data) (string, error)
}{
	{"summary", data.summary}, {"machine", data.machine}, {"prepared", data.prepared}, {"live", data.live}, {"live-ratios", data.ratios},
	{"live-exporter", data.exporter}, {"scrape", data.scrape}, {"memory", data.memory},
	{"router", data.router}, {"router-kernel", data.routerKernel},
}

// fill returns the document with its generated parts written anew. Each has to be there once.
func (d data) fill(page string) (string, error) {
	for _, b := range blocks {
		begin := strings.Replace(blockBegin, "NAME", b.name, 1)
		before, rest, found := strings.Cut(page, begin)
		_, after, ended := strings.Cut(rest, blockEnd)
		if !found || !ended || strings.Contains(rest, begin) {
			return "", fmt.Errorf("want the lines %q and %q once each", strings.TrimSpace(begin), strings.TrimSpace(blockEnd))
		}
		text, err := b.text(d)
		if err != nil {
			return "", fmt.Errorf("%s.tsv: %w", b.name, err)
		}
		page = before + begin + "\n" + text + "\n" + blockEnd + after
	}
	return page, nil
}

// row reads the figures of one row; the first error of all is kept.
type row struct {
	*perfdata.Table
	at  int
	err error
}

func (r *row) text(name string) string { return r.Text(r.at, name) }

func (r *row) number(name string) float64 {
	v, err := r.Number(r.at, name)
	r.err = errors.Join(r.err, err)
	return v
}

// spread is a median with its range, or alone if there was one run.
func (r *row) spread(median, lowest, highest string) string {
	m, low, high := r.number(median), r.number(lowest), r.number(highest)
	if r.number("runs") < 2 {
		return digits(m)
	}
	return fmt.Sprintf("%s (%s to %s)", digits(m), digits(low), digits(high))
}

// rows calls line with each row of a table and returns the table in Markdown under head.
func rows(t *perfdata.Table, head string, line func(r *row) string) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for at := range t.Rows {
		r := &row{Table: t, at: at}
		b.WriteString(line(r))
		if r.err != nil {
			return "", r.err
		}
	}
	return b.String(), nil
}

// find returns the first row whose columns have these values, given in pairs.
func find(t *perfdata.Table, pairs ...string) *row {
next:
	for at := range t.Rows {
		for i := 0; i < len(pairs); i += 2 {
			if t.Text(at, pairs[i]) != pairs[i+1] {
				continue next
			}
		}
		return &row{Table: t, at: at}
	}
	return nil
}

// digits writes a number with three digits that count, and commas; v is not negative.
func digits(v float64) string {
	if v < 1000 && v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	places := max(0, 2-int(math.Floor(math.Log10(v))))
	if v >= 1000 {
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		v = math.Round(v/unit) * unit
	}
	return commas(strconv.FormatFloat(v, 'f', places, 64))
}

// commas sets off thousands.
func commas(number string) string {
	whole, rest, found := strings.Cut(number, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		return whole + "." + rest
	}
	return whole
}

// size writes a number of bytes with its unit.
func size(v float64) string {
	for _, unit := range []struct {
		name string
		size float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if v >= unit.size {
			return digits(v/unit.size) + " " + unit.name
		}
	}
	return digits(v) + " B"
}

// readerNames are the readers as the document calls them.
var readerNames = map[string]string{"exporter": "exporter", "walk": "bare ring walk", "cwalk": "bare ring walk in C", "cheaper walk": "the cheaper bare walk", "gopacket": "gopacket"}

// summary is the result in some sentences: of the fewest and of the most streams of live traffic.
func (d data) summary() (string, error) {
	live, ratios := d["live"], d["live-ratios"]
	few, many := live.Text(0, "streams"), live.Text(len(live.Rows)-1, "streams")
	var found []*row
	pick := func(t *perfdata.Table, pairs ...string) *row {
		r := find(t, pairs...)
		if r == nil {
			r = &row{Table: t, err: fmt.Errorf("no row with %q", pairs)}
		}
		found = append(found, r)
		return r
	}
	sentence := func(streams string) string {
		return fmt.Sprintf("%s ns of CPU time with %s streams, %s times what a bare walk over the ring takes",
			digits(pick(live, "streams", streams, "reader", "exporter").number("median")), commas(streams),
			digits(pick(ratios, "streams", streams, "above", "exporter").number("median")))
	}
	text := fmt.Sprintf("On live traffic a packet costs %s;\n%s.\n", sentence(few), sentence(many))
	text += fmt.Sprintf("gopacket took %s and %s times what the exporter did beside it.\n",
		digits(pick(ratios, "streams", few, "above", "gopacket").number("median")), digits(pick(ratios, "streams", many, "above", "gopacket").number("median")))
	text += fmt.Sprintf("Accounting alone, over prepared blocks, takes %s and %s ns.\n",
		digits(pick(d["prepared"], "streams", few).number("median")), digits(pick(d["prepared"], "streams", many).number("median")))
	last := &row{Table: d["memory"], at: len(d["memory"].Rows) - 1}
	text += fmt.Sprintf("With %s connections the exporter holds %s MiB.\n", commas(last.text("connections")), digits(last.number("after three scrapes")))
	err := last.err
	for _, r := range found {
		err = errors.Join(err, r.err)
	}
	return text, err
}

// machine says what all tables are of.
func (d data) machine() (string, error) {
	o := d["live"].Origin
	build, date, _ := strings.Cut(o.Build, ", ")
	text := ""
	if o.Trial {
		text = "**These figures are of a trial run in small sizes, beside others' work on the machine. They say nothing, and are to be\nreplaced by `make perf`.**\n\n"
	}
	text += fmt.Sprintf("| | |\n|---|---|\n| build | `%s` |\n| measured | %s |\n", build, date)
	names := []string{"processor", "CPUs", "memory", "kernel", "compiler", "huge pages"}
	for i, property := range strings.Split(o.Machine, "; ") {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		text += fmt.Sprintf("| %s | %s |\n", name, property)
	}
	return text, nil
}

func (d data) prepared() (string, error) {
	return rows(d["prepared"], "| streams | traffic | ns per packet | runs |\n|---:|---|---:|---:|\n", func(r *row) string {
		return fmt.Sprintf("| %s | %s | %s | %s |\n", commas(r.text("streams")), r.text("traffic"), r.spread("median", "lowest", "highest"), r.text("runs"))
	})
}

func (d data) live() (string, error) {
	head := "| streams | reader | packets/s offered | ns of CPU per packet | dropped | packets/s without drops | resident | without the ring | runs |\n" +
		"|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
	return rows(d["live"], head, func(r *row) string {
		dropped, clean := "0", "all"
		if share := r.number("dropped"); share > 0 {
			dropped = digits(share) + " %"
		}
		if r.number("that is all that was offered") == 0 {
			if clean = digits(r.number("highest rate without drops")); clean == "0" {
				clean = "none of those tried"
			}
		}
		return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s MiB | %s MiB | %s |\n", commas(r.text("streams")), readerNames[r.text("reader")], digits(r.number("offered")),
			r.spread("median", "lowest", "highest"), dropped, clean, digits(r.number("resident")), digits(r.number("resident without the ring")), r.text("runs"))
	})
}

func (d data) ratios() (string, error) {
	return rows(d["live-ratios"], "| streams | CPU time per packet | ratio of runs side by side |\n|---:|---|---:|\n", func(r *row) string {
		return fmt.Sprintf("| %s | %s / %s | %s |\n", commas(r.text("streams")), readerNames[r.text("above")], readerNames[r.text("below")], r.spread("median", "lowest", "highest"))
	})
}

func (d data) exporter() (string, error) {
	return rows(d["live-exporter"], "| the exporter alone | streams | |\n|---|---:|---:|\n", func(r *row) string {
		figure, unit, _ := strings.Cut(strings.TrimSuffix(r.text("figure"), ")"), " (")
		streams := "no traffic"
		if s := r.text("streams"); s != "0" {
			streams = commas(s)
		}
		return fmt.Sprintf("| %s | %s | %s %s |\n", figure, streams, r.spread("median", "lowest", "highest"), unit)
	})
}

// codingNames are the compressions as the document calls them.
var codingNames = map[string]string{"identity": "plain", "gzip": "gzip", "zstd": "zstd"}

func (d data) scrape() (string, error) {
	t := d["scrape"]
	head := "| streams | | ours, ms | bytes | allocated | client_golang, ms | bytes | allocated | runs |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
	cells := func(r *row) string {
		return fmt.Sprintf("%s | %s | %s, %s objects", r.spread("median", "lowest", "highest"), size(r.number("size")), size(r.number("allocated")), digits(r.number("allocated objects")))
	}
	return rows(t, head, func(r *row) string {
		if r.text("implementation") != "direct" {
			return "" // stands in the row of ours
		}
		theirs := find(t, "streams", r.text("streams"), "implementation", "client_golang", "coding", r.text("coding"))
		other, runs := " | | ", r.text("runs")
		if theirs != nil {
			other, runs = cells(theirs), runs+", "+theirs.text("runs")
			r.err = errors.Join(r.err, theirs.err)
		}
		return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", commas(r.text("streams")), codingNames[r.text("coding")], cells(r), other, runs)
	})
}

func (d data) memory() (string, error) {
	head := "| connections | streams | at the start, MiB | before the first scrape, MiB | after three scrapes in a row, MiB | exposition | runs |\n|---:|---:|---:|---:|---:|---:|---:|\n"
	return rows(d["memory"], head, func(r *row) string {
		return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", commas(r.text("connections")), commas(r.text("streams")),
			r.spread("start", "start lowest", "start highest"), r.spread("before the first scrape", "before lowest", "before highest"),
			r.spread("after three scrapes", "after lowest", "after highest"), size(r.number("exposition")), r.text("runs"))
	})
}
