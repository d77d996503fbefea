package app

import (
	"strings"
	"testing"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/packet"
)

// tunnelled returns the packets of a conversation, each in another one that around makes of its Ethernet frame.
func tunnelled(packets []timed, around func(frame []byte) []byte) (all []timed) {
	for _, p := range packets {
		all = append(all, timed{ms: p.ms, frame: packet.InEthernet(packet.TypeIPv4, around(p.frame))})
	}
	return all
}

// A conversation in a tunnel is accounted by the labels and lengths that it has inside, if the tunnel is named, with the
// default filter and with one that rejects or takes the outer packets.
func TestReadTunnels(t *testing.T) {
	for _, c := range []struct {
		tunnel, skipped string
		around          func(frame []byte) []byte
	}{
		{"gre", "gre", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GREKey, packet.TypeIPv4, f[14:]))
		}},
		{"ipip", "ipip", func(f []byte) []byte { return packet.InIPv4(packet.ProtoIPv4, f[14:]) }},
		{"vxlan", "udp", func(f []byte) []byte { return packet.InIPv4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(f))) }},
		{"geneve", "udp", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeBridged, 252, f)))
		}},
		{"gtpu", "udp", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 2, f[14:])))
		}},
		{"erspan", "gre", func(f []byte) []byte {
			return packet.InIPv4(packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, f)))
		}},
	} {
		t.Run(c.tunnel, func(t *testing.T) {
			file := captureFile(t, tunnelled(talk(client, server, 0), c.around)...)
			rows := [][]string{{}, {"-repeat", "2"}, {"-packet-filter", ""}, {"-vlan-identity"}}
			if pcapfilter.Available {
				rows = append(rows, []string{"-packet-filter", "tcp port 9"}, []string{"-packet-filter", "ip"}, []string{"-packet-filter", "less 1"})
			}
			for _, more := range rows {
				out, complaints, code := exporter(append([]string{"-read", file, "-tunnels", c.tunnel}, more...)...)
				if want := "7 packets, 7 accounted; 2 streams"; code != exitOK || !strings.Contains(complaints, want) {
					t.Fatalf("%q: status %d, %s, want %s", more, code, complaints, want)
				}
				wantLines(t, out, "tcp_stream_count 2", "tcp_bytes_transferred_total"+toServer+"250",
					"tcp_retransmits_total"+toServer+"1", "tcp_retransmits_total"+toClient+"0")
			}
			_, complaints, _ := exporter("-read", file, "-packet-filter", "")
			if want := "7 packets, 0 accounted, 7 skipped (" + c.skipped + " 7)"; !strings.Contains(complaints, want) {
				t.Errorf("without -tunnels: %s, want %s", complaints, want)
			}
		})
	}
}

// The snap length of outer packets is theirs alone, and that of the flag if it is given.
func TestTunnelSnapLen(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 836},
		{[]string{"-snaplen", "200"}, 200},
		{[]string{"-snaplen", "192"}, 192},
	} {
		o, err := parseFlags(append([]string{"-tunnels", "gre"}, c.args...), nil)
		if err != nil || o.tunnelSnapLen() != c.want {
			t.Errorf("%q: %v, %v, want %d", c.args, o, err, c.want)
		}
	}
}
