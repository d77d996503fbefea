package offline

import (
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// A packet is held with as many bytes as decode to the same, be it a segment, one in a tunnel, or neither.
func TestHeldPacketsAreCut(t *testing.T) {
	inner := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.7:443"), Flags: packet.ACK, Payload: 1000}
	geneve := packet.InEthernet(packet.TypeIPv4, packet.InIPv4(packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeIPv4, 252, inner.IP()))))
	for _, c := range []struct {
		name    string
		tunnels parse.Tunnels
		frame   []byte
		want    int
	}{
		{"TCP", 0, inner.Ethernet(), worker.SnapLen},
		{"UDP", 0, geneve, worker.SnapLen},
		{"UDP, another tunnel", parse.TunnelVXLAN, geneve, worker.SnapLen},
		{"TCP in GENEVE", parse.TunnelGENEVE, geneve, worker.TunnelSnapLen},
	} {
		h := heldFile{decoder: parse.Decoder{Tunnels: c.tunnels}}
		h.hold(&pcapfile.Packet{Data: c.frame, WireLen: uint32(len(c.frame)), Link: parse.LinkEthernet})
		if got := int(h.packets[0].len); got != c.want {
			t.Errorf("%s: %d bytes held, want %d", c.name, got, c.want)
		}
	}
}
