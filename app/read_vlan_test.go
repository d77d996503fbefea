package app

import (
	"strings"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

// The same conversation in several VLANs is one stream without -vlan-identity, and one in each VLAN with it.
func TestReadTellsVLANsApart(t *testing.T) {
	var packets []timed
	for i, p := range talk(client, server, 0) {
		for j, tags := range [][]uint32{nil, {0x8100_000a}, {0x8100_0014}, {0x88a8_000a, 0x8100_0014}} {
			frame := append(append([]byte(nil), p.frame[:12]...), packet.TCP{Src: client, Dst: server}.Ethernet(tags...)[12:12+4*len(tags)]...)
			packets = append(packets, timed{ms: p.ms + int64(i+j), frame: append(frame, p.frame[12:]...)})
		}
	}
	file := captureFile(t, packets...)
	out, complaints, code := exporter("-read", file, "-packet-filter", "", "-metrics", "default,tcp_packets_total")
	wantLines(t, out, "tcp_stream_count 2", "tcp_packets_total"+toServer+"20", "tcp_bytes_transferred_total"+toServer+"1000")
	if code != exitOK || strings.Contains(out, "vlan") {
		t.Errorf("exit status %d, %s, or a label vlan in\n%s", code, complaints, out)
	}
	for _, more := range [][]string{nil, {"-repeat", "2"}} {
		out, complaints, code := exporter(append([]string{"-read", file, "-packet-filter", "", "-metrics", "default,tcp_packets_total", "-vlan-identity"}, more...)...)
		if want := "28 packets, 28 accounted; 8 streams"; code != exitOK || !strings.Contains(complaints, want) {
			t.Errorf("exit status %d, %s, want %s", code, complaints, want)
		}
		lines := []string{"tcp_stream_count 8"}
		for _, vlan := range []string{"", `,vlan="10"`, `,vlan="20"`, `,vlan="10.20"`} {
			in := func(labels string) string { return strings.Replace(labels, "}", vlan+"}", 1) }
			lines = append(lines,
				"tcp_packets_total"+in(toServer)+"5", "tcp_bytes_transferred_total"+in(toServer)+"250",
				"tcp_retransmits_total"+in(toServer)+"1", "tcp_retransmits_total"+in(toClient)+"0")
		}
		wantLines(t, out, lines...)
	}
}
