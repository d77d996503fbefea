package pcapfilter

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

const outerSnapLen = 836

func outerOf(t testing.TB, names string) (o Outer) {
	t.Helper()
	set, err := parse.ParseTunnels(names)
	if err != nil {
		t.Fatal(err)
	}
	o.Protocols, o.Ports = set.Outer()
	return o
}

func mustOrOuter(t testing.TB, prog []bpf.RawInstruction, link LinkType, o Outer) []bpf.RawInstruction {
	t.Helper()
	prog, err := OrOuter(prog, link, o, outerSnapLen)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// What the filter rejects or cuts passes whole if it is the outer packet of a tunnel, and all else as before.
func TestOrOuter(t *testing.T) {
	inner := packet.TCP{Src: tunnelClient, Dst: tunnelServer, Flags: packet.ACK, Payload: 900}
	vxlan := packet.InIPv4(packet.ProtoUDP, packet.InUDP(4789, packet.InVXLAN(inner.Ethernet())))
	gre := packet.InIPv4(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, inner.IP()))
	later := bytes.Clone(vxlan)
	later[7] = 9
	options := append(append(bytes.Clone(vxlan[:20]), 1, 1, 1, 0), vxlan[20:]...)
	options[0]++
	behindTag := packet.InEthernet(0x8100, append([]byte{0, 5, 8, 0}, vxlan...))
	for _, c := range []struct {
		name, filter, tunnels string
		frame                 []byte
		want                  int
	}{
		{"VXLAN", "tcp", "vxlan", packet.InEthernet(packet.TypeIPv4, vxlan), outerSnapLen},
		{"VXLAN behind IPv4 options", "tcp", "vxlan", packet.InEthernet(packet.TypeIPv4, options), outerSnapLen},
		{"VXLAN, a later fragment", "tcp", "vxlan", packet.InEthernet(packet.TypeIPv4, later), 0},
		{"VXLAN, not on", "tcp", "gre,geneve", packet.InEthernet(packet.TypeIPv4, vxlan), 0},
		{"VXLAN over IPv6", "tcp", "vxlan", packet.InEthernet(packet.TypeIPv6, packet.InIPv6(packet.ProtoUDP, vxlan[20:])), outerSnapLen},
		{"VXLAN behind a tag", "tcp", "vxlan", behindTag, outerSnapLen},
		{"VXLAN that the filter takes, too", "", "vxlan", packet.InEthernet(packet.TypeIPv4, vxlan), outerSnapLen},
		{"GRE", "tcp", "gre", packet.InEthernet(packet.TypeIPv4, gre), outerSnapLen},
		{"GRE as ERSPAN", "tcp", "erspan", packet.InEthernet(packet.TypeIPv4, gre), outerSnapLen},
		{"GRE, VXLAN on", "tcp", "vxlan", packet.InEthernet(packet.TypeIPv4, gre), 0},
		{"TCP", "tcp", "gre,ipip,sit,vxlan,geneve,gtpu,erspan", inner.Ethernet(), 14 + 20 + 20},
		{"TCP behind a tag", "tcp", "gre,vxlan", inner.Ethernet(0x81000005), snapLen},
		{"TCP, no tunnels", "tcp", "", inner.Ethernet(), 14 + 20 + 20},
		{"DNS", "tcp", "vxlan,gre", packet.InEthernet(packet.TypeIPv4, packet.InIPv4(packet.ProtoUDP, packet.InUDP(53, nil))), 0},
		{"DNS that the filter takes", "", "vxlan,gre", packet.InEthernet(packet.TypeIPv4, packet.InIPv4(packet.ProtoUDP, packet.InUDP(53, nil))), snapLen},
		{"ARP that the filter takes", "", "vxlan,gre", packet.InEthernet(0x0806, make([]byte, 28)), snapLen},
	} {
		prog := HeadersOnly(mustCompile(t, c.filter, EN10MB, snapLen), EN10MB)
		m := vm(t, mustOrOuter(t, prog, EN10MB, outerOf(t, c.tunnels)))
		if got := verdict(t, m, c.frame); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
		if got := newKernelFilter(t, mustOrOuter(t, prog, EN10MB, outerOf(t, c.tunnels))).verdict(c.frame); got != min(c.want, len(c.frame)) {
			t.Errorf("%s: the kernel takes %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// What package parse finds in a tunnel passes, on every link type and behind all that the program of "tcp" looks behind.
// What passes is such a packet to parse, too. And the verdict on the others is that of "tcp".
func TestOuterAgreesWithParse(t *testing.T) {
	names := []string{"gre", "ipip", "sit", "vxlan", "geneve", "gtpu", "erspan", parse.TunnelNames(), "ipip,vxlan"}
	r := outerPackets{nested{rand.New(rand.NewPCG(20, 27))}}
	for link := range linkHeaders {
		tcp := mustTCP(t, link, snapLen)
		for _, tunnels := range names {
			set, err := parse.ParseTunnels(tunnels)
			if err != nil {
				t.Fatal(err)
			}
			prog := mustOrOuter(t, slices.Clone(tcp), link, outerOf(t, tunnels))
			opened := 0
			for range 3000 {
				p := r.packet(link)
				got, _ := run(t, prog, p, nil)
				before, _ := run(t, tcp, p, nil)
				var seg parse.Segment
				why := parse.Frame(parse.LinkFromDLT(uint32(link)), p, uint32(len(p)), &seg)
				inside := parse.Decoder{Tunnels: set}.Frame(parse.LinkFromDLT(uint32(link)), p, uint32(len(p)), &seg)
				if inside == parse.OK && why != parse.OK && got == 0 {
					t.Fatalf("link type %d, %s: rejected, and parse finds a segment inside: %x", link, tunnels, p)
				}
				if inside == parse.OK && why != parse.OK {
					opened++
				}
				switch {
				case got == outerSnapLen && before != 0, got != outerSnapLen && got != before:
					t.Fatalf("link type %d, %s: %d, and %d without tunnels: %x", link, tunnels, got, before, p)
				case got == outerSnapLen && why != parse.UDP && why != parse.GRE && why != parse.IPIP && why != parse.IPv6InIP && why != parse.Fragment:
					t.Fatalf("link type %d, %s: accepted, and to parse it is %v: %x", link, tunnels, why, p)
				}
			}
			if opened < 50 {
				t.Errorf("link type %d, %s: only %d packets with a segment inside", link, tunnels, opened)
			}
		}
	}
}

// outerPackets makes packets in tunnels, behind other headers.
type outerPackets struct{ nested }

var (
	tunnelClient = netip.MustParseAddrPort("192.0.2.1:40000")
	tunnelServer = netip.MustParseAddrPort("198.51.100.7:443")
)

func (r outerPackets) packet(link LinkType) []byte {
	inner := packet.TCP{Src: tunnelClient, Dst: tunnelServer, Flags: packet.ACK, Payload: r.IntN(20)}
	six := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::5]:40000"), Dst: netip.MustParseAddrPort("[2001:db8::6]:443"), Flags: packet.ACK}
	var protocol byte
	var body []byte
	switch r.IntN(9) {
	case 0:
		protocol, body = packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, inner.IP())
	case 1:
		protocol, body = packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, inner.Ethernet()))
	case 2:
		protocol, body = packet.ProtoIPv4, inner.IP()
	case 3:
		protocol, body = packet.ProtoIPv6, six.IP()
	case 4:
		protocol, body = packet.ProtoUDP, packet.InUDP([]uint16{4789, 8472}[r.IntN(2)], packet.InVXLAN(inner.Ethernet()))
	case 5:
		protocol, body = packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeIPv4, 8, inner.IP()))
	case 6:
		protocol, body = packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(0, 1, inner.IP()))
	case 7:
		protocol, body = packet.ProtoUDP, packet.InUDP(53, inner.IP())
	default:
		return r.nested.packet(link)
	}
	var ip []byte
	version := 4
	switch r.IntN(4) {
	case 0:
		ip = packet.InIPv4(protocol, body)
	case 1:
		ip = packet.InIPv4(protocol, append([]byte{1, 1, 1, 0}, body...))
		ip[0]++
		if r.chance(4) {
			ip[7] = 5 // a later fragment
		}
	default:
		version = 6
		for range r.IntN(maxExtensions + 1) {
			body = append([]byte{protocol, 0, 1, 4, 0, 0, 0, 0}, body...)
			protocol = r.pick(0, 43, 60, 135)
		}
		ip = packet.InIPv6(protocol, body)
	}
	if link == Raw {
		return ip
	}
	etherType := packet.TypeOf(ip)
	body = ip
	switch r.IntN(4) {
	case 0: // PPPoE
		etherType = 0x8864
		n := len(ip) + 2
		body = slices.Concat([]byte{0x11, 0, 0, 1, byte(n >> 8), byte(n), 0, byte(pppOf(version))}, ip)
	case 1: // MPLS
		etherType = 0x8847
		body = slices.Concat([]byte{0, 1, 0, 64, 0, 2, 1, 64}, ip)
	}
	for range r.IntN(maxTags + 1) {
		body = append([]byte{0, 7, byte(etherType >> 8), byte(etherType)}, body...)
		etherType = 0x8100
	}
	return framedAs(link, etherType, body)
}

// The ordinary packet pays for a look at its protocol.
func TestOuterInstructions(t *testing.T) {
	tcp := framed(EN10MB, ipv4(6, 0, tcpHeader()))
	prog := HeadersOnly(mustTCP(t, EN10MB, snapLen), EN10MB)
	_, before := run(t, prog, tcp, nil)
	all := mustOrOuter(t, prog, EN10MB, outerOf(t, parse.TunnelNames()))
	_, after := run(t, all, tcp, nil)
	t.Logf("%d instructions, %d before; a program of %d", after, before, len(all))
	if after > before+5 {
		t.Errorf("%d instructions, %d before", after, before)
	}
}
