package pcapfilter

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// linkHeaders are the headers before an IP packet of the link types that this package's own program of "tcp"
// knows.
var linkHeaders = map[LinkType]struct{ v4, v6 []byte }{
	EN10MB: {
		[]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00},
		[]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd},
	},
	LinuxSLL: {
		[]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00},
		[]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd},
	},
	LinuxSLL2: {
		[]byte{0x08, 0x00, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0},
		[]byte{0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0},
	},
	Raw: {nil, nil},
}

// ipPackets holds IP packets and the verdicts of "tcp" on them.
var ipPackets = []struct {
	name string
	ip   []byte
	tcp  bool
	// looksAt is the number of bytes of the IP packet that the verdict needs; a shorter one is rejected.
	looksAt int
}{
	{"TCP in IPv4", ipv4(6, 0, tcpHeader()), true, 10},
	{"TCP in IPv4 with options", ipv4Options(6, tcpHeader()), true, 10},
	{"UDP in IPv4", ipv4(17, 0, udpHeader()), false, 10},
	{"ICMP in IPv4", ipv4(1, 0, []byte{8, 0, 0, 0, 0, 1, 0, 1}), false, 10},
	{"first fragment of TCP in IPv4", ipv4(6, 0x2000, tcpHeader()), true, 10},
	{"later fragment of TCP in IPv4, without its header", ipv4(6, 0x00b9, []byte("payload")), true, 10},
	{"later fragment of UDP in IPv4", ipv4(17, 0x00b9, []byte("payload")), false, 10},
	{"TCP in IPv4 in IPv4", ipv4(4, 0, ipv4(6, 0, tcpHeader())), false, 10},
	{"the number of an IPv6 fragment header in IPv4", ipv4(44, 0, tcpHeader()), false, 10},
	{"TCP in IPv6", ipv6(6, tcpHeader()), true, 7},
	{"UDP in IPv6", ipv6(17, udpHeader()), false, 7},
	{"fragment of TCP in IPv6", ipv6(44, append([]byte{6, 0, 0, 1, 0, 0, 0, 9}, tcpHeader()...)), true, 41},
	{"later fragment of TCP in IPv6", ipv6(44, append([]byte{6, 0, 5, 0xa8, 0, 0, 0, 9}, "payload"...)), true, 41},
	{"fragment of UDP in IPv6", ipv6(44, append([]byte{17, 0, 0, 1, 0, 0, 0, 9}, udpHeader()...)), false, 41},
	{"a fragment header in a fragment header", ipv6(44, append([]byte{44, 0, 0, 1, 0, 0, 0, 9, 6, 0, 0, 1, 0, 0, 0, 9}, tcpHeader()...)), true, 49},
	{"a fragment header in a later fragment", ipv6(44, append([]byte{44, 0, 5, 0xa8, 0, 0, 0, 9, 6, 0, 0, 1, 0, 0, 0, 9}, tcpHeader()...)), false, 44},
	{"TCP behind hop-by-hop options in IPv6", ipv6(0, append([]byte{6, 0, 1, 4, 0, 0, 0, 0}, tcpHeader()...)), true, 42},
	{"UDP behind hop-by-hop options in IPv6", ipv6(0, append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udpHeader()...)), false, 42},
	{"TCP behind an authentication header in IPv6", ipv6(51, append([]byte{6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, tcpHeader()...)), true, 42},
	{"no next header in IPv6", ipv6(59, nil), false, 7},
}

// etherFrames are Ethernet frames that are not IP at the usual place, and what "tcp" says of them.
var etherFrames = []struct {
	name  string
	frame []byte
	tcp   bool
}{
	{"nothing", nil, false},
	{"ARP", ether(0x0806, []byte{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 6, 6, 6, 6, 0, 0, 0, 0, 0, 0, 6, 6, 6, 6}), false},
	{"TCP behind an 802.1Q tag", ether(0x8100, append([]byte{0, 5, 0x08, 0x00}, ipv4(6, 0, tcpHeader())...)), true},
	{"TCP behind two tags", ether(0x88a8, append([]byte{0, 5, 0x81, 0x00, 0, 6, 0x08, 0x00}, ipv4(6, 0, tcpHeader())...)), true},
	{"TCP in PPPoE", ether(0x8864, append([]byte{0x11, 0, 0, 1, 0, 62, 0x00, 0x21}, ipv4(6, 0, tcpHeader())...)), true},
	{"TCP in MPLS", ether(0x8847, append([]byte{0, 1, 1, 64}, ipv4(6, 0, tcpHeader())...)), true},
	{"UDP behind an 802.1Q tag", ether(0x8100, append([]byte{0, 5, 0x08, 0x00}, ipv4(17, 0, udpHeader())...)), false},
	{"TCP behind four tags", ether(0x88a8, append([]byte{0, 5, 0x81, 0x00, 0, 6, 0x81, 0x00, 0, 7, 0x81, 0x00, 0, 8, 0x08, 0x00}, ipv4(6, 0, tcpHeader())...)), false},
	{"LCP in PPPoE", ether(0x8864, []byte{0xc0, 0x21, 0, 1, 0, 6, 0xc0, 0x21, 9, 0, 0, 4}), false},
	{"an 802.3 length instead of an EtherType", ether(0x0040, ipv4(6, 0, tcpHeader())), false},
}

func ether(etherType uint16, payload []byte) []byte {
	return append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, byte(etherType >> 8), byte(etherType)}, payload...)
}

func ipv4(protocol byte, fragment uint16, payload []byte) []byte {
	return append([]byte{
		0x45, 0x00, 0x00, byte(20 + len(payload)), // v4, IHL 5, total length
		0x12, 0x34, byte(fragment >> 8), byte(fragment), // identification, flags and offset
		0x40, protocol, 0x00, 0x00, // TTL 64, protocol, checksum
		10, 0, 0, 1,
		10, 0, 0, 2,
	}, payload...)
}

func ipv4Options(protocol byte, payload []byte) []byte {
	p := ipv4(protocol, 0, append([]byte{1, 1, 1, 0}, payload...)) // three NOPs, end of options
	p[0] = 0x46                                                    // IHL 6
	return p
}

func ipv6(nextHeader byte, payload []byte) []byte {
	return append([]byte{
		0x60, 0x00, 0x00, 0x00, // v6
		0x00, byte(len(payload)), nextHeader, 0x40, // payload length, next header, hop limit 64
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	}, payload...)
}

func tcpHeader() []byte {
	return []byte{
		0x30, 0x39, 0x01, 0xbb, // ports 12345 → 443
		0, 0, 0, 1, 0, 0, 0, 2, // seq, ack
		0x50, 0x10, 0xff, 0xff, // data offset 5, ACK, window
		0, 0, 0, 0, // checksum, urgent pointer
	}
}

func udpHeader() []byte { return []byte{0x30, 0x39, 0x00, 0x35, 0, 8, 0, 0} }

// framed puts an IP packet behind the header of its link type.
func framed(link LinkType, ip []byte) []byte {
	h := linkHeaders[link].v4
	if ip[0]>>4 == 6 {
		h = linkHeaders[link].v6
	}
	return append(slices.Clone(h), ip...)
}

// framedAs puts bytes behind the header of a link type that has EtherTypes.
func framedAs(link LinkType, etherType uint16, body []byte) []byte {
	h := slices.Clone(linkHeaders[link].v4)
	at := len(h) - 2
	if link == LinuxSLL2 {
		at = 0
	}
	binary.BigEndian.PutUint16(h[at:], etherType)
	return append(h, body...)
}

// vm makes a user space machine for a program. Programs with ancillary loads cannot run in it.
func vm(t testing.TB, prog []bpf.RawInstruction) *bpf.VM {
	t.Helper()
	ins, decoded := bpf.Disassemble(prog)
	if !decoded {
		t.Fatalf("the program has unknown instructions: %v", ins)
	}
	m, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func verdict(t testing.TB, m *bpf.VM, packet []byte) int {
	t.Helper()
	n, err := m.Run(packet)
	if err != nil {
		t.Fatalf("packet %x: %v", packet, err)
	}
	return n
}

func mustCompile(t testing.TB, filter string, link LinkType, snapLen int) []bpf.RawInstruction {
	t.Helper()
	prog, err := Compile(filter, link, snapLen)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}
