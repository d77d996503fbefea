package pcapfilter

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/internal/recorded"
	"tcp-stream-exporter/parse"
)

func mustFanout(t testing.TB, tunnels bool) []bpf.RawInstruction {
	t.Helper()
	prog, err := Fanout(tunnels)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// asArrived returns a frame as the kernel hands it to a fanout program where it arrives: from the network header on. The
// outer tag, which the kernel has taken out, is not in it.
func asArrived(link LinkType, frame []byte) ([]byte, metadata) {
	if link == Raw {
		etherType := uint32(etherIPv4)
		if len(frame) > 0 && frame[0]>>4 == 6 {
			etherType = etherIPv6
		}
		return frame, metadata{bpf.ExtProto: etherType, bpf.ExtLinkLayerType: 65534}
	}
	return frame[14:], metadata{bpf.ExtProto: uint32(frame[12])<<8 | uint32(frame[13]), bpf.ExtLinkLayerType: 1}
}

// asSent returns one that is sent: all of it.
func asSent(link LinkType, frame []byte) ([]byte, metadata) {
	hatype := uint32(1)
	if link == Raw {
		hatype = 65534
	}
	return frame, metadata{bpf.ExtType: 4, bpf.ExtLinkLayerType: hatype, bpf.ExtProto: 0xffff}
}

// fanoutHash returns what a program returns for a frame, which must be the same where it arrives and where it is sent.
func fanoutHash(t testing.TB, prog []bpf.RawInstruction, link LinkType, frame []byte) uint32 {
	t.Helper()
	b, meta := asArrived(link, frame)
	arrived, _ := run(t, prog, b, meta)
	b, meta = asSent(link, frame)
	if sent, _ := run(t, prog, b, meta); sent != arrived {
		t.Fatalf("link type %d, frame %x: %#x where it is sent, %#x where it arrives", link, frame, sent, arrived)
	}
	return uint32(arrived)
}

// isHashOf reports whether a program's value is package parse's hash of a connection, by samples that it is in and
// those that it is not in.
func isHashOf(value uint32, f *parse.Flow) bool {
	hash := value ^ value>>16
	for _, n := range []int{2, 3, 5, 10, 100, 1000} {
		if parse.OneIn(n).Selects(f) != (hash < uint32(1<<32/uint64(n))) {
			return false
		}
	}
	return true
}

// In the link types of interfaces, and behind all that the program of "tcp" looks behind.
func TestFanoutAgreesWithParse(t *testing.T) {
	for _, tunnels := range []bool{false, true} {
		prog := mustFanout(t, tunnels)
		for _, link := range []LinkType{EN10MB, Raw} {
			r := nested{rand.New(rand.NewPCG(uint64(link), 31))}
			segments := 0
			const packets = 10_000
			for range packets {
				p := r.packet(link)
				r.ends(p)
				var seg parse.Segment
				why := parse.Frame(parse.LinkFromDLT(uint32(link)), p, uint32(len(p)), &seg)
				if tcp, tooDeep := wantTCP(link, p); why != parse.OK || tooDeep || !tcp {
					if len(p) >= 14 {
						fanoutHash(t, prog, link, p)
					}
					continue
				}
				segments++
				if got := fanoutHash(t, prog, link, p); !isHashOf(got, &seg.Flow) {
					t.Fatalf("link type %d, frame %x: %#x is not its hash", link, p, got)
				}
			}
			if segments < packets/5 {
				t.Errorf("link type %d: %d of %d packets were segments", link, segments, packets)
			}
		}
		for _, f := range recorded.Frames(recorded.Ethernet) {
			var seg parse.Segment
			if parse.Frame(parse.LinkEthernet, f.Data, f.WireLen, &seg) != parse.OK {
				continue
			}
			if got := fanoutHash(t, prog, EN10MB, f.Data); !isHashOf(got, &seg.Flow) {
				t.Fatalf("frame %x: %#x is not its hash", f.Data, got)
			}
		}
	}
}

// tunnelled makes packets in encapsulations, whose inner addresses and ports are random.
type tunnelled struct{ nested }

// connection returns the segments of a connection in both directions.
func (r tunnelled) connection() (there, back packet.TCP) {
	end := func(six bool) netip.AddrPort {
		b := make([]byte, 4, 16)
		if six {
			b = b[:16]
		}
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		a, _ := netip.AddrFromSlice(b)
		return netip.AddrPortFrom(a, uint16(r.Uint32()))
	}
	six := r.chance(3)
	there = packet.TCP{Src: end(six), Dst: end(six), Flags: packet.ACK, Payload: r.IntN(20)}
	back = there
	back.Src, back.Dst = there.Dst, there.Src
	return there, back
}

// around returns a random encapsulation. It is the same for each packet, but for what differs by direction: the outer
// addresses and UDP ports.
func (r tunnelled) around() func(ip []byte, back bool) []byte {
	kind, six, fields, options, extensions := r.IntN(9), r.chance(3), uint16(r.Uint32()), 4*r.IntN(64), r.IntN(3)
	more := r.IntN(maxExtensions + 1)
	fields &= 0x8000 | 0x2000 | packet.GRESequence
	return func(ip []byte, back bool) []byte {
		frame := packet.InEthernet(packet.TypeOf(ip), ip)
		var protocol byte
		var body []byte
		switch kind {
		case 0:
			protocol, body = packet.ProtoGRE, packet.InGRE(fields, packet.TypeOf(ip), ip)
		case 1:
			protocol, body = packet.ProtoGRE, packet.InGRE(fields, 0x6558, frame)
		case 2:
			if protocol, body = packet.ProtoIPv4, ip; ip[0]>>4 == 6 {
				protocol = packet.ProtoIPv6
			}
		case 3:
			protocol, body = packet.ProtoUDP, packet.InUDP([]uint16{4789, 8472}[options&4/4], packet.InVXLAN(frame))
		case 4:
			protocol, body = packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(packet.TypeOf(ip), options, ip))
		case 5:
			protocol, body = packet.ProtoUDP, packet.InUDP(6081, packet.InGENEVE(0x6558, options, frame))
		case 6:
			protocol, body = packet.ProtoUDP, packet.InUDP(2152, packet.InGTPU(byte(options&4/4), extensions, ip))
		case 7:
			protocol, body = packet.ProtoGRE, packet.InGRE(packet.GRESequence, packet.TypeERSPAN, packet.InERSPAN2(false, frame))
			if options > 16 {
				protocol, body = packet.ProtoGRE, packet.InGRE(0, packet.TypeERSPAN, frame) // type I
			}
		case 8:
			inIP := extensions == 1
			in := frame
			if inIP {
				in = ip
			}
			protocol, body = packet.ProtoGRE, packet.InGRE(packet.GRESequence, 0x22eb, packet.InERSPAN3(false, options > 16, inIP, in))
		}
		if protocol == packet.ProtoUDP && back {
			body[0], body[1] = body[0]^0x55, body[1]^0x11
		}
		var out []byte
		if six {
			for range more {
				body = append([]byte{protocol, 0, 1, 4, 0, 0, 0, 0}, body...)
				protocol = 60
			}
			out = packet.InIPv6(protocol, body)
		} else {
			out = packet.InIPv4(protocol, body)
		}
		if back && !six {
			out[12], out[16] = out[16], out[12]
		}
		return out
	}
}

func TestFanoutOpensTunnels(t *testing.T) {
	every, err := parse.ParseTunnels(parse.TunnelNames())
	if err != nil {
		t.Fatal(err)
	}
	prog := mustFanout(t, true)
	t.Logf("%d instructions, %d without tunnels", len(prog), len(mustFanout(t, false)))
	r := tunnelled{nested{rand.New(rand.NewPCG(31, 7))}}
	for _, link := range []LinkType{EN10MB, Raw} {
		for range 10_000 {
			there, back := r.connection()
			around := make([]func([]byte, bool) []byte, 1+r.IntN(maxOpened))
			for i := range around {
				around[i] = r.around()
			}
			tags := r.IntN(maxTags + 1)
			wrap := func(p packet.TCP, back bool) []byte {
				b := p.IP()
				for _, a := range around {
					b = a(b, back)
				}
				if link == EN10MB {
					return packet.InEthernet(packet.TypeOf(b), b, []uint32{0x88a80001, 0x81000002, 0x91000003}[:tags]...)
				}
				return b
			}
			one, other := wrap(there, false), wrap(back, true)
			var seg parse.Segment
			if why := (parse.Decoder{Tunnels: every}).Frame(parse.LinkFromDLT(uint32(link)), one, uint32(len(one)), &seg); why != parse.OK {
				t.Fatalf("to parse it is %v: %x", why, one)
			}
			got := fanoutHash(t, prog, link, one)
			if !isHashOf(got, &seg.Flow) {
				t.Fatalf("link type %d, frame %x: %#x is not its hash", link, one, got)
			}
			if reverse := fanoutHash(t, prog, link, other); reverse != got {
				t.Fatalf("link type %d, frame %x: %#x, and its reverse %#x", link, one, got, reverse)
			}
		}
	}
}

// What has no ports, or is nested deeper, is shared out by addresses, which both directions have in common.
func TestFanoutByAddresses(t *testing.T) {
	prog := mustFanout(t, true)
	segment := packet.TCP{Src: tunnelClient, Dst: tunnelServer, Flags: packet.ACK, Payload: 40}
	later := func(ip []byte) []byte { ip = bytes.Clone(ip); ip[7] = 9; return ip }
	in := func(protocol byte, body []byte) []byte { return packet.InIPv4(protocol, body) }
	deep := in(packet.ProtoIPv4, in(packet.ProtoIPv4, in(packet.ProtoGRE, packet.InGRE(0, packet.TypeIPv4, segment.IP()))))
	cases := map[string][]byte{
		"later fragment of TCP":              later(segment.IP()),
		"UDP":                                in(packet.ProtoUDP, packet.InUDP(53, make([]byte, 20))),
		"GRE of version 1":                   in(packet.ProtoGRE, packet.InGRE(1, packet.TypeIPv4, segment.IP())),
		"VXLAN without flag I":               in(packet.ProtoUDP, packet.InUDP(4789, make([]byte, 60))),
		"GTP-U that is no G-PDU":             in(packet.ProtoUDP, packet.InUDP(2152, []byte{0x30, 1, 0, 4, 0, 0, 0, 0})),
		"three encapsulations":               deep,
		"later fragment in IPv6":             packet.InIPv6(44, append([]byte{6, 0, 5, 0xa8, 0, 0, 0, 9}, "no ports, though they may look so"...)),
		"GENEVE control message":             in(packet.ProtoUDP, packet.InUDP(6081, []byte{0, 0x80, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
		"GRE with a protocol that is no IP":  in(packet.ProtoGRE, packet.InGRE(0, 0x8035, make([]byte, 20))),
		"later fragment in an encapsulation": in(packet.ProtoIPv4, later(segment.IP())),
	}
	values := map[uint32]bool{}
	for name, ip := range cases {
		t.Run(name, func(t *testing.T) {
			got := fanoutHash(t, prog, EN10MB, packet.InEthernet(packet.TypeOf(ip), ip))
			if raw := fanoutHash(t, prog, Raw, ip); raw != got || got == 0 {
				t.Errorf("%#x, without a link header %#x", got, raw)
			}
			values[got] = true
			other := bytes.Clone(ip)
			at, n := 12, 4
			if ip[0]>>4 == 6 {
				at, n = 8, 16
			}
			if name == "three encapsulations" || name == "later fragment in an encapsulation" {
				at += 20 // of the innermost header that is reached
			}
			if name == "three encapsulations" {
				at += 20
			}
			copy(other[at:], slices.Concat(ip[at+n:at+2*n], ip[at:at+n]))
			if back := fanoutHash(t, prog, Raw, other); back != got {
				t.Errorf("%#x, and with the addresses the other way round %#x", got, back)
			}
			other[at+n-1] ^= 1
			if one := fanoutHash(t, prog, Raw, other); one == got {
				t.Errorf("%#x, and so it is with another address", got)
			}
		})
	}
	for name, frame := range map[string][]byte{
		"ARP":                          packet.InEthernet(0x0806, make([]byte, 28)),
		"a segment without its ports":  packet.InEthernet(packet.TypeIPv4, segment.IP()[:22]),
		"a frame that ends in its tag": packet.InEthernet(0x8100, []byte{0, 1}),
	} {
		if got := fanoutHash(t, prog, EN10MB, frame); got != 0 {
			t.Errorf("%s: %#x", name, got)
		}
	}
}

// The lower bits count: the kernel divides by the number of sockets. So they do in a sample.
func TestFanoutSpreads(t *testing.T) {
	const n = 1 << 15
	prog := mustFanout(t, false)
	for _, oneIn := range []int{1, 16} {
		for _, sockets := range []uint32{2, 3, 4, 8} {
			on, all := make([]int, sockets), 0
			for c := range n {
				frame := framed(EN10MB, between(4, c&0xff, 40000+c>>8, false))
				value := fanoutHash(t, prog, EN10MB, frame)
				if hash := value ^ value>>16; hash < uint32((1<<32-1)/uint64(oneIn)) {
					on[value%sockets]++
					all++
				}
			}
			want := all / int(sockets)
			if all < n/oneIn*8/10 || slices.Min(on) < want*8/10 || slices.Max(on) > want*12/10 {
				t.Errorf("one in %d of %d connections, %d, on %d sockets: %v", oneIn, n, all, sockets, on)
			}
		}
	}
}

func TestFanoutInstructions(t *testing.T) {
	for _, tunnels := range []bool{false, true} {
		prog := mustFanout(t, tunnels)
		newKernelFilter(t, prog) // the kernel takes it
		for _, c := range []struct{ version, want int }{{4, 51}, {6, 70}} {
			b, meta := asArrived(EN10MB, framed(EN10MB, between(c.version, 1, 40000, false)))
			if _, got := run(t, prog, b, meta); got != c.want {
				t.Errorf("IPv%d: %d instructions, want %d; the program has %d", c.version, got, c.want, len(prog))
			}
		}
	}
}
