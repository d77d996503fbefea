//go:build cgo

package pcapfilter

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

// tagged puts VLAN tags before the EtherType of a frame, the outermost first.
func tagged(frame []byte, tags ...uint16) []byte {
	var b []byte
	for _, tag := range tags {
		b = append(b, 0x81, 0x00, byte(tag>>8), byte(tag))
	}
	return slices.Insert(slices.Clone(frame), 12, b...)
}

// live returns how the kernel shows a frame to a filter: with its outer tag beside the bytes.
func live(frame []byte) ([]byte, metadata) {
	if frame[12] != 0x81 || frame[13] != 0 {
		return frame, nil
	}
	meta := metadata{
		bpf.ExtVLANTagPresent: 1,
		bpf.ExtVLANTag:        uint32(frame[14])<<8 | uint32(frame[15]),
		bpf.ExtVLANProto:      0x8100,
	}
	return slices.Delete(slices.Clone(frame), 12, 16), meta
}

func mustCompileLive(t testing.TB, filter string) []bpf.RawInstruction {
	t.Helper()
	prog, err := CompileLive(filter, EN10MB, snapLen)
	if err != nil {
		t.Fatalf("%q: %v", filter, err)
	}
	return prog
}

func TestVLANLive(t *testing.T) {
	tcp4, udp4 := framed(EN10MB, ipv4(6, 0, tcpHeader())), framed(EN10MB, ipv4(17, 0, udpHeader()))
	const priority = 5 << 13 // PCP, beside the VLAN's number
	frames := map[string][]byte{
		"tcp": tcp4, "tcp in 10": tagged(tcp4, priority|10), "tcp in 20": tagged(tcp4, 20), "tcp in 0": tagged(tcp4, priority),
		"tcp in 10, 20": tagged(tcp4, 10, 20), "tcp in 20, 10": tagged(tcp4, 20, 10), "tcp in 10, 20, 30": tagged(tcp4, 10, 20, 30),
		"udp": udp4, "udp in 10": tagged(udp4, 10), "udp in 20": tagged(udp4, 20), "udp in 10, 20": tagged(udp4, 10, 20),
	}
	for _, c := range []struct {
		filter string
		want   string // frames by name, separated by semicolons, if the kernel holds the outer tag
		inByte string // and if it stands in the bytes; "same" for the same
	}{
		{"vlan 10", "tcp in 10; tcp in 10, 20; tcp in 10, 20, 30; udp in 10; udp in 10, 20", "same"},
		{"vlan", "tcp in 0; tcp in 10; tcp in 10, 20; tcp in 10, 20, 30; tcp in 20; tcp in 20, 10; udp in 10; udp in 10, 20; udp in 20", "same"},
		{"vlan 0", "tcp in 0", "same"},
		{"vlan 0x0a", "tcp in 10; tcp in 10, 20; tcp in 10, 20, 30; udp in 10; udp in 10, 20", "same"},
		{"vlan ( 012 )", "tcp in 10; tcp in 10, 20; tcp in 10, 20, 30; udp in 10; udp in 10, 20", "same"},
		{"vlan 10 and tcp", "tcp in 10", "same"},
		{"vlan and tcp", "tcp in 0; tcp in 10; tcp in 20", "same"},
		{"vlan 10 and vlan 20", "tcp in 10, 20; tcp in 10, 20, 30; udp in 10, 20", "same"},
		{"vlan 10 and vlan 20 and tcp", "tcp in 10, 20", "same"},
		{"vlan and vlan and tcp", "tcp in 10, 20; tcp in 20, 10", "same"},
		{"vlan 10 and not vlan", "tcp in 10; udp in 10", "same"},
		{"not vlan", "tcp; udp", "same"},
		{"not vlan 10", "tcp; tcp in 0; tcp in 20; tcp in 20, 10; udp; udp in 20", "same"},
		// libpcap takes the second "vlan" for an inner tag, also across "or".
		{"(vlan 10 and tcp) or (vlan 20 and tcp)", "tcp in 10; tcp in 10, 20", "same"},
		{"(vlan 10 and tcp) or tcp", "tcp in 0; tcp in 10; tcp in 20", "same"},
		// A word before the first "vlan" looks behind a tag that the kernel holds, and sees one in the bytes.
		{"tcp or (vlan and tcp)", "tcp; tcp in 0; tcp in 10; tcp in 20", "same"},
		{"tcp or (vlan 10 and udp)", "tcp; tcp in 0; tcp in 10; tcp in 20; udp in 10", "tcp; udp in 10"},
		{"tcp and vlan 10", "tcp in 10", ""},
		{"tcp and not vlan 10", "tcp; tcp in 0; tcp in 20", "tcp"},
		{"(tcp)", "tcp; tcp in 0; tcp in 10; tcp in 20", "tcp"},
	} {
		prog := mustCompileLive(t, c.filter)
		held, inBytes := []string{}, []string{}
		for name, frame := range frames {
			bytes, meta := live(frame)
			if n, _ := run(t, prog, bytes, meta); n != 0 {
				held = append(held, name)
			}
			if n, _ := run(t, prog, frame, nil); n != 0 {
				inBytes = append(inBytes, name)
			}
		}
		slices.Sort(held)
		slices.Sort(inBytes)
		if got := strings.Join(held, "; "); got != c.want {
			t.Errorf("%q, tag held by the kernel: %s\nwant %s", c.filter, got, c.want)
		}
		if c.inByte == "same" {
			c.inByte = c.want
		}
		if got := strings.Join(inBytes, "; "); got != c.inByte {
			t.Errorf("%q, tag in the bytes: %s\nwant %s", c.filter, got, c.inByte)
		}
	}
}

// A tag of value 0 is a tag: whether there is one does not show in its value.
func TestVLANLiveTagOfZero(t *testing.T) {
	bytes, meta := live(tagged(framed(EN10MB, ipv4(6, 0, tcpHeader())), 0))
	for filter, want := range map[string]int{"vlan": snapLen, "vlan 0 and tcp": snapLen, "not vlan": 0} {
		if got, _ := run(t, mustCompileLive(t, filter), bytes, meta); got != want {
			t.Errorf("%q: %d, want %d", filter, got, want)
		}
	}
}

// Where no word stands before the first "vlan", it makes no difference whether the kernel holds the tag.
func TestVLANLiveIsVLANInBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 21))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	var expression func(depth int) string
	expression = func(depth int) string {
		if depth == 0 || r.IntN(3) == 0 {
			return pick("tcp", "udp", "ip", "ip6", "port 443", "host 10.0.0.1", "vlan", "vlan 20", "tcp[13] & 16 != 0", "ip[9] = 6")
		}
		return pick("(", "not (") + expression(depth-1) + pick(" and ", " or ") + expression(depth-1) + ")"
	}
	var frames [][]byte
	for _, ip := range [][]byte{ipv4(6, 0, tcpHeader()), ipv4(17, 0, udpHeader()), ipv6(6, tcpHeader()), ipv4Options(6, tcpHeader())} {
		for _, tags := range [][]uint16{nil, {10}, {20}, {10, 20}, {20, 10}, {20, 20}, {10, 20, 20}} {
			frames = append(frames, tagged(framed(EN10MB, ip), tags...))
		}
	}
	compiled, accepted, rejected := 0, 0, 0
	for range 1500 {
		filter := pick("", "not ") + pick("vlan", "vlan 10", "vlan 20") + pick(" and ", " or ") + expression(3)
		inBytes, err := Compile(filter, EN10MB, snapLen)
		prog, liveErr := CompileLive(filter, EN10MB, snapLen)
		if err != nil {
			if liveErr != nil && rejectsAll(err) != rejectsAll(liveErr) {
				t.Errorf("%q: error %v, live %v", filter, err, liveErr)
			}
			continue
		}
		if liveErr != nil {
			t.Errorf("%q: error %v for a live capture alone", filter, liveErr)
			continue
		}
		compiled++
		for _, frame := range frames {
			want, _ := run(t, inBytes, frame, nil)
			bytes, meta := live(frame)
			if got, _ := run(t, prog, bytes, meta); got != want {
				t.Fatalf("%q on %x: %d, with the tag in the bytes %d", filter, frame, got, want)
			}
			if got, _ := run(t, prog, frame, nil); got != want {
				t.Fatalf("%q on %x, tag in the bytes: %d, by Compile %d", filter, frame, got, want)
			}
			if want != 0 {
				accepted++
			} else {
				rejected++
			}
		}
	}
	t.Logf("%d filters compiled; %d frames accepted, %d rejected", compiled, accepted, rejected)
	if compiled < 500 || accepted < 5000 || rejected < 5000 {
		t.Errorf("%d filters compiled, %d frames accepted, %d rejected: they show little", compiled, accepted, rejected)
	}
}

func TestCompileLiveLeavesOthersAlone(t *testing.T) {
	for _, filter := range []string{
		"", "tcp", "tcp port 443", "host 10.0.0.1", "ether proto 0x8100", "ether proto \\arp",
		"geneve and vlan 10", // a tag inside the tunnel
	} {
		want, err := Compile(filter, EN10MB, snapLen)
		if err != nil {
			t.Fatalf("%q: %v", filter, err)
		}
		if got := mustCompileLive(t, filter); !slices.Equal(got, want) {
			t.Errorf("%q: %v, by Compile %v", filter, got, want)
		}
	}
}

func TestCompileLiveErrors(t *testing.T) {
	for _, c := range []struct {
		filter string
		link   LinkType
	}{
		{"vlan 4096", EN10MB}, {"vlan and", EN10MB}, {"vlan (10", EN10MB}, {"vlan 10 20", EN10MB}, {"tcp $ vlan", EN10MB},
		{"mpls and vlan", EN10MB}, {"vlan 10", Raw}, {"vlan and tcp and udp", EN10MB}, {"tcp and udp and vlan 5", EN10MB},
		{"vlan 99999999999", EN10MB}, {"vlan", 9999},
	} {
		_, want := Compile(c.filter, c.link, snapLen)
		prog, err := CompileLive(c.filter, c.link, snapLen)
		if err == nil || want == nil {
			t.Errorf("%q: error %v, by Compile %v", c.filter, err, want)
			continue
		}
		wantError(t, prog != nil, err, want.Error())
	}
	// Long enough that three programs are too many.
	long := "vlan 10 and ether[0]" + strings.Repeat("+ether[0]", 1500) + "=1"
	if _, err := Compile(long, EN10MB, snapLen); err != nil {
		t.Fatal(err)
	}
	prog, err := CompileLive(long, EN10MB, snapLen)
	wantError(t, prog != nil, err, "instructions and the kernel takes 4096", "simplify")
}

func TestCompileLiveTakesTheLongestFilter(t *testing.T) {
	filter := "vlan 10" + strings.Repeat(" ", MaxFilterLen-len("vlan 10"))
	mustCompileLive(t, filter)
	prog, err := CompileLive(filter+" ", EN10MB, snapLen)
	wantError(t, prog != nil, err, "16385 bytes long")
}

// One program after another needs jumps of any length.
func TestVLANLiveWithLongPrograms(t *testing.T) {
	prog := mustCompileLive(t, "vlan 10 and ether[0]"+strings.Repeat("+ether[0]", 300)+"=86") // 301*2 in one byte: never
	always := mustCompileLive(t, "vlan 10 and ether[0]"+strings.Repeat("+ether[0]", 300)+"=602")
	tcp4 := framed(EN10MB, ipv4(6, 0, tcpHeader()))
	for _, c := range []struct {
		frame []byte
		want  int
	}{{tcp4, 0}, {tagged(tcp4, 10), snapLen}, {tagged(tcp4, 20), 0}} {
		bytes, meta := live(c.frame)
		if got, _ := run(t, always, bytes, meta); got != c.want {
			t.Errorf("frame %x: %d, want %d", c.frame, got, c.want)
		}
		if got, _ := run(t, prog, bytes, meta); got != 0 {
			t.Errorf("frame %x: %d by a filter that nothing fits", c.frame, got)
		}
	}
	newKernelFilter(t, always)
}
