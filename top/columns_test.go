package top

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// No line is wider than the screen, whatever its size, and a screen has all of its lines.
func TestFramesFit(t *testing.T) {
	for v, name := range map[view]string{ofStreams: "streams.json", ofGroups: "groups.json"} {
		m := newModel(&Options{View: v}, "http://router:9100")
		a := answer{question: m.question, streams: &streams{}, groups: &groups{}}
		var into any = a.streams
		if v == ofGroups {
			into = a.groups
		}
		if err := json.Unmarshal([]byte(readFile(t, name)), into); err != nil {
			t.Fatal(err)
		}
		m.take(a)
		for width := range 250 {
			for _, height := range []int{1, 2, 3, 7, 24} {
				lines := m.frame(width, height, time.Unix(0, 0))
				if len(lines) != height {
					t.Fatalf("%d lines of %d", len(lines), height)
				}
				for _, l := range lines {
					if utf8.RuneCountInString(l.text) > width {
						t.Fatalf("%d x %d: %q", width, height, l.text)
					}
				}
			}
		}
	}
}

// Columns have one space between them at 80, and nothing sticks out of its column.
func TestColumnsHold(t *testing.T) {
	huge := 9.2e18
	rows := []stream{{Bytes: &huge, Packets: &huge, Retransmits: &huge, Bitrate: &huge, Delay: &huge, Age: &huge, State: "active"}, {}}
	for _, by := range []order{byBytes, byRate} {
		columns := layout(streamColumns(rows, by), 120)
		for _, c := range columns {
			for _, cell := range c.cells {
				if c.right && utf8.RuneCountInString(cell) > c.width {
					t.Errorf("%s: %q is wider than %d", c.title, cell, c.width)
				}
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 7: "7", 999: "999", 999.5: "1.00k", 1000: "1.00k", 12345: "12.3k", 99949: "99.9k", 99950: "100k", 999499: "999k", 999500: "1.00M", 1.5e18: "1.50E",
		0.5: "0.50", 12.34: "12.3", 999.4: "999", math.NaN(): none, math.Inf(1): none, -1: none,
	} {
		if got := short(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0", 12.5e-6: "12.5us", 0.000999: "999us", 0.0009996: "1.00ms", 0.0123: "12.3ms", 0.9996: "1.00s", 12: "12s"} {
		if got := duration(&x); got != want {
			t.Errorf("%v s: %s, want %s", x, got, want)
		}
	}
	for x, want := range map[float64]string{0: "0s", 119: "119s", 120: "2m", 7199: "119m", 7200: "2h", 172800: "2d", -1: none, 1e300: none} {
		if got := age(&x); got != want {
			t.Errorf("%v s: %s, want %s", x, got, want)
		}
	}
	if duration(nil) != none || age(nil) != none || shortOf(nil) != none || health(nil) != none {
		t.Error("what is not known is shown")
	}
	one, three, zero := 1.0, 3.0, 0.0
	if got := percent(&one, &three) + percent(&zero, &three) + percent(&three, &three) + percent(&one, &zero) + percent(nil, &one); got != "33.3%0%100%--" {
		t.Error(got)
	}
}

func TestCutEnd(t *testing.T) {
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{
		{"[2001:db8:1234:5678::1]:443", 27, "[2001:db8:1234:5678::1]:443"},
		{"[2001:db8:1234:5678::1]:443", 20, "[2001:db8:1~::1]:443"},
		{"[2001:db8:1234:5678::1]:443", 5, "[200~"},
	} {
		if got := cutEnd(c.s, c.width); got != c.want {
			t.Errorf("%s at %d: %s, want %s", c.s, c.width, got, c.want)
		}
	}
}

func TestSortGroups(t *testing.T) {
	for by, want := range map[order]string{byBytes: "a b c", byRate: "a b c", byPackets: "c b a", byRetransmits: "b a c", byDelay: "b c a", byHealth: "c a b"} {
		rows := []group{{Client: "a"}, {Client: "b"}, {Client: "c"}} // as they come
		rows[1].Packets.FromClient, rows[2].Packets.FromServer = 1, 2
		rows[1].Retransmits.FromClient = 1
		rows[1].RTT.Server, rows[2].RTT.Client = &distribution{}, &distribution{}
		rows[1].RTT.Server.Quantiles.Median = 0.1
		rows[2].Failed.Refused = 1
		sortGroups(rows, by)
		if got := strings.Join(cellsOf(rows, func(g *group) string { return g.Client }), " "); got != want {
			t.Errorf("by %s: %s, want %s", by.in(ofGroups), got, want)
		}
	}
}

func TestKeysOf(t *testing.T) {
	for b, want := range map[string]string{
		"q": "q", "\x1b": "\x1b", "\x1b[A": "", "\x1b[1;5Cx": "x", "\x1bOPq": "q", "\x1bO": "", "\x1b[": "", "a\nb\b": "a\rb\x7f", "\x1b\x1b": "", "ü/": "ü/", "\x1bx": "",
	} {
		if got := string(keysOf([]byte(b))); got != want {
			t.Errorf("%q: %q, want %q", b, got, want)
		}
	}
}
