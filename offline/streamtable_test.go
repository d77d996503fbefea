package offline

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/exposition/expositiontest"
	"tcp-stream-exporter/stream"
)

func TestHumanUnits(t *testing.T) {
	for _, c := range []struct {
		got, want string
	}{
		{byteSize(0), "0 B"}, {byteSize(1023), "1023 B"}, {byteSize(1024), "1.00 KiB"}, {byteSize(10_234), "9.99 KiB"},
		{byteSize(10_240), "10.0 KiB"}, {byteSize(1<<20 - 1), "1024 KiB"}, {byteSize(1 << 20), "1.00 MiB"},
		{byteSize(5 << 30), "5.00 GiB"}, {byteSize(7 << 40), "7.00 TiB"}, {byteSize(math.MaxUint64), "16384 PiB"},
		{millis(0), "0 ms"}, {millis(0.0000004), "0.000 ms"}, {millis(0.0009999), "1.00 ms"}, {millis(0.0123), "12.3 ms"}, {millis(0.09999), "100 ms"}, {millis(12.3456), "12346 ms"},
		{span(0), "0 ms"}, {span(0.25), "250 ms"}, {span(1), "1.00 s"}, {span(59.94), "59.9 s"}, {span(60), "1m0s"}, {span(3599.9), "59m59s"},
		{span(3600), "1h00m"}, {span(86399), "23h59m"}, {span(86400), "1d00h"}, {span(400 * 86400), "400d00h"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

// streamsOf makes streams of 10.0.0.N:1 for N from 0 on.
func streamsOf(views ...stream.View) *exposition.Streams {
	var all []expositiontest.Stream
	for i, v := range views {
		v.SrcPort, v.DstPort = 1, 2
		all = append(all, expositiontest.Stream{View: v, Src: expositiontest.Addr(fmt.Sprintf("10.0.0.%d", i)), Dst: expositiontest.Addr("10.9.9.9")})
	}
	s := &exposition.Streams{}
	s.Views, s.Wide = expositiontest.Views(all)
	return s
}

// TestTableOrder wants the largest first, streams without a delay last, and equal ones in one order always.
func TestTableOrder(t *testing.T) {
	s := streamsOf(
		stream.View{Bytes: 5, Retransmits: 1},
		stream.View{Bytes: 9, Retransmits: 1, Has: stream.HasDelay, AvgDelay: 0},
		stream.View{Bytes: 5, Retransmits: 3, Has: stream.HasDelay, AvgDelay: 2},
		stream.View{Bytes: 7, AvgDelay: 9}, // a value that stands for nothing
		stream.View{Bytes: math.MaxUint64},
		stream.View{Bytes: 5, Retransmits: 1},
	)
	s.Views[0].Packets, s.Views[5].Packets = 7, 7
	s.Views[2].Has |= stream.HasReverse // health 0, the worst; without a reverse it is not known
	for key, want := range map[exposition.Order]string{
		exposition.ByBytes:       "[4 1 3 0 2 5]",
		exposition.ByPackets:     "[0 5 4 1 3 2]",
		exposition.ByRetransmits: "[2 1 0 5 4 3]",
		exposition.ByDelay:       "[2 1 4 3 0 5]",
		exposition.ByHealth:      "[2 4 1 3 0 5]",
	} {
		if got := fmt.Sprint(sorted(s, key)); got != want {
			t.Errorf("key %d: %s, want %s", key, got, want)
		}
	}
}

// TestTableFitsATerminal wants the widest line of IPv4 to have some 100 characters.
func TestTableFitsATerminal(t *testing.T) {
	s := &exposition.Streams{}
	s.Views, s.Wide = expositiontest.Views([]expositiontest.Stream{{
		View: stream.View{SrcPort: 65535, DstPort: 65535, Finalized: true, Bytes: 1<<40 - 1, Packets: 9_999_999, Retransmits: 9_999_999,
			Has: stream.HasDelay, AvgDelay: 9.999, Uptime: 399 * 86400},
		Src: expositiontest.Addr("255.255.255.255"), Dst: expositiontest.Addr("255.255.255.254"),
	}})
	var out bytes.Buffer
	if err := writeTable(&out, s, exposition.ByBytes, 20); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 104 || strings.HasSuffix(line, " \n") {
			t.Errorf("%d characters: %q", n, line)
		}
	}
}
