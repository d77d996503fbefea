package top

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// style is how a line of the screen stands out.
type style uint8

const (
	plain style = iota
	bold
	reverse
)

// textLine is one line of a frame, with neither control characters nor an end of line.
type textLine struct {
	text  string
	style style
	wraps bool // instead of being cut
}

// wrong returns a line that tells of something wrong.
func wrong(text string) textLine { return textLine{text, reverse, true} }

// clean returns s without what a terminal would obey or hide: names come from the network.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, s)
}

// Lines of a frame beside the rows.
const (
	linesAbove = 5
	linesBelow = 1
	minRows    = 1
	maxWrapped = 3 // of one message
)

// model is what the screen shows and what has been typed. It changes in one goroutine alone.
type model struct {
	name     string // of the exporter
	interval time.Duration
	question question
	paused   bool
	help     bool
	editing  bool   // a filter is being typed
	edit     string // so far
	wrong    string // what is wrong with it

	asked  bool // there has been an answer or an error
	last   answer
	at     time.Time // of the last answer with a table of this view; zero: none
	silent error     // why there is no answer; nil: there is one
}

func newModel(o *Options, name string) *model {
	return &model{name: name, interval: o.Interval, question: question{view: o.View, filter: o.Filter, sort: o.Sort}}
}

// take shows an answer. Where there is none, the one before stays, with the error beside it.
func (m *model) take(a answer) {
	m.asked = true
	if a.noTable == nil || errors.As(a.noTable, new(requestError)) || errors.Is(a.noTable, errAbsent) {
		m.last, m.at, m.silent = a, a.at, nil
		return
	}
	m.silent = a.noTable
	if a.status != nil { // answered, but for the table
		m.last.status = a.status
	}
	if m.last.question.view != a.question.view { // there is nothing of this view to stay
		m.last.streams, m.last.groups, m.last.question = nil, nil, a.question
	}
}

// resize sets how many rows the exporter is asked for.
func (m *model) resize(height int) {
	m.question.limit = min(max(height-linesAbove-linesBelow, minRows), MaxRows)
}

// frame returns the lines of a screen of a size, height of them.
func (m *model) frame(width, height int, now time.Time) []textLine {
	lines := m.above(now)
	if m.help {
		lines = append(lines[:3], helpLines()...)
	} else {
		lines = append(lines, m.table(width)...)
	}
	lines = wrapAll(lines, width)
	below := wrapAll([]textLine{m.keys()}, width)
	for len(lines) < height-len(below) {
		lines = append(lines, textLine{})
	}
	lines = append(lines[:max(height-len(below), 0)], below...)
	for i := range lines {
		lines[i].text = cutText(clean(lines[i].text), width)
	}
	return lines[max(len(lines)-height, 0):]
}

// wrapAll breaks the lines that tell of something wrong, whose remedy stands at their end, into maxWrapped at most. The
// table below makes room.
func wrapAll(lines []textLine, width int) (all []textLine) {
	for _, l := range lines {
		if !l.wraps {
			all = append(all, l)
			continue
		}
		rest := []rune(clean(l.text))
		for n := 1; len(rest) > width && width > 0 && n < maxWrapped; n++ {
			end := width
			for i := end; i > width/2; i-- {
				if rest[i] == ' ' {
					end = i
					break
				}
			}
			all = append(all, textLine{text: string(rest[:end]), style: l.style})
			rest = rest[end:]
			for len(rest) > 0 && rest[0] == ' ' {
				rest = rest[1:]
			}
		}
		all = append(all, textLine{text: string(rest), style: l.style})
	}
	return all
}

// above returns the lines above the table: what is shown, whether it can be trusted, the load, the selection.
func (m *model) above(now time.Time) []textLine {
	title := "top of " + m.name
	if s := m.last.status; s != nil {
		title += " on " + s.Interface + ", up " + age(&s.Uptime)
	}
	title += now.Format(", 15:04:05")
	if m.paused {
		title += ", PAUSED"
	} else if m.interval > 0 {
		title += fmt.Sprintf(", every %v", m.interval)
	}
	return []textLine{{text: title}, m.trust(), {text: m.load()}, m.selection()}
}

// trust says whether the capture is complete, or why that is not known.
func (m *model) trust() textLine {
	s := m.last.status
	switch {
	case !m.asked:
		return textLine{text: "asking " + m.name}
	case m.silent != nil:
		text := m.silent.Error() + "; trying again"
		if !m.at.IsZero() {
			text += m.at.Format("; figures of 15:04:05")
		}
		return wrong(text)
	case s == nil:
		return textLine{text: "not known whether the capture is complete: the exporter has no /api/v1/status", style: bold, wraps: true}
	}
	text := strings.ToUpper(s.Capture.State) + ": " + s.Capture.Summary
	if n := len(s.Capture.Reasons); n > 1 {
		text = fmt.Sprintf("%s: %d reasons: %s", strings.ToUpper(s.Capture.State), n, s.Capture.Summary)
	}
	if s.Capture.State == "complete" {
		return textLine{text: text, style: bold, wraps: true}
	}
	return wrong(text)
}

// load says how much the capture has to do.
func (m *model) load() string {
	s := m.last.status
	if s == nil {
		return ""
	}
	t := &s.Totals
	return fmt.Sprintf("%s packets/s  %s bit/s  dropped %s/s, %s in all  table %s of %s",
		shortOf(t.PacketRate), shortOf(t.BitRate), shortOf(t.DropRate), short(t.Dropped), percent(&t.Connections, &t.Capacity), short(t.Capacity))
}

// selection says which rows the table shows, or why it shows none.
func (m *model) selection() textLine {
	q := &m.last.question
	if m.editing {
		return textLine{text: "filter: " + m.edit + "_", style: bold}
	}
	if m.last.noTable != nil {
		return wrong(m.last.noTable.Error())
	}
	var text, note, filter string
	if f := q.filter.shown(q.view); f != "" {
		filter = "; filter: " + f
	}
	switch {
	case q.view == ofStreams && m.last.streams != nil:
		t := m.last.streams
		text = fmt.Sprintf("%s of %s streams, %s in the table, by %s", short(float64(len(t.Rows))), short(t.Matched), short(t.InTable), q.sort.in(ofStreams))
		if !t.IPv6 && t.IPv6Skipped > 0 {
			note = "; IPv6 left out: " + short(t.IPv6Skipped) + " packets"
		}
	case q.view == ofGroups && m.last.groups != nil:
		t := m.last.groups
		text = fmt.Sprintf("%s of %s groups, by %s", short(t.Matched), short(t.InTable), q.sort.in(ofGroups))
		if t.Overflow > 0 {
			note = "; no room, counted as other: " + short(t.Overflow) + " connections"
		}
	default:
		return textLine{}
	}
	return textLine{text: text + filter + note}
}

// table returns the table with its titles.
func (m *model) table(width int) []textLine {
	var columns []column
	rows := 0
	switch {
	case m.last.question.view == ofStreams && m.last.streams != nil:
		rows, columns = len(m.last.streams.Rows), streamColumns(m.last.streams.Rows, m.last.question.sort)
	case m.last.question.view == ofGroups && m.last.groups != nil:
		rows, columns = len(m.last.groups.Rows), groupColumns(m.last.groups.Rows)
	default:
		return nil
	}
	columns = layout(columns, width)
	title := rowText(columns, -1)
	if width < unlimited {
		title += strings.Repeat(" ", max(width-len(title), 0)) // a bar across the screen
	}
	lines := []textLine{{text: title, style: reverse}}
	for i := range rows {
		lines = append(lines, textLine{text: rowText(columns, i)})
	}
	return lines
}

// keys returns the last line.
func (m *model) keys() textLine {
	switch {
	case m.editing && m.wrong != "":
		return wrong(m.wrong)
	case m.editing:
		return textLine{text: "192.0.2.0/24  443  active  group=lan; none: all.  Enter applies, Esc leaves it"}
	case m.help:
		return textLine{text: "any key: back  q quit"}
	case m.question.view == ofGroups:
		return textLine{text: "sort: b p r d h  / filter  g streams  space pause  ? help  q quit"}
	}
	return textLine{text: "sort: b t p r d h  / filter  g groups  space pause  ? help  q quit"}
}

// helpLines explains keys and columns.
func helpLines() []textLine {
	var lines []textLine
	for text := range strings.SplitSeq(strings.TrimSuffix(help, "\n"), "\n") {
		lines = append(lines, textLine{text: text})
	}
	return lines
}

const help = `
sort by   b bytes       t rate (bit/s)    p packets
          r retransmits d delay           h health, worst first; groups: failed
/         filter: an address or a prefix, a port, active or finalized, or the
          API's NAME=VALUE: addr src dst port group service interface vlan state
          min_bytes; of groups client_group server_group group service interface
g, Tab    streams or groups         space  pause
q, Ctrl-C quit                      Ctrl-L draw anew

BYTES     payload, since the stream began    PKTS   packets
BIT/S     in the last second                 RETR   retransmitted packets
DELAY     mean round-trip time               JITTER its variation
HLTH      0 to 100, the best                 S      a active, f finalized
-         not known: no sample, or one direction is not seen

of groups: CONNS established now, FAILED and OPENED since the start,
RTT-C RTT-S median round-trip time on the client's and the server's side
`
