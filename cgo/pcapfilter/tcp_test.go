package pcapfilter

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/recorded"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
)

const snapLen = 192

func mustTCP(t testing.TB, link LinkType, snapLen int) []bpf.RawInstruction {
	t.Helper()
	prog, err := tcpProgram(ipInLink[link], snapLen)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// tcpMachine holds the program of "tcp" for a link type.
type tcpMachine struct {
	link LinkType
	vm   *bpf.VM
}

func tcpMachines(t testing.TB) (all []tcpMachine) {
	t.Helper()
	for link := range linkHeaders {
		all = append(all, tcpMachine{link, vm(t, mustTCP(t, link, snapLen))})
	}
	return all
}

// check holds the program's verdict on a packet against the rules of wantTCP, and against package parse both
// ways: what parse finds a segment in passes, if it is not nested deeper than the program looks, and what
// passes is TCP to parse too, be it cut off, malformed or a later fragment.
func (m tcpMachine) check(t testing.TB, packet []byte) (accepted bool) {
	t.Helper()
	return m.checkCut(t, packet, uint32(len(packet)))
}

// checkCut is check for the first bytes of a packet that had wireLen.
func (m tcpMachine) checkCut(t testing.TB, packet []byte, wireLen uint32) (accepted bool) {
	t.Helper()
	n := verdict(t, m.vm, packet)
	if n != 0 && n != snapLen {
		t.Fatalf("link type %d, packet %x: accepted with %d bytes", m.link, packet, n)
	}
	accepted = n != 0
	want, tooDeep := wantTCP(m.link, packet)
	if accepted != want {
		t.Fatalf("link type %d, packet %x: accepted %v, want %v", m.link, packet, accepted, want)
	}
	var seg parse.Segment
	why := parse.Frame(parse.LinkFromDLT(uint32(m.link)), packet, wireLen, &seg)
	if !accepted && !tooDeep && why == parse.OK {
		t.Fatalf("link type %d, packet %x: rejected, and parse finds a segment", m.link, packet)
	}
	if accepted {
		switch why {
		case parse.OK, parse.Fragment, parse.Truncated, parse.BadIPHeader:
		default:
			t.Fatalf("link type %d, packet %x: accepted, and to parse it is %v", m.link, packet, why)
		}
	}
	return accepted
}

// cursor reads a packet from front to back. What lies behind its end sets short.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) byte(at int) int {
	if at >= len(c.b) {
		c.short = true
		return 0
	}
	return int(c.b[at])
}

func (c *cursor) pair(at int) int { return c.byte(at)<<8 | c.byte(at+1) }

func (c *cursor) skip(n int) { c.b = c.b[min(n, len(c.b)):] }

// wantTCP states what "tcp" is to accept, written independently of the program. A packet that leads
// deeper than the program looks is tooDeep, and not wanted.
func wantTCP(link LinkType, packet []byte) (want, tooDeep bool) {
	c := &cursor{b: packet}
	typ := 0
	switch link {
	case EN10MB:
		typ = c.pair(12)
		c.skip(14)
	case LinuxSLL:
		typ = c.pair(14)
		c.skip(16)
	case LinuxSLL2:
		typ = c.pair(0)
		c.skip(20)
	case Raw:
		want, tooDeep = wantIP(c)
		return want && !c.short, tooDeep
	}
	isTag := func() bool { return typ == 0x8100 || typ == 0x88a8 || typ == 0x9100 }
	for range 3 {
		if isTag() {
			typ = c.pair(2)
			c.skip(4)
		}
	}
	switch {
	case isTag():
		return false, true
	case typ == 0x0800:
		want = wantIPv4(c)
	case typ == 0x86dd:
		want, tooDeep = wantIPv6(c)
	case typ == 0x8864:
		c.skip(6)
		protocol, n := c.byte(0), 1
		if protocol%2 == 0 {
			protocol, n = c.pair(0), 2
		}
		c.skip(n)
		if protocol == 0x21 || protocol == 0x57 {
			want, tooDeep = wantIP(c)
		}
	case typ == 0x8847:
		for labels := 1; ; labels++ {
			bottom := c.byte(2)%2 == 1
			c.skip(4)
			if bottom {
				want, tooDeep = wantIP(c)
				break
			}
			if labels == 4 {
				return false, true
			}
		}
	}
	return want && !c.short, tooDeep
}

func wantIP(c *cursor) (want, tooDeep bool) {
	switch c.byte(0) / 16 {
	case 4:
		return wantIPv4(c), false
	case 6:
		return wantIPv6(c)
	}
	return false, false
}

func wantIPv4(c *cursor) bool { return c.byte(9) == 6 }

func wantIPv6(c *cursor) (want, tooDeep bool) {
	header := c.byte(6)
	c.skip(40)
	for range 4 {
		length := 0
		switch header {
		case 6:
			return true, false
		case 0, 43, 60, 135:
			length = 8 * (c.byte(1) + 1)
		case 51:
			length = 4 * (c.byte(1) + 2)
		case 44:
			if c.byte(0) == 6 {
				return true, false
			}
			if c.pair(2)/8 != 0 { // a later fragment: what follows is no header
				return false, false
			}
			length = 8
		default:
			return false, false
		}
		header = c.byte(0)
		c.skip(length)
	}
	return header == 6, slices.Contains([]int{0, 43, 44, 51, 60, 135}, header)
}

// nested makes packets with headers nested at random, up to one deeper than the program looks.
type nested struct{ *rand.Rand }

func (r nested) chance(oneIn int) bool { return r.IntN(oneIn) == 0 }

func (r nested) pick(from ...byte) byte { return from[r.IntN(len(from))] }

func (r nested) packet(link LinkType) []byte {
	ip, version := r.ip()
	if link == Raw {
		return ip
	}
	etherType := map[int]uint16{4: 0x0800, 6: 0x86dd}[version]
	body := ip
	switch r.IntN(4) {
	case 0: // PPPoE
		ppp := [][]byte{{0x00, byte(pppOf(version))}, {byte(pppOf(version))}}[r.IntN(2)]
		if r.chance(8) {
			ppp = []byte{0xc0, 0x21} // LCP
		}
		etherType = 0x8864
		body = slices.Concat([]byte{0x11, 0, 0, 1, byte(len(ip) >> 8), byte(len(ip) + 2)}, ppp, ip)
	case 1: // MPLS
		etherType = 0x8847
		for i := range 1 + r.IntN(5) {
			bottom := byte(0)
			if i == 0 {
				bottom = 1
			}
			body = append([]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())&0xfe | bottom, 64}, body...)
		}
	}
	if r.chance(16) {
		etherType = 0x0806
	}
	for range max(0, r.IntN(9)-4) { // none as often as some
		tag := binary.BigEndian.AppendUint16([]byte{byte(r.Uint32()), byte(r.Uint32())}, etherType)
		body = append(tag, body...)
		etherType = []uint16{0x8100, 0x88a8, 0x9100}[r.IntN(3)]
	}
	return framedAs(link, etherType, body)
}

func pppOf(version int) int { return map[int]int{4: 0x21, 6: 0x57}[version] }

// ip is an IP packet that is TCP more often than not.
func (r nested) ip() (packet []byte, version int) {
	protocol := r.pick(6, 6, 6, 17, 58)
	if r.chance(2) {
		fragment := uint16(0)
		if r.chance(4) {
			fragment = uint16(r.Uint32())
		}
		if r.chance(4) {
			return ipv4Options(protocol, tcpHeader()), 4
		}
		return ipv4(protocol, fragment, tcpHeader()), 4
	}
	body := tcpHeader()
	for range max(0, r.IntN(9)-3) {
		switch kind := r.pick(0, 43, 44, 51, 60, 135); kind {
		case 44:
			offset := uint16(1) // more fragments
			if r.chance(3) {
				offset = 1 << r.IntN(16)
			}
			body = append([]byte{protocol, 0, byte(offset >> 8), byte(offset), 0, 0, 0, 9}, body...)
			protocol = kind
		case 51:
			words := r.IntN(4)
			header := make([]byte, 8+4*words)
			header[0], header[1] = protocol, byte(words)
			body, protocol = append(header, body...), kind
		default:
			units := r.IntN(3)
			header := make([]byte, 8+8*units)
			header[0], header[1] = protocol, byte(units)
			body, protocol = append(header, body...), kind
		}
	}
	return ipv6(protocol, body), 6
}

func TestTCPOnNestedHeaders(t *testing.T) {
	for _, m := range tcpMachines(t) {
		t.Run(fmt.Sprintf("link type %d", m.link), func(t *testing.T) {
			r := nested{rand.New(rand.NewPCG(uint64(m.link), 11))}
			accepted, deep := 0, 0
			const packets = 30_000
			for range packets {
				packet := r.packet(m.link)
				if m.check(t, packet) {
					accepted++
				}
				if _, tooDeep := wantTCP(m.link, packet); tooDeep {
					deep++
				}
				m.check(t, packet[:r.IntN(len(packet)+1)])
				for range 3 {
					packet[r.IntN(min(len(packet), 90))] = byte(r.Uint32())
					m.check(t, packet)
				}
			}
			if accepted < packets/4 || accepted > packets*9/10 || deep < packets/200 {
				t.Errorf("of %d packets %d were accepted, %d too deep: they show little", packets, accepted, deep)
			}
		})
	}
}

func TestTCPOnRecordedFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 12))
	for _, m := range tcpMachines(t) {
		for _, f := range append(recorded.Frames(recorded.Ethernet), recorded.Frames(recorded.Cooked)...) {
			for cut := range len(f.Data) + 1 {
				m.check(t, f.Data[:cut])
			}
			for range 100 {
				frame := slices.Clone(f.Data)
				frame[r.IntN(min(len(frame), 90))] = byte(r.Uint32())
				m.check(t, frame)
			}
		}
	}
}

func TestTCPOnSampleCaptures(t *testing.T) {
	const folder = "../../../shared/pcaps"
	need.File(t, folder)
	files, err := filepath.Glob(filepath.Join(folder, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captures in %s, error %v", len(files), folder, err)
	}
	machines := map[parse.Link]tcpMachine{}
	for _, m := range tcpMachines(t) {
		machines[parse.LinkFromDLT(uint32(m.link))] = m
	}
	accepted := map[string]int{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := pcapfile.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var p pcapfile.Packet
		for err = r.Next(&p); err == nil; err = r.Next(&p) {
			if m, known := machines[p.Link]; known && m.checkCut(t, p.Data, p.WireLen) {
				accepted[filepath.Base(name)]++
			}
		}
		if err != io.EOF {
			t.Logf("%s: %v", name, err)
		}
	}
	t.Log(accepted)
	if accepted["pppoe-qinq.pcap"] == 0 {
		t.Error("none of the packets of pppoe-qinq.pcap is accepted")
	}
}

func FuzzTCP(f *testing.F) {
	r := nested{rand.New(rand.NewPCG(5, 13))}
	machines := tcpMachines(f)
	for _, m := range machines {
		for range 20 {
			f.Add(r.packet(m.link))
		}
	}
	for _, p := range ipPackets {
		f.Add(framed(EN10MB, p.ip))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, m := range machines {
			m.check(t, packet)
		}
	})
}

func TestTCPVerdicts(t *testing.T) {
	for link := range linkHeaders {
		m := vm(t, mustCompile(t, "tcp", link, snapLen))
		for _, p := range ipPackets {
			packet := framed(link, p.ip)
			headers := len(packet) - len(p.ip)
			for cut := range len(packet) + 1 {
				want := 0
				if p.tcp && cut >= headers+p.looksAt {
					want = snapLen
				}
				if got := verdict(t, m, packet[:cut]); got != want {
					t.Errorf("link type %d, %s, first %d of %d bytes: %d, want %d", link, p.name, cut, len(packet), got, want)
				}
			}
		}
	}
}

func TestTCPVerdictsOnFrames(t *testing.T) {
	m := vm(t, mustCompile(t, "tcp", EN10MB, snapLen))
	for _, f := range etherFrames {
		want := 0
		if f.tcp {
			want = snapLen
		}
		if got := verdict(t, m, f.frame); got != want {
			t.Errorf("%s: %d, want %d", f.name, got, want)
		}
	}
}

// The ordinary packet must stay cheap: it is nearly all that the kernel runs the program on.
func TestTCPInstructions(t *testing.T) {
	for _, c := range []struct {
		name   string
		link   LinkType
		packet []byte
		tcp    int // executed by "tcp", at most
		cut    int // and by HeadersOnly of it
	}{
		{"TCP in IPv4 over Ethernet", EN10MB, framed(EN10MB, ipv4(6, 0, tcpHeader())), 5, 19},
		{"UDP in IPv4 over Ethernet", EN10MB, framed(EN10MB, ipv4(17, 0, udpHeader())), 5, 5},
		{"TCP in IPv6 over Ethernet", EN10MB, framed(EN10MB, ipv6(6, tcpHeader())), 6, 11},
		{"TCP in IPv4 behind a tag", EN10MB, etherFrames[2].frame, 11, 16},
		{"ARP", EN10MB, etherFrames[1].frame, 10, 10},
		{"TCP in IPv4 without a link header", Raw, framed(Raw, ipv4(6, 0, tcpHeader())), 6, 6},
		{"TCP in IPv6 without a link header", Raw, framed(Raw, ipv6(6, tcpHeader())), 7, 7},
		{"TCP in IPv4, cooked", LinuxSLL, framed(LinuxSLL, ipv4(6, 0, tcpHeader())), 5, 5},
	} {
		prog := mustTCP(t, c.link, snapLen)
		_, n := run(t, prog, c.packet, nil)
		_, cut := run(t, HeadersOnly(slices.Clone(prog), c.link), c.packet, nil)
		t.Logf("%s: %d instructions, %d with HeadersOnly", c.name, n, cut)
		if n > c.tcp || cut > c.cut {
			t.Errorf("%s: %d instructions, %d with HeadersOnly, want at most %d and %d", c.name, n, cut, c.tcp, c.cut)
		}
	}
	for link := range linkHeaders {
		t.Logf("link type %d: a program of %d instructions", link, len(mustTCP(t, link, snapLen)))
	}
}

func TestMachineAgrees(t *testing.T) {
	r := nested{rand.New(rand.NewPCG(7, 14))}
	for _, m := range tcpMachines(t) {
		prog := mustTCP(t, m.link, snapLen)
		for range 5000 {
			packet := r.packet(m.link)
			packet = packet[:r.IntN(len(packet)+1)]
			if got, _ := run(t, prog, packet, nil); got != verdict(t, m.vm, packet) {
				t.Fatalf("link type %d, packet %x: %d, by bpf.VM %d", m.link, packet, got, verdict(t, m.vm, packet))
			}
		}
	}
}
