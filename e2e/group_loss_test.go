package e2e

import (
	"fmt"
	"testing"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

const lossBytes = 8_000_000

// Of a transfer that loses one packet in 100 behind the router, the segments that were sent again count under their
// groups and in their direction, as many as the sender's kernel counts, within 1. The other direction has none.
func TestGroupRetransmissions(t *testing.T) {
	need.Tool(t, "nft")
	for _, down := range []bool{true, false} {
		t.Run(fmt.Sprintf("down=%v", down), func(t *testing.T) {
			t.Parallel()
			r := lab.NewRouter(t, lab.RouterConfig{})
			r.Offloads(t, false)
			sender, receiver, direction, other := r.A, r.B, "from_client", "from_server"
			x := lab.Transfer{From: r.A, To: r.B, Connections: 2, Forth: lossBytes}
			if down {
				sender, receiver, direction, other = r.B, r.A, other, direction
				x.Forth, x.Back = 0, lossBytes
			}
			receiver.Run(t, "nft", "add table ip loss; add chain ip loss in { type filter hook input priority 0; }; "+
				"add rule ip loss in meta l4proto tcp ip length > 1000 numgen random mod 100 < 1 drop")
			e := r.M.StartExporter(t, binary(t), append(routerGroups, "-interface", "tob", "-service-ports", "none")...)
			before := sender.RetransSegs(t)
			x.Run(t)
			m := e.Settle(t)
			kernel := float64(sender.RetransSegs(t) - before)
			nothingDropped(t, m)
			const family = "tcp_group_retransmitted_packets_total"
			got := m[homeToRemote.key(family, "direction", direction)]
			t.Logf("%v segments sent again, the kernel says %v", got, kernel)
			if kernel < 20 {
				t.Fatalf("the kernel sent %v segments again, want more for this test", kernel)
			}
			if got < kernel-1 || got > kernel+1 {
				t.Errorf("%v segments sent again, want the kernel's %v within 1", got, kernel)
			}
			if sum := groupSum(m, family); sum != got {
				t.Errorf("%v segments sent again in all directions and groups, want %v alone; %v %s", sum, got, m[homeToRemote.key(family, "direction", other)], other)
			}
			bytes, again := m[homeToRemote.key("tcp_group_bytes_total", "direction", direction)], m[homeToRemote.key("tcp_group_retransmitted_bytes_total", "direction", direction)]
			if bytes-again != 2*lossBytes {
				t.Errorf("%v bytes less %v sent again, want %v", bytes, again, 2*lossBytes)
			}
		})
	}
}
