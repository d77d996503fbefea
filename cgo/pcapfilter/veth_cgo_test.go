//go:build cgo

package pcapfilter

import (
	"maps"
	"slices"
	"testing"

	"tcp-stream-exporter/internal/lab"
)

func TestVLANOnVeth(t *testing.T) {
	tcp4, udp4 := ether(0x0800, ipv4(6, 0, tcpHeader())), ether(0x0800, ipv4(17, 0, udpHeader()))
	frames := map[string][]byte{
		"tcp": tcp4, "tcp in 10": tag(tcp4, 0x8100, 10), "tcp in 20": tag(tcp4, 0x88a8, 7<<13|20), "tcp in 0": tag(tcp4, 0x8100, 0),
		"tcp in 10, 20": tag(tag(tcp4, 0x8100, 20), 0x88a8, 10), "udp": udp4, "udp in 10": tag(udp4, 0x8100, 10),
	}
	names := slices.Sorted(maps.Keys(frames))
	var list [][]byte
	for _, name := range names {
		list = append(list, frames[name])
	}
	l := lab.New(t)
	for _, c := range []struct{ filter, sent, got string }{
		{"vlan", "tcp in 0; tcp in 10; tcp in 10, 20; tcp in 20; udp in 10", "same"},
		{"not vlan", "tcp; udp", "same"},
		{"vlan 10", "tcp in 10; tcp in 10, 20; udp in 10", "same"},
		{"vlan 10 and tcp", "tcp in 10", "same"},
		{"vlan 20 and tcp", "tcp in 20", "same"},
		{"not vlan 10", "tcp; tcp in 0; tcp in 20; udp", "same"},
		{"vlan 10 and vlan 20 and tcp", "tcp in 10, 20", "same"},
		{"vlan 10 and not vlan 20", "tcp in 10; udp in 10", "same"},
		{"tcp or (vlan and tcp)", "tcp; tcp in 0; tcp in 10; tcp in 20", "same"},
		{"tcp and vlan 10", "", "tcp in 10"},
		{"tcp and not vlan 10", "tcp", "tcp; tcp in 0; tcp in 20"},
	} {
		prog, err := CompileLive(c.filter, EN10MB, snapLen)
		if err != nil {
			t.Fatalf("%q: %v", c.filter, err)
		}
		if c.got == "same" {
			c.got = c.sent
		}
		sent, got := passed(t, l.A, l.B, HeadersOnly(prog, EN10MB), names, list)
		if sent != c.sent || got != c.got {
			t.Errorf("%q: sent %s; arrived %s\nwant %s; %s", c.filter, sent, got, c.sent, c.got)
		}
	}
}
