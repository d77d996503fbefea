package app

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// conversations returns so many complete connections, that far apart in ms.
func conversations(n int, apart int64) (all []timed) {
	for i := range n {
		from := netip.AddrPortFrom(client.Addr(), uint16(40000+i))
		all = append(all, talk(from, server, int64(i)*apart)...)
	}
	return all
}

// TestReadKeepsEveryStream: no stream of a file is lost to an age that nobody has asked for, however
// the file's time goes.
func TestReadKeepsEveryStream(t *testing.T) {
	const year = int64(365 * 24 * 3600 * 1000)
	for _, c := range []struct {
		says  string
		apart int64
	}{
		{"all at once", 0}, {"in ten minutes", 30_000}, {"a year apart", year / 10}, {"a month back each time", -year / 12},
		{"two years back each time", -2 * year},
	} {
		file := captureFile(t, conversations(20, c.apart)...)
		for _, repeat := range [][]string{nil, {"-repeat", "2"}} {
			out, complaints, _ := exporter(append([]string{"-read", file}, repeat...)...)
			if !strings.Contains(complaints, "140 packets, 140 accounted; 40 streams; ") {
				t.Errorf("%s %v: %q, want 40 streams", c.says, repeat, complaints)
			}
			wantLines(t, out, "tcp_stream_count 40")
		}
	}
}

// TestReadCountsWhatItLoses: a stream that is not among the metrics stands on the closing line.
func TestReadCountsWhatItLoses(t *testing.T) {
	file := captureFile(t, conversations(20, 30_000)...)
	for _, c := range []struct{ flags, want string }{
		{"-stream-age 5m", "140 accounted; 22 streams, 18 more aged out; "},
		{"-stream-age 0", "140 accounted; 40 streams; "},
		{"-stream-age 0 -syn-age 1s", "140 accounted; 40 streams; "},
		{"-finalized-age 1s", "140 accounted; 40 streams; "},
		{"-max-age 2562047h", "140 accounted; 40 streams; "},
	} {
		_, complaints, _ := exporter(append([]string{"-read", file}, strings.Fields(c.flags)...)...)
		if !strings.Contains(complaints, c.want) {
			t.Errorf("%s: %q, want %q", c.flags, complaints, c.want)
		}
	}
	half := captureFile(t, talk(client, server, 0)[0], talk(netip.MustParseAddrPort("192.0.2.2:40000"), server, 10)[0])
	_, complaints, _ := exporter("-read", half, "-max-connections", "1")
	if want := "2 accounted; 1 streams, 1 more made room (raise -max-connections); "; !strings.Contains(complaints, want) {
		t.Errorf("%q, want %q", complaints, want)
	}
}

// TestAgesAtTheirExtremes: 0 and what no wheel can hold are never, on every processor alike.
func TestAgesAtTheirExtremes(t *testing.T) {
	const never = "2562047h47m16.854775807s"
	for _, name := range []string{"stream-age", "max-age", "finalized-age", "syn-age"} {
		for _, c := range []struct{ value, streams string }{
			{"0", "40"}, {"0s", "40"}, {"1ns", ""}, {"466h", "40"}, {"59652h", "40"}, {"59653h", "40"},
			{"60000h", "40"}, {"1281023h53m38s", "40"}, {"2562047h", "40"}, {never, "40"},
		} {
			file := captureFile(t, conversations(20, 30_000)...)
			_, complaints, code := exporter("-read", file, "-"+name, c.value)
			if code != exitOK || c.streams != "" && !strings.Contains(complaints, "; "+c.streams+" streams; ") {
				t.Errorf("-%s %s: exit status %d, %q", name, c.value, code, complaints)
			}
		}
		for _, value := range []string{"-1ns", "-1s", "-2562047h"} {
			_, err := parseFlags([]string{"-" + name, value}, io.Discard)
			want := fmt.Sprintf("-%s %s", name, strings.TrimSuffix(value, "47h"))
			if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "0: never") {
				t.Errorf("-%s %s: %v", name, value, err)
			}
		}
	}
}
