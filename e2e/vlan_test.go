package e2e

import (
	"bytes"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
)

// vlanKey names the series of a flow that is active in a VLAN.
func vlanKey(f lab.Flow, family, vlan string) string {
	if vlan == "" {
		return f.Key(family, "active")
	}
	return lab.Key(family,
		"src_ip", f.Src.Addr().String(), "src_port", strconv.Itoa(int(f.Src.Port())),
		"dst_ip", f.Dst.Addr().String(), "dst_port", strconv.Itoa(int(f.Dst.Port())),
		"state", "active", "vlan", vlan)
}

// TestVLANsOfOneFourTuple holds the figures of the case that has one four-tuple in two VLANs. The figures are a half of
// those that TestCases knows of both together.
func TestVLANsOfOneFourTuple(t *testing.T) {
	t.Parallel() // mostly it waits
	path := caseFolder + "/vlan-overlap.pcap"
	need.File(t, path)
	args := append([]string{"-read", path, "-vlan-identity"}, caseFlags...)
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, &said)
	}
	m, err := lab.ParseMetrics(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	up := lab.Flow{Src: netip.MustParseAddrPort("192.0.2.30:40026"), Dst: netip.MustParseAddrPort("198.51.100.38:80")}
	for _, vlan := range []string{"10", "20"} {
		for _, c := range []struct {
			flow           lab.Flow
			packets, bytes float64
		}{{up, 17, 6000}, {up.Reverse(), 16, 12000}} {
			for family, want := range map[string]float64{
				"tcp_packets_total": c.packets, "tcp_bytes_transferred_total": c.bytes,
				"tcp_retransmits_total": 0, "tcp_out_of_order_packets_total": 0, "tcp_sequence_gaps_total": 0,
				"tcp_duplicate_acks_total": 0, "tcp_zero_window_events_total": 0, "tcp_resets_total": 0,
			} {
				if got, ok := m[vlanKey(c.flow, family, vlan)]; !ok || got != want {
					t.Errorf("VLAN %s, %v %s: %v (%v), want %v", vlan, c.flow, family, got, ok, want)
				}
			}
			if _, ok := m[vlanKey(c.flow, "tcp_handshake_seconds", vlan)]; !ok {
				t.Errorf("VLAN %s, %v has no handshake time", vlan, c.flow)
			}
		}
	}
	if n := m["tcp_stream_count"]; n != 4 {
		t.Errorf("%v streams, want 4", n)
	}
}

// TestVLANsLive sends one four-tuple in several VLANs over a real link, where the kernel takes the outer tag off.
func TestVLANsLive(t *testing.T) {
	t.Parallel() // mostly it waits
	vlans := []struct {
		name string
		tags []uint32
	}{
		{"", nil}, {"10", []uint32{0x8100_000a}}, {"20", []uint32{0x8100_0014}},
		{"10.20", []uint32{0x8100_000a, 0x8100_0014}}, {"20.10", []uint32{0x88a8_0014, 0x8100_000a}},
	}
	f := lab.Flow{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.1:443")}
	const segments = 20
	var frames [][]byte
	for n := range uint32(segments) {
		for i, v := range vlans {
			payload := 100 + i
			frames = append(frames,
				packet.TCP{Src: f.Src, Dst: f.Dst, Seq: 1 + n*uint32(payload), Ack: 1, Flags: packet.ACK, Window: 1000, Payload: payload}.Ethernet(v.tags...),
				packet.TCP{Src: f.Dst, Dst: f.Src, Seq: 1, Ack: 1 + (n+1)*uint32(payload), Flags: packet.ACK, Window: 1000}.Ethernet(v.tags...))
		}
	}
	for _, identity := range []bool{false, true} {
		t.Run(fmt.Sprint("identity ", identity), func(t *testing.T) {
			l := lab.New(t)
			e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-packet-filter", "", "-vlan-identity="+strconv.FormatBool(identity), "-numblocks", "16",
				"-metrics", "default,tcp_packets_total")
			sendFrames(t, l.B, frames)
			e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if n := m["capture_packets_processed_total"]; n < float64(len(frames)) {
					return fmt.Errorf("%v packets", n)
				}
				return nil
			})
			m := e.Settle(t)
			nothingDropped(t, m)
			if !identity {
				if n := m[f.Key("tcp_packets_total", "active")]; n != float64(segments*len(vlans)) || m["tcp_stream_count"] != 2 {
					t.Errorf("%v packets in one stream of %v", n, m["tcp_stream_count"])
				}
				return
			}
			for i, v := range vlans {
				for family, want := range map[string]float64{
					"tcp_packets_total": segments, "tcp_bytes_transferred_total": float64(segments * (100 + i)),
					"tcp_retransmits_total": 0, "tcp_out_of_order_packets_total": 0, "tcp_sequence_gaps_total": 0,
				} {
					if got, ok := m[vlanKey(f, family, v.name)]; !ok || got != want {
						t.Errorf("VLAN %q, %s: %v (%v), want %v", v.name, family, got, ok, want)
					}
				}
			}
			if n := m["tcp_stream_count"]; n != float64(2*len(vlans)) {
				t.Errorf("%v streams, want %d", n, 2*len(vlans))
			}
		})
	}
}
