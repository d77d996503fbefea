package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// view is what the table shows.
type view uint8

const (
	ofStreams view = iota
	ofGroups
)

func (v view) String() string { return [...]string{"streams", "groups"}[v] }

// order is by what rows are ranked.
type order uint8

const (
	byBytes order = iota
	byRate
	byPackets
	byRetransmits
	byDelay
	byHealth
	numOrders
)

// name returns the value of the API's parameter sort.
func (o order) name() string {
	return [...]string{"bytes", "bitrate", "packets", "retransmits", "delay", "health"}[o]
}

// in returns what rows of a view are ranked by: groups have no bitrate, and in the place of health they have failed
// connections.
func (o order) in(v view) string {
	if v == ofGroups && o == byHealth {
		return "failed"
	}
	if v == ofGroups && o == byRate {
		return "bytes"
	}
	return o.name()
}

// sortGroups ranks rows, which come by their bytes.
func sortGroups(rows []group, by order) {
	var figure func(g *group) float64
	switch by {
	case byPackets:
		figure = func(g *group) float64 { return g.Packets.sum() }
	case byRetransmits:
		figure = func(g *group) float64 { return g.Retransmits.sum() }
	case byDelay:
		figure = func(g *group) float64 {
			worst := -1.0 // without a sample last
			for _, leg := range []*distribution{g.RTT.Client, g.RTT.Server} {
				if m := leg.median(); m != nil {
					worst = max(worst, *m)
				}
			}
			return worst
		}
	case byHealth:
		figure = func(g *group) float64 { return g.failed() }
	default:
		return
	}
	slices.SortStableFunc(rows, func(a, b group) int { return cmp.Compare(figure(&b), figure(&a)) })
}

// column is one column of a table.
type column struct {
	title string
	width int  // characters at least
	most  int  // characters at most; 0: width. What rows need between them is given while there is space
	right bool // numbers stand to the right
	extra bool // shown only where there is space for it
	cells []string
	cut   func(s string, width int) string // nil: cutText
}

// need returns how wide the column has to be for all of its cells, at most c.most.
func (c *column) need() int {
	n := c.width
	for _, s := range c.cells {
		n = max(n, utf8.RuneCountInString(s))
	}
	return min(n, max(c.width, c.most))
}

// layout gives the columns their widths within a line's, and leaves out those that do not fit. First what there is always
// grows to what it needs, then extra columns come in, in their order.
func layout(all []column, width int) []column {
	space := width + 1 // each column has a space before it, but for the first
	for i := range all {
		if !all[i].extra {
			space -= all[i].width + 1
		}
	}
	// One character each in turn, so that both ends are cut alike.
	for grown := true; grown && space > 0; {
		grown = false
		for i := range all {
			if c := &all[i]; !c.extra && space > 0 && c.width < c.need() {
				c.width++
				space--
				grown = true
			}
		}
	}
	return slices.DeleteFunc(all, func(c column) bool {
		if !c.extra {
			return false
		}
		if need := c.need() + 1; need <= space {
			space -= need
			return false
		}
		return true
	})
}

// rowText returns one line of a table: of the titles (row -1) or of a row.
func rowText(columns []column, row int) string {
	var b strings.Builder
	for i := range columns {
		c := &columns[i]
		text, width := c.title, c.width
		if c.extra {
			width = c.need()
		}
		if row >= 0 {
			text = c.cells[row]
		}
		if c.cut != nil && row >= 0 {
			text = c.cut(text, width)
		} else {
			text = cutText(text, width)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fill := strings.Repeat(" ", width-utf8.RuneCountInString(text))
		if c.right {
			b.WriteString(fill + text)
		} else {
			b.WriteString(text + fill)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// cutText returns the beginning of s, with ~ for what is left out.
func cutText(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "~"
}

// cutEnd cuts an address and a port in the middle: a prefix and the port say most.
func cutEnd(s string, width int) string {
	if len(s) <= width {
		return s
	}
	keep := len(s) - strings.LastIndexByte(s, ':') + 4 // the port, and the last characters of the address
	if front := width - 1 - keep; front > 0 {
		return s[:front] + "~" + s[len(s)-keep:]
	}
	return cutText(s, width)
}

// endText returns one end of a stream.
func endText(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// cellsOf returns the cells of a column.
func cellsOf[T any](rows []T, cell func(*T) string) []string {
	cells := make([]string, len(rows))
	for i := range rows {
		cells[i] = cell(&rows[i])
	}
	return cells
}

// maxName bounds the width of a name.
const maxName = 30

// streamColumns returns the table of streams. At 80 characters, IPv4 addresses are whole.
func streamColumns(rows []stream, by order) []column {
	number := func(title string, cell func(*stream) string) column {
		return column{title: title, width: 6, right: true, cells: cellsOf(rows, cell)}
	}
	more := func(c column) column { c.extra = true; return c }
	rate := number("BIT/S", func(s *stream) string { return shortOf(s.Bitrate) })
	packets := number("PKTS", func(s *stream) string { return shortOf(s.Packets) })
	if by == byRate { // what rows are ranked by is always there
		packets = more(packets)
	} else {
		rate = more(rate)
	}
	columns := []column{
		{title: "FROM", width: 15, most: 47, cells: cellsOf(rows, func(s *stream) string { return endText(s.Src, s.SrcPort) }), cut: cutEnd},
		{title: "TO", width: 15, most: 47, cells: cellsOf(rows, func(s *stream) string { return endText(s.Dst, s.DstPort) }), cut: cutEnd},
		number("BYTES", func(s *stream) string { return shortOf(s.Bytes) }),
		rate,
		packets,
		number("RETR", func(s *stream) string { return shortOf(s.Retransmits) }),
		number("DELAY", func(s *stream) string { return duration(s.Delay) }),
		{title: "HLTH", width: 4, right: true, cells: cellsOf(rows, func(s *stream) string { return health(s.Health) })},
		{title: "S", width: 1, cells: cellsOf(rows, func(s *stream) string { return letter(s.State) })},
		more(number("RETR%", func(s *stream) string { return percent(s.Retransmits, s.Packets) })),
		more(number("JITTER", func(s *stream) string { return duration(s.Jitter) })),
		more(column{title: "AGE", width: 4, right: true, cells: cellsOf(rows, func(s *stream) string { return age(s.Age) })}),
	}
	any := func(has func(s *stream) bool) bool {
		return slices.ContainsFunc(rows, func(s stream) bool { return has(&s) })
	}
	name := func(title string, cell func(*stream) string) {
		columns = append(columns, column{title: title, width: len(title), most: maxName, extra: true,
			cells: cellsOf(rows, func(s *stream) string { return clean(cell(s)) })})
	}
	if any(func(s *stream) bool { return s.SrcGroup+s.DstGroup != "" }) {
		name("GROUPS", func(s *stream) string { return s.SrcGroup + ">" + s.DstGroup })
	}
	if any(func(s *stream) bool { return s.Service != "" }) {
		name("SERVICE", func(s *stream) string { return s.Service })
	}
	if any(func(s *stream) bool { return s.Interface != "" }) {
		name("IFACE", func(s *stream) string { return s.Interface })
	}
	if any(func(s *stream) bool { return s.VLAN != "" }) {
		name("VLAN", func(s *stream) string { return s.VLAN })
	}
	return columns
}

// health returns a score of 0 to 100, the worst to the best.
func health(x *float64) string {
	if x == nil {
		return none
	}
	return short(float64(int(*x + 0.5)))
}

// letter returns the first letter of a state.
func letter(s string) string {
	for _, r := range clean(s) {
		return string(r)
	}
	return none
}

// groupColumns returns the table of groups.
func groupColumns(rows []group) []column {
	number := func(title string, cell func(*group) string) column {
		return column{title: title, width: 6, right: true, cells: cellsOf(rows, cell)}
	}
	more := func(c column) column { c.extra = true; return c }
	columns := []column{
		{title: "CLIENT", width: 8, most: maxName, cells: cellsOf(rows, func(g *group) string { return clean(g.Client) })},
		{title: "SERVER", width: 8, most: maxName, cells: cellsOf(rows, func(g *group) string { return clean(g.Server) })},
		{title: "SERVICE", width: 7, cells: cellsOf(rows, func(g *group) string { return clean(g.Service) })},
		number("BYTES", func(g *group) string { return short(g.Bytes.sum()) }),
		number("PKTS", func(g *group) string { return short(g.Packets.sum()) }),
		number("RETR", func(g *group) string { return short(g.Retransmits.sum()) }),
		number("CONNS", func(g *group) string { return short(g.Connections.Established) }),
		number("FAILED", func(g *group) string { return short(g.failed()) }),
		number("RTT-C", func(g *group) string { return duration(g.RTT.Client.median()) }),
		number("RTT-S", func(g *group) string { return duration(g.RTT.Server.median()) }),
		more(number("OPENED", func(g *group) string { return short(g.Opened) })),
		more(number("UP", func(g *group) string { return short(g.Bytes.FromClient) })),
		more(number("DOWN", func(g *group) string { return short(g.Bytes.FromServer) })),
	}
	if slices.ContainsFunc(rows, func(g group) bool { return g.Interface != "" }) {
		columns = append(columns, column{title: "IFACE", width: 5, most: maxName, extra: true,
			cells: cellsOf(rows, func(g *group) string { return clean(g.Interface) })})
	}
	return columns
}
