//go:build cgo

package pcapfilter

import (
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// For link types that the package's own program does not know, libpcap's takes the outer packets.
func TestOrOuterByLibpcap(t *testing.T) {
	inner := packet.TCP{Src: tunnelClient, Dst: tunnelServer}.IP()
	family := []byte{2, 0, 0, 0} // AF_INET of the host that wrote the file
	prog := mustOrOuter(t, mustCompile(t, "tcp", Null, snapLen), Null, outerOf(t, "vxlan,ipip"))
	m := vm(t, prog)
	for _, c := range []struct {
		name string
		ip   []byte
		want int
	}{
		{"IPIP", packet.InIPv4(packet.ProtoIPv4, inner), outerSnapLen},
		{"VXLAN", packet.InIPv4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(make([]byte, 60)))), outerSnapLen},
		{"GRE", packet.InIPv4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, inner)), 0},
		{"DNS", packet.InIPv4(packet.ProtoUDP, packet.InUDP(53, nil)), 0},
		{"TCP", inner, snapLen},
	} {
		if got := verdict(t, m, append(append([]byte(nil), family...), c.ip...)); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
	mustOrOuter(t, mustCompile(t, "tcp", PPP, snapLen), PPP, outerOf(t, parse.TunnelNames()))
}
