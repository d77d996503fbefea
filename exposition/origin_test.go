package exposition

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

var originNames = map[uint32]string{1: "lo", 2: "eth0", 3: "a\"b\\c\nd", 4: "\xff", 5: "größe"}

func originName(index uint32) string { return originNames[index] }

// originsOf returns streams between the same ends, one of each origin.
func originsOf(src, dst string, origins []stream.Origin) Streams {
	s := Streams{InterfaceName: originName}
	for i, o := range origins {
		v := stream.View{SrcPort: 40000, DstPort: 443, Packets: uint64(i), Bytes: 100, Finalized: i%2 == 1}
		s.Wide = v.SetEnds(stream.Ends{Src: expositiontest.Addr(src), Dst: expositiontest.Addr(dst), Origin: o}, s.Wide)
		s.Views = append(s.Views, v)
	}
	return s
}

func TestLabelsOfAnOrigin(t *testing.T) {
	ten, both := parse.VLANs(0).Push(10), parse.VLANs(0).Push(10).Push(20)
	const v4, v6 = "192.0.2.1", "2001:db8::1"
	for _, c := range []struct {
		src    string
		origin stream.Origin
		want   string // between dst_port and src_ip, and behind state
	}{
		{v4, stream.Origin{}, `|`},
		{v6, stream.Origin{}, `|`},
		{v4, stream.Origin{IfIndex: 2}, `interface="eth0",|`},
		{v4, stream.Origin{VLANs: ten}, `|,vlan="10"`},
		{v4, stream.Origin{VLANs: both}, `|,vlan="10.20"`},
		{v6, stream.Origin{IfIndex: 1, VLANs: both}, `interface="lo",|,vlan="10.20"`},
		{v4, stream.Origin{IfIndex: 3}, `interface="a\"b\\c\nd",|`},
		{v4, stream.Origin{IfIndex: 4}, `interface="\\xff",|`},
		{v4, stream.Origin{IfIndex: 5}, `interface="größe",|`},
		{v4, stream.Origin{IfIndex: 77}, `interface="77",|`}, // it is away
		{v4, stream.Origin{Shared: true}, `interface="all others",|`},
	} {
		s := originsOf(c.src, "198.51.100.7", []stream.Origin{c.origin})
		interfaceLabel, vlanLabel, _ := strings.Cut(c.want, "|")
		want := fmt.Sprintf(`{dst_ip="198.51.100.7",dst_port="443",%ssrc_ip="%s",src_port="40000",state="active"%s} `, interfaceLabel, c.src, vlanLabel)
		if got := string(s.appendLabels(nil, &s.Views[0])); got != want {
			t.Errorf("%+v: %s\nwant %s", c.origin, got, want)
		}
		if e := s.Views[0].Ends(s.Wide); e.Origin != c.origin || e.Src != expositiontest.Addr(c.src) {
			t.Errorf("%+v comes back as %+v", c.origin, e)
		}
	}
	s := originsOf(v4, v4, []stream.Origin{{IfIndex: 2}})
	s.InterfaceName = nil
	if got := string(s.appendLabels(nil, &s.Views[0])); !strings.Contains(got, `interface="2"`) {
		t.Errorf("without names: %s", got)
	}
}

// Streams that differ in their origin alone are different series to the parsers of both formats, which read the names
// back. Nothing is allocated for names of UTF-8.
func TestOriginsAreSeries(t *testing.T) {
	var origins []stream.Origin
	for index := range uint32(8) {
		for _, v := range []parse.VLANs{0, parse.VLANs(0).Push(1), parse.VLANs(0).Push(12), parse.VLANs(0).Push(1).Push(2), parse.VLANs(0).Push(2).Push(1)} {
			origins = append(origins, stream.Origin{IfIndex: index, VLANs: v})
		}
	}
	origins = append(origins, stream.Origin{Shared: true})
	for _, format := range []Format{Text, OpenMetrics} {
		content := contentOf(nil, format)
		content.Streams = originsOf("192.0.2.1", "198.51.100.7", origins)
		var text bytes.Buffer
		var w Writer
		if err := w.Write(&text, content); err != nil {
			t.Fatal(err)
		}
		got := expositiontest.ParseAs(t, text.Bytes(), []string{expositiontest.TextType, expositiontest.OpenMetricsType}[format]).Values
		series := 0
		for s := range got {
			if strings.HasPrefix(s, "tcp_bytes_transferred_total") {
				series++
			}
		}
		if series != len(origins) {
			t.Errorf("%d series, want %d", series, len(origins))
		}
		for _, name := range []string{`interface="a\"b\\c\nd"`, `interface="\\xff"`, `interface="größe"`} {
			has := func(series string) bool { return strings.Contains(series, name) }
			if !slices.ContainsFunc(slices.Collect(maps.Keys(got)), has) {
				t.Errorf("no series with %s", name)
			}
		}
		content.Streams.InterfaceName = func(index uint32) string { return originName(index % 4) } // UTF-8 alone
		if n := testing.AllocsPerRun(5, func() { _ = w.Write(io.Discard, content) }); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	}
}

// Of streams that differ in their origin alone the same ones are in the top, in whatever order they come, and each has
// bytes of its own.
func TestTopTellsOriginsApart(t *testing.T) {
	origins := []stream.Origin{{}, {IfIndex: 1}, {IfIndex: 2}, {VLANs: parse.VLANs(0).Push(1)}, {IfIndex: 1, VLANs: parse.VLANs(0).Push(1)}}
	first := []string(nil)
	for turn := range len(origins) {
		s := originsOf("192.0.2.1", "198.51.100.7", slices.Concat(origins[turn:], origins[:turn]))
		for i := range s.Views {
			s.Views[i].Finalized = false
		}
		NewLimiter(Limits{Top: 2}).Apply(&s)
		var labels []string
		for i := range s.Views {
			labels = append(labels, string(s.appendLabels(nil, &s.Views[i])))
		}
		slices.Sort(labels)
		if first == nil {
			first = labels
		}
		if len(labels) != 2 || !slices.Equal(labels, first) {
			t.Errorf("turn %d: %v, want %v", turn, labels, first)
		}
	}
	l := NewLimiter(Limits{Top: 1})
	for round, most := range []int{3, 1, 4} {
		s := originsOf("192.0.2.1", "198.51.100.7", origins)
		for i := range s.Views {
			s.Views[i].Bytes = uint64(1000 * round)
		}
		s.Views[most].Bytes += 10
		l.Apply(&s)
		if len(s.Views) != 1 || s.Views[0].Packets != uint64(most) {
			t.Errorf("round %d: the top is %+v, want stream %d", round, s.Views, most)
		}
	}
}
