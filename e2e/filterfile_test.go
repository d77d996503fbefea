package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/lab"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// tcpdumpProgram returns what tcpdump -ddd writes for a filter on an interface of the namespace, in a file.
func tcpdumpProgram(t *testing.T, ns *lab.NS, iface, filter string) string {
	t.Helper()
	need.Tool(t, "tcpdump")
	cmd := ns.Command("tcpdump", "-i", iface, "-ddd", filter)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, &complaints)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFilterOfAFile: with the program that tcpdump -ddd has written for the interface, the exporter captures what it does
// with the text of the filter, and with each flag that changes the kernel's program. In a build without libpcap there is
// nothing to compare with but the counts.
func TestFilterOfAFile(t *testing.T) {
	t.Parallel() // mostly it waits
	const rounds, connections = 20, 40
	l := lab.New(t)
	v4 := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:40000"), Dst: netip.MustParseAddrPort("198.51.100.1:8080"), Flags: packet.ACK, Payload: 100}
	other := v4
	other.Dst = netip.MustParseAddrPort("198.51.100.1:9")
	v6 := packet.TCP{Src: netip.MustParseAddrPort("[2001:db8::1]:40000"), Dst: netip.MustParseAddrPort("[2001:db8::2]:8080"), Flags: packet.ACK}
	frames := [][]byte{
		other.Ethernet(), v4.Ethernet(0x8100_000a), v4.Ethernet(0x8100_0014), v6.Ethernet(),
		packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(8080, make([]byte, 40)))),
		packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(4789, packet.InVXLAN(other.Ethernet())))),
	}
	sampled, arriving := 0, 0
	for n := range connections {
		v4.Src = netip.AddrPortFrom(v4.Src.Addr(), uint16(40000+n))
		frames = append(frames, v4.Ethernet())
		flow := parse.FlowOf(parse.AddrFrom(v4.Src.Addr()), parse.AddrFrom(v4.Dst.Addr()), v4.Src.Port(), v4.Dst.Port())
		if parse.OneIn(4).Selects(&flow) {
			sampled++
		}
	}
	// Those with a tag are the first connection once more.
	first := parse.FlowOf(parse.AddrFrom(v4.Src.Addr()), parse.AddrFrom(v4.Dst.Addr()), 40000, 8080)
	if parse.OneIn(4).Selects(&first) {
		sampled += 2
	}
	v6flow := parse.FlowOf(parse.AddrFrom(v6.Src.Addr()), parse.AddrFrom(v6.Dst.Addr()), 40000, 8080)
	if parse.OneIn(4).Selects(&v6flow) {
		sampled++
	}
	arriving = connections + 3

	type pair struct {
		name       string
		packets    int // that are captured
		file, text *lab.Exporter
	}
	var pairs []pair
	nextPort := 0
	start := func(name, iface, filter string, each int, args ...string) {
		with := func(more ...string) []string {
			all := append([]string{"-interface", iface, "-numblocks", "8", "-max-connections", "1000"}, args...)
			return append(append(all, "-port", fmt.Sprintf(":%d", 9100+nextPort)), more...)
		}
		p := pair{name: name, packets: each * rounds}
		p.file = l.A.LaunchExporter(t, binary(t), with("-packet-filter-file", tcpdumpProgram(t, l.A, lab.IfName, filter))...)
		nextPort++
		if pcapfilter.Available {
			p.text = l.A.LaunchExporter(t, binary(t), with("-packet-filter", filter)...)
			nextPort++
		}
		pairs = append(pairs, p)
	}
	const veth, port = lab.IfName, "tcp port 8080"
	start("a port", veth, port, arriving)
	start("a network", veth, "src net 192.0.2.0/24 and dst port 9", 1)
	start("a VLAN", veth, "vlan 10 and tcp", 1)
	start("two VLANs told apart", veth, port, arriving, "-vlan-identity")
	start("a sample", veth, port, sampled, "-sample", "4")
	start("two workers", veth, port, arriving, "-workers", "2", "-ipv6")
	start("a tunnel", veth, port, arriving+1, "-tunnels", "vxlan")
	start("what arrives", veth, port, arriving, "-direction", "in")
	start("what is sent", veth, port, 0, "-direction", "out")
	start("few bytes", veth, port, arriving, "-snaplen", "98")
	start("any interface", "any,!lo", port, arriving)
	start("nothing", veth, "less 1", 0)

	for _, p := range pairs {
		awaitAnswer(t, p.file)
		if p.text != nil {
			awaitAnswer(t, p.text)
		}
	}
	for range rounds {
		if err := l.B.Do(func() error { return sendOut(frames) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range pairs {
		await := func(e *lab.Exporter) lab.Metrics {
			return e.Await(t, 10*time.Second, func(m lab.Metrics) error {
				if got := m["capture_packets_processed_total"]; got != float64(p.packets) {
					return fmt.Errorf("%s: %v packets, want %d", p.name, got, p.packets)
				}
				return nil
			})
		}
		byFile := streamsOf(await(p.file))
		if len(byFile) == 0 && p.packets > 0 {
			t.Errorf("%s: no streams", p.name)
		}
		if p.text == nil {
			continue
		}
		if byText := streamsOf(await(p.text)); !maps.Equal(byFile, byText) {
			t.Errorf("%s: the file and the text of the filter differ in %d and %d series", p.name, len(byFile), len(byText))
		}
	}
	if said := pairs[0].file.Output(); !strings.Contains(said, `filter="the program in /`) {
		t.Errorf("the log does not say what the filter is:\n%s", said)
	}
}

// awaitAnswer waits until an exporter that was launched answers, and so captures.
func awaitAnswer(t *testing.T, e *lab.Exporter) {
	t.Helper()
	for deadline := time.Now().Add(usageTimeout); ; time.Sleep(20 * time.Millisecond) {
		_, _, err := e.Do("GET", "/metrics")
		if err == nil {
			return
		}
		if e.Ended() || time.Now().After(deadline) {
			t.Fatalf("no answer: %v:\n%s", err, e.Output())
		}
	}
}

// streamsOf returns the series of streams that count something.
func streamsOf(m lab.Metrics) lab.Metrics {
	streams := lab.Metrics{}
	for key, value := range m {
		if strings.Contains(key, "_total{") && strings.Contains(key, "src_ip=") {
			streams[key] = value
		}
	}
	return streams
}

// TestFilterOfAFileIsForOneLinkType: an interface that comes back as one of another kind is not captured by a program that
// was made for the first one, the log says why, and the first kind is captured again. SIGHUP and a change of the file
// change nothing.
func TestFilterOfAFileIsForOneLinkType(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	program := tcpdumpProgram(t, l.A, lab.IfName, "tcp")
	e := l.A.StartExporter(t, binary(t), "-interface", lab.IfName, "-packet-filter-file", program)
	if err := os.WriteFile(program, []byte("1\n6 0 0 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Signal(t, unix.SIGHUP)
	f := &life{Exporter: e, l: l, last: e.Settle(t)}
	f.beat = startBeat(t, l.B)
	f.ip("link del veth0")(t)
	f.gone(t)
	fd := tun(t, l.A, lab.IfName)
	const refused = "a program is for one link type"
	e.Await(t, resumeWithin, func(lab.Metrics) error {
		if said := e.Output(); !strings.Contains(said, refused) {
			return fmt.Errorf("the log does not say %q:\n%s", refused, said)
		}
		return nil
	})
	unix.Close(fd)
	f.makeVeth(t)
	f.resumed(t, 1)
	// The filter is there again, too: what is no TCP is not captured.
	f.beat.pause()
	before := e.Settle(t)["capture_packets_processed_total"]
	udp := packet.InEthernet(0x0800, packet.InIPv4(17, packet.InUDP(8080, make([]byte, 40))))
	if err := l.B.Do(func() error { return sendOut([][]byte{udp, udp, udp}) }); err != nil {
		t.Fatal(err)
	}
	if m := e.Settle(t); m["capture_packets_processed_total"] != before || m[`tcp_stream_exporter_skipped_packets_total{reason="udp"}`] != 0 {
		t.Errorf("%v packets after %v: UDP is captured", m["capture_packets_processed_total"], before)
	}
}

// TestFilterOfAFileOnRawInterfaces: a program that was made for a tun interface, and one for Ethernet where there are both.
func TestFilterOfAFileOnRawInterfaces(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	fd := tun(t, l.A, "tun7")
	t.Cleanup(func() { unix.Close(fd) })
	one := l.A.StartExporter(t, binary(t), "-interface", "tun7", "-packet-filter-file", tcpdumpProgram(t, l.A, "tun7", "tcp port 80"))
	both := l.A.StartExporter(t, binary(t), "-interface", "tun7,"+lab.IfName, "-port", ":9101", "-packet-filter-file", tcpdumpProgram(t, l.A, lab.IfName, "tcp port 80"))
	segment := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:1000"), Dst: netip.MustParseAddrPort("192.0.2.2:80"), Flags: packet.ACK, Payload: 10}
	other := segment
	other.Dst = netip.MustParseAddrPort("192.0.2.2:81")
	for range 5 {
		for _, p := range [][]byte{segment.IP(), other.IP()} {
			if _, err := unix.Write(fd, p); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.B.Do(func() error { return sendOut([][]byte{segment.Ethernet(), other.Ethernet()}) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []*lab.Exporter{one, both} {
		m := e.Await(t, 5*time.Second, func(m lab.Metrics) error {
			if got := m["capture_packets_processed_total"]; got != 5 {
				return fmt.Errorf("%v packets, want 5", got)
			}
			return nil
		})
		if e == both && len(streamsOf(m.On(lab.IfName))) == 0 {
			t.Errorf("nothing is captured on %s", lab.IfName)
		}
	}
	if said := both.Output(); !strings.Contains(said, "the filter cannot apply to interfaces without a link header") || !strings.Contains(said, "a program is for one link type") {
		t.Errorf("the log does not say that tun7 is not captured:\n%s", said)
	}
}
