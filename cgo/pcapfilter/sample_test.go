package pcapfilter

import (
	"fmt"
	"io"
	"math"
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

// everything is the empty filter's program, in all builds.
func everything(snapLen int) []bpf.RawInstruction {
	const ret = 0x06 // BPF_RET | BPF_K
	return []bpf.RawInstruction{{Op: ret, K: uint32(snapLen)}}
}

func mustSample(t testing.TB, prog []bpf.RawInstruction, link LinkType, oneIn int) []bpf.RawInstruction {
	t.Helper()
	prog, err := Sample(prog, link, oneIn)
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// sampleMachine holds the program of a sample of all packets beside the sample of package parse.
type sampleMachine struct {
	link   LinkType
	vm     *bpf.VM
	sample parse.Sample
}

func sampleMachines(t testing.TB, oneIn int) (all []sampleMachine) {
	t.Helper()
	for link := range linkHeaders {
		all = append(all, sampleMachine{link, vm(t, mustSample(t, everything(snapLen), link, oneIn)), parse.OneIn(oneIn)})
	}
	return all
}

// check holds the program against package parse: it accepts the segments of the sample, and nothing of which parse says
// that it is no TCP. What wantTCP calls too deep is rejected. It reports whether parse found a segment not too deep, and
// whether that was selected.
func (m sampleMachine) check(t testing.TB, packet []byte, wireLen uint32) (segment, selected bool) {
	t.Helper()
	accepted := verdict(t, m.vm, packet) != 0
	var seg parse.Segment
	why := parse.Frame(parse.LinkFromDLT(uint32(m.link)), packet, wireLen, &seg)
	tcp, tooDeep := wantTCP(m.link, packet)
	switch {
	case tooDeep || why == parse.OK && !tcp:
		if accepted {
			t.Fatalf("link type %d, packet %x: nested too deep, and accepted", m.link, packet)
		}
	case why == parse.OK:
		if want := m.sample.Selects(&seg.Flow); accepted != want {
			t.Fatalf("link type %d, packet %x: accepted %v, want %v as in package parse", m.link, packet, accepted, want)
		}
		return true, accepted
	case why == parse.Fragment, why == parse.NotTCP:
		if accepted {
			t.Fatalf("link type %d, packet %x: accepted, and to parse it is %v", m.link, packet, why)
		}
	}
	return false, false
}

// ends gives a packet of nested, whose addresses and ports are always the same, random ones.
func (r nested) ends(packet []byte) {
	for _, known := range [][]byte{{10, 0, 0, 1, 10, 0, 0, 2}, ipv6(6, nil)[8:]} {
		if at := index(packet, known); at >= 0 {
			for i := range known {
				packet[at+i] = byte(r.Uint32())
			}
			if len(known) == 32 && r.chance(4) { // IPv4-mapped, both
				for _, half := range []int{at, at + 16} {
					copy(packet[half:], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
				}
			}
		}
	}
	if at := index(packet, tcpHeader()); at >= 0 {
		for i := range 4 {
			packet[at+i] = byte(r.Uint32())
		}
	}
}

func index(packet, part []byte) int {
	for at := range len(packet) - len(part) + 1 {
		if slices.Equal(packet[at:at+len(part)], part) {
			return at
		}
	}
	return -1
}

func TestSampleAgreesWithParse(t *testing.T) {
	for _, oneIn := range []int{2, 7} {
		for _, m := range sampleMachines(t, oneIn) {
			t.Run(fmt.Sprintf("one in %d, link type %d", oneIn, m.link), func(t *testing.T) {
				r := nested{rand.New(rand.NewPCG(uint64(m.link), 21))}
				segments, selected := 0, 0
				const packets = 10_000
				for range packets {
					packet := r.packet(m.link)
					r.ends(packet)
					segment, taken := m.check(t, packet, uint32(len(packet)))
					if segment {
						segments++
					}
					if taken {
						selected++
					}
					for range 3 {
						packet[r.IntN(min(len(packet), 90))] = byte(r.Uint32())
						m.check(t, packet, uint32(len(packet)))
					}
				}
				if want := segments / oneIn; segments < packets/5 || selected < want*8/10 || selected > want*12/10 {
					t.Errorf("of %d packets %d were segments and %d of them selected: want %d", packets, segments, selected, want)
				}
			})
		}
	}
}

func TestSampleOfRecordedFrames(t *testing.T) {
	for _, m := range sampleMachines(t, 2) {
		for _, f := range append(recorded.Frames(recorded.Ethernet), recorded.Frames(recorded.Cooked)...) {
			m.check(t, f.Data, f.WireLen)
		}
	}
}

func TestSampleOfSampleCaptures(t *testing.T) {
	const folder = "../../../shared/pcaps"
	need.File(t, folder)
	files, err := filepath.Glob(filepath.Join(folder, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d captures in %s, error %v", len(files), folder, err)
	}
	machines := map[parse.Link]sampleMachine{}
	for _, m := range sampleMachines(t, 2) {
		machines[parse.LinkFromDLT(uint32(m.link))] = m
	}
	segments, selected := 0, 0
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
			if m, known := machines[p.Link]; known {
				segment, taken := m.check(t, p.Data, p.WireLen)
				if segment {
					segments++
				}
				if taken {
					selected++
				}
			}
		}
		if err != io.EOF {
			t.Logf("%s: %v", name, err)
		}
	}
	t.Logf("%d segments, %d selected", segments, selected)
	if selected == 0 || selected == segments {
		t.Errorf("%d of %d segments selected: they show little", selected, segments)
	}
}

// TestSampleTakesConnectionsWhole runs the kernel's program over both directions of connections that differ in the
// client's port alone, and in the last byte of its address alone.
func TestSampleTakesConnectionsWhole(t *testing.T) {
	const n, oneIn = 1 << 15, 10
	for _, v := range []struct {
		name string
		ip   func(c int, back bool) []byte
	}{
		{"IPv4, client's port", func(c int, back bool) []byte { return between(4, 1, 30000+c, back) }},
		{"IPv4, last byte and 128 ports", func(c int, back bool) []byte { return between(4, c&0xff, 40000+c>>8, back) }},
		{"IPv6, client's port", func(c int, back bool) []byte { return between(6, 1, 30000+c, back) }},
		{"IPv6, last byte and 128 ports", func(c int, back bool) []byte { return between(6, c&0xff, 40000+c>>8, back) }},
	} {
		t.Run(v.name, func(t *testing.T) {
			m := vm(t, mustSample(t, mustTCP(t, EN10MB, snapLen), EN10MB, oneIn))
			selected := 0
			for c := range n {
				there := verdict(t, m, framed(EN10MB, v.ip(c, false)))
				if back := verdict(t, m, framed(EN10MB, v.ip(c, true))); there != back {
					t.Fatalf("connection %d: %d, back %d", c, there, back)
				}
				if there != 0 {
					selected++
				}
			}
			want, deviation := float64(n)/oneIn, math.Sqrt(n*0.1*0.9)
			if math.Abs(float64(selected)-want) > 5*deviation {
				t.Errorf("%d of %d connections selected, want %.0f ± %.0f", selected, n, want, 5*deviation)
			}
		})
	}
}

// between is a segment between a client with this last byte and port and a server's port 443, or back.
func between(version, last, port int, back bool) []byte {
	tcp := tcpHeader()
	tcp[0], tcp[1] = byte(port>>8), byte(port)
	var ip, src, dst []byte
	if version == 4 {
		ip = ipv4(6, 0, tcp)
		src, dst = ip[12:16], ip[16:20]
		tcp = ip[20:]
	} else {
		ip = ipv6(6, tcp)
		src, dst = ip[8:24], ip[24:40]
		tcp = ip[40:]
	}
	src[len(src)-1], dst[len(dst)-1] = byte(last), 80
	dst[len(dst)-2] = 9
	if back {
		for i := range src {
			src[i], dst[i] = dst[i], src[i]
		}
		tcp[0], tcp[1], tcp[2], tcp[3] = tcp[2], tcp[3], tcp[0], tcp[1]
	}
	return ip
}

// A sample of a filter accepts what both do, with the bytes that the filter gives.
func TestSampleOfFilters(t *testing.T) {
	for _, link := range []LinkType{EN10MB, Raw} {
		for _, cut := range []bool{false, true} {
			filter := mustTCP(t, link, snapLen)
			sampled := mustSample(t, filter, link, 3)
			if cut {
				filter, sampled = HeadersOnly(filter, link), HeadersOnly(sampled, link)
			}
			sample := mustSample(t, everything(snapLen), link, 3)
			kernel := newKernelFilter(t, sampled)
			r := nested{rand.New(rand.NewPCG(uint64(link), 22))}
			accepted := 0
			for range 5000 {
				packet := r.packet(link)
				r.ends(packet)
				want, _ := run(t, filter, packet, nil)
				if in, _ := run(t, sample, packet, nil); in == 0 {
					want = 0
				}
				got, _ := run(t, sampled, packet, nil)
				if got != want {
					t.Fatalf("link type %d, HeadersOnly %v, packet %x: %d, want %d", link, cut, packet, got, want)
				}
				if n := kernel.verdict(packet); n != min(want, len(packet)) {
					t.Fatalf("link type %d, HeadersOnly %v, packet %x: in the kernel %d, want %d", link, cut, packet, n, min(want, len(packet)))
				}
				if got != 0 {
					accepted++
				}
			}
			if accepted < 500 {
				t.Errorf("link type %d: %d of 5000 packets accepted: they show little", link, accepted)
			}
		}
	}
}

func TestSampleOfAll(t *testing.T) {
	tcp := mustTCP(t, EN10MB, snapLen)
	if got := mustSample(t, tcp, EN10MB, 1); !slices.Equal(got, tcp) {
		t.Error("a sample of one in 1 is another program")
	}
	if got := mustSample(t, rejectAll(), EN10MB, 5); !slices.Equal(got, rejectAll()) {
		t.Error("a sample of nothing is another program")
	}
}

func TestSampleRefuses(t *testing.T) {
	for _, c := range []struct {
		link  LinkType
		oneIn int
		want  string
	}{
		{EN10MB, 0, "a sample of one in 0: choose 1 to 65536"},
		{EN10MB, MaxSample + 1, "a sample of one in 65537: choose 1 to 65536"},
		{PPP, 2, "link type 9: its connections cannot be sampled"},
	} {
		if _, err := Sample(everything(snapLen), c.link, c.oneIn); err == nil || err.Error() != c.want {
			t.Errorf("link type %d, one in %d: error %v, want %s", c.link, c.oneIn, err, c.want)
		}
	}
	long := append(slices.Repeat([]bpf.RawInstruction{{Op: 0x00}}, maxInstructions-10), everything(snapLen)...) // ld #0
	if _, err := Sample(long, EN10MB, 2); err == nil {
		t.Error("a program too long for the kernel is no error")
	}
	if MaxSample != parse.MaxSample {
		t.Errorf("one in %d at most, and in package parse %d", MaxSample, parse.MaxSample)
	}
}

func TestSampleInstructions(t *testing.T) {
	tcp := mustTCP(t, EN10MB, snapLen)
	sampled := mustSample(t, tcp, EN10MB, 2)
	for _, c := range []struct {
		version, more int
	}{{4, 51}, {6, 73}} {
		packet := framed(EN10MB, between(c.version, 1, 40000, false))
		_, plain := run(t, tcp, packet, nil)
		_, with := run(t, sampled, packet, nil)
		if with-plain != c.more {
			t.Errorf("IPv%d: %d instructions more, want %d; the program has %d", c.version, with-plain, c.more, len(sampled))
		}
	}
}
