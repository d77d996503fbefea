package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
)

// A WireGuard tunnel between two hosts, by WireGuard's own program for kernels without it: its interface has no
// Ethernet header, as the kernel's has. The pattern finds it when it comes, the filter `tcp` sees what is in the
// tunnel, and on the Ethernet below there is no TCP.
func TestWireGuard(t *testing.T) {
	t.Parallel() // mostly it waits
	need.File(t, "/dev/net/tun")
	l := lab.New(t)
	e := l.A.StartExporter(t, binary(t), "-interface", "veth0,wg*", "-stream-age", "1h", "-finalized-age", "1h")
	inner := wireGuard(t, l)
	e.Await(t, 5*time.Second, func(m lab.Metrics) error {
		if up := lab.Key("tcp_stream_exporter_interface_up", "interface", wireGuardName(l.A)); m[up] != 1 {
			return fmt.Errorf("%s is %v", up, m[up])
		}
		return nil
	})
	got := lab.Transfer{From: &inner.B, To: &inner.A, Connections: 2, Forth: 3e6, Back: 5e6}.Run(t)
	m := e.Settle(t)
	seen := m.On(wireGuardName(l.A))
	var forth, back float64
	for _, client := range got.Clients {
		forth += seen[lab.Flow{Src: client, Dst: got.Server}.Key("tcp_bytes_transferred_total", "finalized")]
		back += seen[lab.Flow{Src: got.Server, Dst: client}.Key("tcp_bytes_transferred_total", "finalized")]
	}
	// What an endpoint has sent again has passed twice.
	again := float64(got.RetransSegs * wireGuardMTU)
	for _, d := range [][2]float64{{forth, float64(got.Forth)}, {back, float64(got.Back)}} {
		if d[0] < d[1] || d[0] > d[1]+again {
			t.Errorf("%v bytes to the server and %v back, want %d and %d; segments sent again: %d", forth, back, got.Forth, got.Back, got.RetransSegs)
		}
	}
	m = e.Await(t, 5*time.Second, func(m lab.Metrics) error { // totals are up to a second old
		if n := m["tcp_stream_exporter_streams_opened_total"]; n != float64(2*len(got.Clients)) {
			return fmt.Errorf("%v streams, want the two of each of %d connections: none on the Ethernet below", n, len(got.Clients))
		}
		return nil
	})
	nothingDropped(t, m)
}

// wireGuardMTU is wireguard-go's.
const wireGuardMTU = 1420

// ends are the namespaces of a lab by other addresses.
type ends struct{ A, B lab.NS }

// wireGuardName names the interface of a namespace: what tells the two programs apart that share a folder of sockets.
func wireGuardName(ns *lab.NS) string { return "wg" + ns.Name[len(ns.Name)-10:] }

// wireGuard makes a tunnel between the namespaces of l.
func wireGuard(t *testing.T, l *lab.Lab) ends {
	t.Helper()
	need.Tool(t, "wg")
	need.Tool(t, "wireguard-go")
	dir := t.TempDir()
	inner := ends{A: *l.A, B: *l.B}
	inner.A.Addr, inner.B.Addr = netip.MustParseAddr("10.98.0.1"), netip.MustParseAddr("10.98.0.2")
	public := map[*lab.NS]string{}
	for _, ns := range []*lab.NS{l.A, l.B} {
		key := ns.Run(t, "wg", "genkey")
		if err := os.WriteFile(filepath.Join(dir, ns.Name), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		public[ns] = strings.TrimSpace(ns.Run(t, "sh", "-c", "wg pubkey < "+filepath.Join(dir, ns.Name)))
		cmd := ns.Command("wireguard-go", "-f", wireGuardName(ns))
		ended, err := lab.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			<-ended
			_ = os.Remove("/var/run/wireguard/" + wireGuardName(ns) + ".sock")
		})
	}
	for _, side := range []struct {
		ns, peer *lab.NS
		addr     netip.Addr
	}{{l.A, l.B, inner.A.Addr}, {l.B, l.A, inner.B.Addr}} {
		name := wireGuardName(side.ns)
		awaitWireGuard(t, side.ns, name)
		side.ns.Run(t, "wg", "set", name, "private-key", filepath.Join(dir, side.ns.Name), "listen-port", "51820",
			"peer", public[side.peer], "endpoint", netip.AddrPortFrom(side.peer.Addr, 51820).String(), "allowed-ips", "10.98.0.0/24")
		side.ns.Run(t, "ip", "addr", "add", side.addr.String()+"/24", "dev", name)
		side.ns.Run(t, "ip", "link", "set", name, "up")
		// What is in flight fits the program's receive buffer, so that none of it is lost: Linux halves this (tcp_adv_win_scale).
		side.ns.Run(t, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 32768 32768")
	}
	return inner
}

// awaitWireGuard waits until the program of an interface answers: its socket is there before that, and without an answer
// wg asks the kernel.
func awaitWireGuard(t *testing.T, ns *lab.NS, name string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out, err := ns.Command("wg", "show", name).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("wg show %s: %v: %s", name, err, out)
		}
	}
}
