package worker

import (
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// A packet in a tunnel is one of its inner stream, with the VLAN tags of the outermost frame and the length of all of it.
func TestTunnels(t *testing.T) {
	inner := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.ACK, Payload: 100}
	frame := packet.InEthernet(packet.TypeIPv4, packet.InIPv4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(inner.Ethernet(0x81000063)))), 0x81000007)
	for _, cfg := range []Config{{}, {Tunnels: parse.TunnelGRE}, {Tunnels: parse.TunnelVXLAN}, {Tunnels: parse.TunnelVXLAN, ByVLAN: true}} {
		w := newWorker(t, cfg)
		w.Frame(parse.LinkEthernet, frame, uint32(len(frame)), 0)
		views := viewsOf(w)
		if cfg.Tunnels != parse.TunnelVXLAN {
			if len(views) != 0 || w.Stats().Skipped[parse.UDP] != 1 {
				t.Errorf("%v: %d streams, skipped %v", cfg.Tunnels, len(views), w.Stats().Skipped)
			}
			continue
		}
		if len(views) != 1 || views[0].Bytes != 100 || views[0].SrcPort != client.Port() || w.Stats().Skipped != [parse.NumReasons]uint64{} {
			t.Fatalf("%+v, skipped %v", views, w.Stats().Skipped)
		}
		want := parse.VLANs(0)
		if cfg.ByVLAN {
			want = want.Push(7)
		}
		if got := views[0].Origin.VLANs; got != want {
			t.Errorf("VLANs %v, want %v", got, want)
		}
		if n := testing.AllocsPerRun(1000, func() { w.Frame(parse.LinkEthernet, frame, uint32(len(frame)), 0) }); n != 0 {
			t.Errorf("%v allocations for a packet, want 0", n)
		}
	}
}
