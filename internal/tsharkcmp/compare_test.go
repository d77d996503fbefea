package tsharkcmp

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// explained holds the differences that docs/tshark.md explains, by capture.
var explained = map[string][]string{
	"frag-http.pcap": { // nothing but the fragments of one segment, which open no connection
		"172.16.133.54:64415 > 216.137.33.81:80: direction: tshark 1 packets, exporter none",
	},
}

// mayDiffer is the number of directions that may differ in an RTT figure.
const mayDiffer = 2

// TestAgainstTshark holds the exporter's figures over every sample capture against the stored ones
// of tshark.
func TestAgainstTshark(t *testing.T) {
	var all Report
	for capture, tsv := range sampleFiles(t) {
		name := filepath.Base(capture)
		t.Run(name, func(t *testing.T) {
			tshark, err := ReadTSV(tsv)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := RunExporter(capture)
			if err != nil {
				t.Fatal(err)
			}
			r := Compare(tshark, ours)
			all.Add(r)
			var got []string
			for _, d := range r.Differences {
				got = append(got, d.String())
			}
			for _, d := range got {
				if !slices.Contains(explained[name], d) {
					t.Error(d)
				}
			}
			for _, d := range explained[name] {
				if !slices.Contains(got, d) {
					t.Errorf("no longer differs: %s", d)
				}
			}
			for _, d := range r.RTT {
				t.Log(d)
			}
		})
	}
	var table strings.Builder
	all.Print(&table, 20)
	t.Log("\n" + table.String())
	for _, s := range []struct {
		what string
		Share
	}{{"minimum", all.Min}, {"maximum", all.Max}, {"average", all.Avg}} {
		if s.Of == 0 || s.Of-s.Agree > mayDiffer {
			t.Errorf("RTT %s agrees in %v, %d may differ", s.what, s.Share, mayDiffer)
		}
	}
}

// TestCompareTells wants each kind of disagreement to be reported, and none where there is none.
func TestCompareTells(t *testing.T) {
	d := Direction{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")}
	base := Figures{
		Packets: 9, Bytes: 900, Retransmissions: 3, OutOfOrder: 2, Gaps: 1, DuplicateACKs: 4, ZeroWindows: 5, Resets: 1,
		Window: 1000, Connections: 1, RTT: Samples{N: 10, Avg: 0.020, Min: 0.010, Max: 0.030},
	}
	for _, c := range []struct {
		name   string
		change func(*Figures)
		want   string // of the differences
		rtt    string // of the RTT figures
	}{
		{"nothing", func(*Figures) {}, "[]", "[]"},
		{"packets", func(f *Figures) { f.Packets++ }, "[packets]", "[]"},
		{"bytes", func(f *Figures) { f.Bytes++ }, "[bytes]", "[]"},
		{"retransmissions", func(f *Figures) { f.Retransmissions-- }, "[retransmissions + out of order]", "[]"},
		{"out of order", func(f *Figures) { f.OutOfOrder-- }, "[retransmissions + out of order]", "[]"},
		{"one class for the other", func(f *Figures) { f.OutOfOrder--; f.Retransmissions++ }, "[]", "[]"},
		{"repeats beyond tshark's", func(f *Figures) { f.Retransmissions++ }, "[retransmissions + out of order]", "[]"},
		{"gaps", func(f *Figures) { f.Gaps-- }, "[gaps]", "[]"},
		{"duplicate ACKs", func(f *Figures) { f.DuplicateACKs-- }, "[duplicate ACKs]", "[]"},
		{"zero windows", func(f *Figures) { f.ZeroWindows-- }, "[zero windows]", "[]"},
		{"resets", func(f *Figures) { f.Resets-- }, "[resets]", "[]"},
		{"window", func(f *Figures) { f.Window-- }, "[window]", "[]"},
		{"RTT a little off", func(f *Figures) { f.RTT = Samples{N: 1, Avg: 0.0209, Min: 0.0096, Max: 0.0286} }, "[]", "[]"},
		{"RTT minimum", func(f *Figures) { f.RTT.Min *= 1.06 }, "[]", "[RTT minimum of 10]"},
		{"RTT maximum", func(f *Figures) { f.RTT.Max *= 0.94 }, "[]", "[RTT maximum of 10]"},
		{"RTT average", func(f *Figures) { f.RTT.Avg *= 1.06 }, "[]", "[RTT average of 10]"},
		{"RTT missing", func(f *Figures) { f.RTT = Samples{} }, "[]", "[RTT minimum of 10 RTT maximum of 10 RTT average of 10]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours := base
			c.change(&ours)
			r := Compare(Table{d: &base}, Table{d: &ours})
			if got := columnsOf(r.Differences); got != c.want {
				t.Errorf("differences %s, want %s", got, c.want)
			}
			if got := columnsOf(r.RTT); got != c.rtt {
				t.Errorf("RTT %s, want %s", got, c.rtt)
			}
			if r.Min.Of != 1 || r.Max.Of != 1 || r.Avg.Of != 1 {
				t.Errorf("shares of %d, %d, %d directions", r.Min.Of, r.Max.Of, r.Avg.Of)
			}
		})
	}
	for name, r := range map[string]*Report{
		"only tshark has it": Compare(Table{d: &base}, Table{}), "only the exporter has it": Compare(Table{}, Table{d: &base}),
	} {
		if got := columnsOf(r.Differences); got != "[direction]" {
			t.Errorf("%s: differences %s", name, got)
		}
	}
	back := base
	back.RTT.Min = -1e9
	if r := Compare(Table{d: &back}, Table{d: &base}); r.Min.Of+r.Max.Of+r.Avg.Of != 0 || len(r.RTT) != 0 {
		t.Error("samples of a clock that was set back were compared")
	}
	ahead := base
	ahead.RTT.Max = 1e9
	if r := Compare(Table{d: &ahead}, Table{d: &base}); r.Min.Of+r.Max.Of+r.Avg.Of != 0 || len(r.RTT) != 0 {
		t.Error("samples of a clock that was set forward were compared")
	}
	many := base
	many.RTT.N = recentSamples + 1
	if r := Compare(Table{d: &many}, Table{d: &base}); r.Avg.Of != 0 || r.Max.Of != 1 {
		t.Errorf("the average of more than %d samples was compared", recentSamples)
	}
	first, second, other := base, base, base
	other.Gaps++
	each := func(of ...Figures) *Figures {
		sum := Figures{}
		for i := range of {
			sum.merge(&of[i])
		}
		sum.Each = of
		return &sum
	}
	r := Compare(Table{d: each(first, other)}, Table{d: each(second, first)})
	if got := columnsOf(r.Differences); got != "[gaps of connection 2]" {
		t.Errorf("two connections on one four-tuple: %s", got)
	}
}

// TestCompareExplains wants a difference that a rule explains, by tshark's frames, to be just as large.
func TestCompareExplains(t *testing.T) {
	d := Direction{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")}
	tshark := Figures{Retransmissions: 10, DuplicateACKs: 10, MissedRepeats: 3, EarlyACKs: 2, MissedDuplicateACKs: 1}
	for _, c := range []struct {
		repeats, duplicateACKs uint64
		differ, explained      string
	}{
		{13, 11, "[]", "[retransmissions + out of order duplicate ACKs]"},
		{11, 11, "[]", "[retransmissions + out of order duplicate ACKs]"},
		{10, 11, "[retransmissions + out of order]", "[duplicate ACKs]"},
		{14, 11, "[retransmissions + out of order]", "[duplicate ACKs]"},
		{12, 10, "[duplicate ACKs]", "[retransmissions + out of order]"},
		{12, 12, "[duplicate ACKs]", "[retransmissions + out of order]"},
	} {
		ours := Figures{Retransmissions: c.repeats, DuplicateACKs: c.duplicateACKs}
		r := Compare(Table{d: &tshark}, Table{d: &ours})
		if differ, explained := columnsOf(r.Differences), columnsOf(r.Explained); differ != c.differ || explained != c.explained {
			t.Errorf("%d repeats, %d duplicate ACKs: differences %s, explained %s, want %s, %s",
				c.repeats, c.duplicateACKs, differ, explained, c.differ, c.explained)
		}
	}
}

func columnsOf(all []Difference) string {
	names := []string{}
	for _, d := range all {
		names = append(names, d.Column)
	}
	return fmt.Sprint(names)
}
