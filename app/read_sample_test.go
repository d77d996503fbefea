package app

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// manyTalks returns n conversations with server, each of a client's port of its own.
func manyTalks(n int) (all []timed) {
	for i := range n {
		all = append(all, talk(netip.AddrPortFrom(client.Addr(), client.Port()+uint16(i)), server, 0)...)
	}
	slices.SortStableFunc(all, func(a, b timed) int { return int(a.ms - b.ms) })
	return all
}

// ofSample returns which of those conversations a sample has.
func ofSample(n, oneIn int) (ports []string) {
	for i := range n {
		f := parse.FlowOf(parse.AddrFrom(client.Addr()), parse.AddrFrom(server.Addr()), client.Port()+uint16(i), server.Port())
		if parse.OneIn(oneIn).Selects(&f) {
			ports = append(ports, fmt.Sprint(int(client.Port())+i))
		}
	}
	return ports
}

// A sample has both streams of its connections, with the same figures as without it, and nothing of the others.
func TestReadSample(t *testing.T) {
	const n, oneIn = 300, 4
	file := captureFile(t, manyTalks(n)...)
	all, _, _ := exporter("-read", file)
	ports := ofSample(n, oneIn)
	if len(ports) < n/oneIn/2 || len(ports) > n/oneIn*2 {
		t.Fatalf("%d of %d conversations are in the sample", len(ports), n)
	}
	series := regexp.MustCompile(`(?m)^tcp_\w+\{dst_ip="(?:198.51.100.7",dst_port="443",src_ip="192.0.2.1",src_port="(\d+)|192.0.2.1",dst_port="(\d+)).*$`)
	var want []string
	for _, m := range series.FindAllStringSubmatch(all, -1) {
		if slices.Contains(ports, m[1]+m[2]) {
			want = append(want, m[0])
		}
	}
	for _, more := range [][]string{nil, {"-repeat", "2"}, {"-packet-filter", ""}} {
		out, complaints, code := exporter(append([]string{"-read", file, "-sample", fmt.Sprint(oneIn)}, more...)...)
		closing := fmt.Sprintf("%d packets, %d accounted, %d not in the sample; %d streams", 7*n, 7*len(ports), 7*(n-len(ports)), 2*len(ports))
		if code != exitOK || !strings.Contains(complaints, closing) {
			t.Errorf("%q: status %d, %s, want %s", more, code, complaints, closing)
		}
		got := series.FindAllString(out, -1)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%q: %d series of streams, want the %d that these connections have without -sample", more, len(got), len(want))
		}
	}
	one, complaints, _ := exporter("-read", file, "-sample", "1")
	if one != all || strings.Contains(complaints, "sample") {
		t.Errorf("-sample 1 gives something else than no -sample: %s", complaints)
	}
}

// What gives no segment is skipped and counted as without a sample.
func TestReadSampleCountsWhatIsSkipped(t *testing.T) {
	udp := packet.TCP{Src: client, Dst: server}.Ethernet()
	udp[14+9] = 17
	later := packet.TCP{Src: client, Dst: server}.Ethernet()
	later[14+7] = 5 // its offset as a fragment
	file := captureFile(t, timed{frame: udp}, timed{frame: later}, timed{frame: later[:30], wire: len(later)})
	_, complaints, code := exporter("-read", file, "-packet-filter", "", "-sample", "65536")
	if want := "3 packets, 0 accounted, 3 skipped (truncated 1, udp 1, fragment 1); 0 streams"; code != exitOK || !strings.Contains(complaints, want) {
		t.Errorf("status %d, %s, want %s", code, complaints, want)
	}
}
