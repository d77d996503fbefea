package offline

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/stream"
)

// tableRows is how many streams the table shows unless told otherwise: a screen.
const tableRows = 20

// column is one of the table.
type column struct {
	heading string
	number  bool
}

// tableColumns are the headings of the table. Columns of numbers are aligned to the right. With IPv4 addresses a line
// has 104 characters at most, up to 9,999,999 packets of a stream.
var tableColumns = []column{
	{"SOURCE", false}, {"DESTINATION", false}, {"STATE", false},
	{"BYTES", true}, {"PACKETS", true}, {"RETRANS", true}, {"DELAY", true}, {"UPTIME", true},
}

// columnsOf returns the headings of a table that is sorted by key: a figure that it is sorted by is shown.
func columnsOf(key exposition.Order) []column {
	if key != exposition.ByHealth {
		return tableColumns
	}
	return slices.Insert(slices.Clone(tableColumns), len(tableColumns)-1, column{"HEALTH", true})
}

// writeTable writes the first rows of the streams, sorted by key, and how many more there are.
func writeTable(w io.Writer, s *exposition.Streams, key exposition.Order, rows int) error {
	columns := columnsOf(key)
	order := sorted(s, key)
	more := len(order) - min(rows, len(order))
	cells := [][]string{make([]string, len(columns))}
	for i, c := range columns {
		cells[0][i] = c.heading
	}
	for _, i := range order[:len(order)-more] {
		cells = append(cells, tableRow(s, i, key))
	}
	widths := make([]int, len(columns))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range cells {
		var line strings.Builder
		for i, cell := range row {
			width := -widths[i]
			if columns[i].number {
				width = widths[i]
			}
			fmt.Fprintf(&line, "%*s  ", width, cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	if more > 0 {
		_, err := fmt.Fprintf(w, "%d more: -streams-top %d shows all\n", more, len(order))
		return err
	}
	return nil
}

// sorted returns the indexes of the streams in the order of the table. Equal ones follow by their bytes, then by
// addresses and ports.
func sorted(s *exposition.Streams, key exposition.Order) []int {
	order := make([]int, len(s.Views))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &s.Views[i], &s.Views[j]
		if c := cmp.Or(cmp.Compare(key.Score(b), key.Score(a)), cmp.Compare(b.Bytes, a.Bytes)); c != 0 {
			return c
		}
		aSrc, aDst := ends(s, a)
		bSrc, bDst := ends(s, b)
		return cmp.Or(aSrc.Compare(bSrc), aDst.Compare(bDst))
	})
	return order
}

// ends returns the addresses and ports of a stream.
func ends(s *exposition.Streams, v *stream.View) (src, dst netip.AddrPort) {
	e := v.Ends(s.Wide)
	return netip.AddrPortFrom(e.Src.Netip(), v.SrcPort), netip.AddrPortFrom(e.Dst.Netip(), v.DstPort)
}

// tableRow returns the cells of stream i.
func tableRow(s *exposition.Streams, i int, key exposition.Order) []string {
	v := &s.Views[i]
	src, dst := ends(s, v)
	state, delay := "active", "-"
	if v.Finalized {
		state = "finalized"
	}
	if v.Has&stream.HasDelay != 0 {
		delay = millis(float64(v.AvgDelay))
	}
	cells := []string{src.String(), dst.String(), state, byteSize(v.Bytes),
		strconv.FormatUint(v.Packets, 10), strconv.FormatUint(uint64(v.Retransmits), 10), delay, span(v.Uptime)}
	if key == exposition.ByHealth {
		health := "-"
		if v.Has&stream.HasReverse != 0 {
			health = strconv.Itoa(int(v.Health))
		}
		cells = slices.Insert(cells, len(cells)-1, health)
	}
	return cells
}

// digits returns x, 0 or more, with three digits, or all those in front of the point.
func digits(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.9995:
		return strconv.FormatFloat(x, 'f', 3, 64)
	case x < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 99.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

// byteSize returns a number of bytes in a unit of IEC 80000-13.
func byteSize(n uint64) string {
	if n < 1<<10 {
		return strconv.FormatUint(n, 10) + " B"
	}
	x := float64(n)
	for _, unit := range []string{" KiB", " MiB", " GiB", " TiB"} {
		if x /= 1 << 10; x < 1<<10 {
			return digits(x) + unit
		}
	}
	return digits(x/(1<<10)) + " PiB"
}

// millis returns a time in s as ms, 0.01 ms and above to three digits.
func millis(seconds float64) string { return digits(seconds*1e3) + " ms" }

// span returns a time in s in the unit that suits it.
func span(seconds float64) string {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	n := int64(seconds)
	switch {
	case seconds < 1:
		return millis(seconds)
	case seconds < minute:
		return digits(seconds) + " s"
	case seconds < hour:
		return time.Duration(n * int64(time.Second)).String()
	case seconds < day:
		return fmt.Sprintf("%dh%02dm", n/hour, n%hour/minute)
	}
	return fmt.Sprintf("%dd%02dh", n/day, n%day/hour)
}
