//go:build cgo

package app

import (
	"encoding/binary"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

// Filters other than the default need libpcap, and so cgo.

func TestReadAppliesTheFilter(t *testing.T) {
	other := netip.MustParseAddrPort("203.0.113.5:8080")
	udp := packet.TCP{Src: client, Dst: server}.Ethernet()
	udp[14+9] = 17
	packets := append(talk(client, server, 0), talk(client, other, 1000)...)
	packets = append(packets, timed{ms: 2000, frame: udp},
		timed{ms: 2001, frame: packet.TCP{Src: client, Dst: server, Seq: 151, Ack: 1, Flags: packet.ACK, Payload: 5}.Ethernet(0x81000005)},
		timed{ms: 2002, frame: packet.TCP{Src: client, Dst: server, Seq: 156, Ack: 1, Flags: packet.ACK, Payload: 1000}.Ethernet()[:54], wire: 1054})
	file := captureFile(t, packets...)
	for _, c := range []struct{ filter, want string }{
		{"tcp", "17 packets, 16 accounted, 1 filtered out; 4 streams"}, // behind a tag, too,
		{" tcp ", "17 packets, 16 accounted, 1 filtered out; 4 streams"},
		{"(tcp)", "17 packets, 15 accounted, 2 filtered out; 4 streams"}, // libpcap's meaning,
		{"", "17 packets, 16 accounted, 1 skipped (udp 1); 4 streams"},
		{"vlan and tcp", "17 packets, 1 accounted, 16 filtered out; 1 streams"},
		{"tcp port 8080", "17 packets, 7 accounted, 10 filtered out; 2 streams"},
		{"host 203.0.113.5 or udp", "17 packets, 7 accounted, 9 filtered out, 1 skipped (udp 1); 2 streams"},
		// By the length on the wire, also of a packet that was cut.
		{"tcp and greater 1000", "17 packets, 1 accounted, 16 filtered out; 1 streams"},
		{"tcp and - len != 5", "17 packets, 15 accounted, 2 filtered out; 4 streams"},         // a negation
		{"tcp and - tcp [ 13 ] = - 2", "17 packets, 2 accounted, 15 filtered out; 2 streams"}, // the SYNs
		{"tcp and less 54", "17 packets, 8 accounted, 9 filtered out; 4 streams"},
	} {
		for _, repeat := range [][]string{nil, {"-repeat", "2"}} {
			out, complaints, code := exporter(append([]string{"-read", file, "-packet-filter", c.filter}, repeat...)...)
			if code != exitOK || !strings.Contains(complaints, c.want) {
				t.Errorf("%q %v: exit status %d, %q, want %q", c.filter, repeat, code, complaints, c.want)
			}
			// The clock runs on to the end of the file, also when the filter takes its last packets.
			if c.filter == "tcp port 8080" {
				wantLines(t, out, `tcp_stream_uptime_seconds{dst_ip="203.0.113.5",dst_port="8080",src_ip="192.0.2.1",src_port="40000",state="active"} 1.002`)
			}
		}
	}
}

func TestReadRefusesFilters(t *testing.T) {
	file := captureFile(t, talk(client, server, 0)...)
	for _, c := range []struct{ filter, want string }{
		{"prot 7", `-packet-filter "prot 7": .*`},
		{"tcp and inbound", `-packet-filter "tcp and inbound": it asks for what only a live capture knows \(inbound, outbound, ifindex\): leave that out with -read`},
		{"ifindex 3", `-packet-filter "ifindex 3": it asks for what only a live capture knows \(inbound, outbound, ifindex\): leave that out with -read`},
	} {
		out, complaints, code := exporter("-read", file, "-packet-filter", c.filter)
		want := "^tcp-stream-exporter: " + c.want + "\n$"
		if code != exitFailure || out != "" || !regexp.MustCompile(want).MatchString(complaints) {
			t.Errorf("%q: exit status %d, %q, %q, want %s", c.filter, code, out, complaints, want)
		}
	}
}

// TestReadFiltersEachLinkType reads a pcapng file with an Ethernet, a raw IP and a USB interface.
func TestReadFiltersEachLinkType(t *testing.T) {
	order := binary.LittleEndian
	var b []byte
	block := func(kind uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		total := uint32(len(body) + 12)
		b = order.AppendUint32(order.AppendUint32(b, kind), total)
		b = order.AppendUint32(append(b, body...), total)
	}
	block(0x0a0d0d0a, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	for _, linkType := range []byte{1, 101, 220} {
		block(1, []byte{linkType, 0, 0, 0, 0, 0, 0, 0})
	}
	tcp := packet.TCP{Src: client, Dst: server, Flags: packet.ACK}
	udp := tcp.IP()
	udp[9] = 17
	for i, data := range [][]byte{tcp.Ethernet(), tcp.IP(), make([]byte, 64), udp} {
		var body []byte
		for _, v := range []uint32{uint32(min(i, 2)), 0, uint32(i), uint32(len(data)), uint32(len(data))} {
			body = order.AppendUint32(body, v)
		}
		if i == 3 {
			body[0] = 1
		}
		block(6, append(body, data...))
	}
	_, complaints, code := exporter("-read", writeFile(t, "mixed.pcapng", b))
	if want := "4 packets, 2 accounted, 1 filtered out, 1 skipped (unknown_link 1); 1 streams"; code != exitOK || !strings.Contains(complaints, want) {
		t.Errorf("exit status %d, %q, want %q", code, complaints, want)
	}
}
