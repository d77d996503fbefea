package app

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"tcp-stream-exporter/cgo/pcapfilter"
	"tcp-stream-exporter/internal/need"
	"tcp-stream-exporter/internal/packet"
)

// tcpdumpProgram returns what tcpdump -ddd writes for a filter, in a file.
func tcpdumpProgram(t *testing.T, link, filter string) string {
	t.Helper()
	need.Tool(t, "tcpdump")
	cmd := exec.Command("tcpdump", "-y", link, "-ddd", filter)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, &complaints)
	}
	return writeFile(t, "program", out)
}

// TestReadAppliesTheProgram: a program of tcpdump takes the packets that its filter does, with libpcap in this build and
// without.
func TestReadAppliesTheProgram(t *testing.T) {
	other := netip.MustParseAddrPort("203.0.113.5:8080")
	udp := packet.TCP{Src: client, Dst: server}.Ethernet()
	udp[14+9] = 17
	packets := append(talk(client, server, 0), talk(client, other, 1000)...)
	packets = append(packets, timed{ms: 2000, frame: udp},
		timed{ms: 2001, frame: packet.TCP{Src: client, Dst: server, Seq: 151, Ack: 1, Flags: packet.ACK, Payload: 5}.Ethernet(0x81000005)},
		timed{ms: 2002, frame: packet.TCP{Src: client, Dst: server, Seq: 156, Ack: 1, Flags: packet.ACK, Payload: 1000}.Ethernet()[:54], wire: 1054})
	file := captureFile(t, packets...)
	for _, c := range []struct{ filter, want string }{
		{"tcp", "17 packets, 15 accounted, 2 filtered out; 4 streams"}, // libpcap's meaning
		{"", "17 packets, 16 accounted, 1 skipped (udp 1); 4 streams"},
		{"vlan 5 and tcp", "17 packets, 1 accounted, 16 filtered out; 1 streams"},
		{"tcp port 8080", "17 packets, 7 accounted, 10 filtered out; 2 streams"},
		{"host 203.0.113.5 or udp", "17 packets, 7 accounted, 9 filtered out, 1 skipped (udp 1); 2 streams"},
		{"tcp and greater 1000", "17 packets, 1 accounted, 16 filtered out; 1 streams"},
		{"tcp and - tcp [ 13 ] = - 2", "17 packets, 2 accounted, 15 filtered out; 2 streams"},
		{"less 1", "17 packets, 0 accounted, 17 filtered out; 0 streams"},
	} {
		program := tcpdumpProgram(t, "EN10MB", c.filter)
		for _, more := range [][]string{nil, {"-repeat", "2"}, {"-sample", "2"}, {"-vlan-identity"}} {
			out, complaints, code := exporter(append([]string{"-read", file, "-packet-filter-file", program}, more...)...)
			same := len(more) == 0 || more[0] == "-repeat" // the others change what is accounted
			if code != exitOK || same && !strings.Contains(complaints, c.want) {
				t.Errorf("%q %v: exit status %d, %q, want %q", c.filter, more, code, complaints, c.want)
			}
			if !pcapfilter.Available {
				continue
			}
			text := c.filter
			if text == "tcp" {
				text = "(tcp)"
			}
			compiled, closing, _ := exporter(append([]string{"-read", file, "-packet-filter", text}, more...)...)
			counts, _, _ := strings.Cut(complaints, " streams") // behind it is the time that it took
			if out != compiled || !strings.HasPrefix(closing, counts+" streams") {
				t.Errorf("%q %v: the compiled filter does otherwise: %q, want %q", c.filter, more, closing, counts)
			}
		}
	}
}

// TestReadProgramOfRawPackets reads packets without a link header by a program that was made for them.
func TestReadProgramOfRawPackets(t *testing.T) {
	const raw, rawIPv4 = 101, 12 // the same header by two numbers
	tcp := packet.TCP{Src: client, Dst: server, Flags: packet.ACK}
	udp := tcp.IP()
	udp[9] = 17
	program := tcpdumpProgram(t, "RAW", "tcp port 443")
	for _, linkType := range []uint32{raw, rawIPv4} {
		file := rawFile(t, linkType, tcp.IP(), udp)
		_, complaints, code := exporter("-read", file, "-packet-filter-file", program)
		if want := "2 packets, 1 accounted, 1 filtered out; 1 streams"; code != exitOK || !strings.Contains(complaints, want) {
			t.Errorf("link type %d: exit status %d, %q, want %q", linkType, code, complaints, want)
		}
	}
}

// rawFile writes packets of a link type to a pcap file.
func rawFile(t *testing.T, linkType uint32, packets ...[]byte) string {
	t.Helper()
	var all []timed
	for i, p := range packets {
		all = append(all, timed{ms: int64(i), frame: p})
	}
	file := captureFile(t, all...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[20], b[21] = byte(linkType), byte(linkType>>8)
	return writeFile(t, "raw.pcap", b)
}

// TestReadRefusesPrograms: what a file's packets cannot be filtered by is one line that says what to do.
func TestReadRefusesPrograms(t *testing.T) {
	ethernet := captureFile(t, talk(client, server, 0)...)
	raw := rawFile(t, 101, packet.TCP{Src: client, Dst: server, Flags: packet.ACK}.IP())
	all, tag := writeFile(t, "all", []byte("1\n6 0 0 262144\n")), writeFile(t, "tag", []byte("4\n48 0 0 4294963248\n21 0 1 1\n6 0 0 262144\n6 0 0 0\n"))
	network := writeFile(t, "network", []byte("4\n32 0 0 4293918720\n21 0 1 1\n6 0 0 262144\n6 0 0 0\n")) // SKF_NET_OFF
	for _, c := range []struct {
		says, program string
		files         []string
		want          string
	}{
		{"the tag that the kernel keeps", tag, []string{ethernet}, "it asks for what only a live capture knows (VLAN tags beside the packet, inbound, outbound, ifindex): write one with tcpdump -y instead of -i"},
		{"a load from the network header", network, []string{ethernet}, "it asks for what only a live capture knows"},
		{"two link types", all, []string{ethernet, raw}, "a program is for one link type, and there are packets of types 1 and 101: read them one after the other"},
	} {
		out, complaints, code := exporter(append([]string{"-packet-filter-file", c.program, "-read"}, c.files...)...)
		if want := fmt.Sprintf("tcp-stream-exporter: -packet-filter-file %s: %s", c.program, c.want); code != exitFailure || out != "" || !strings.HasPrefix(complaints, want) || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%s: exit status %d, %q, %q, want %s", c.says, code, out, complaints, want)
		}
	}
}

// TestProgramFilesAreRefused: status 2, and one line with the flag, the line of the file and the remedy.
func TestProgramFilesAreRefused(t *testing.T) {
	good := writeFile(t, "good", []byte("1\n6 0 0 262144\n"))
	none := writeFile(t, "none", nil)
	bad := writeFile(t, "bad", []byte("2\n40 0 0 12\n21 1 0 2048\n"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-packet-filter-file", ""}, `-packet-filter-file "": name a file that tcpdump -ddd has written`},
		{[]string{"-packet-filter-file", "no/such"}, `-packet-filter-file no/such: no such file or directory: name a file`},
		{[]string{"-packet-filter-file", "."}, `-packet-filter-file .: is a directory: name a file`},
		{[]string{"-packet-filter-file", none}, "-packet-filter-file " + none + ": line 1: it is empty: want the output of tcpdump -ddd"},
		{[]string{"-packet-filter-file", bad}, "-packet-filter-file " + bad + ": line 3: it jumps over 1 instructions, and 0 follow: want the output of tcpdump -ddd"},
		{[]string{"-packet-filter-file", good, "-packet-filter", "tcp"}, "-packet-filter tcp and -packet-filter-file " + good + ": they are two ways to give one filter, leave one out"},
		{[]string{"-packet-filter-file", good, "-packet-filter-file", good}, "-packet-filter-file " + good + " and -packet-filter-file " + good + ": "},
		{[]string{"-packet-filter-file", bad, "-snaplen", "5"}, "-snaplen 5: "}, // first what is wrong without it
	} {
		for _, more := range [][]string{nil, {"-check"}, {"-read", good}} {
			if more != nil && more[0] == "-read" && c.args[len(c.args)-1] == "5" {
				continue
			}
			out, complaints, code := exporter(append(more, c.args...)...)
			if code != exitUsage || out != "" || !strings.HasPrefix(complaints, "tcp-stream-exporter: "+c.want) || strings.Count(complaints, "\n") != 1 {
				t.Errorf("%q: exit status %d, %q, %q, want %q", append(more, c.args...), code, out, complaints, c.want)
			}
		}
	}
	if _, complaints, code := exporter("-version", "-packet-filter-file", bad); code != exitOK {
		t.Errorf("-version: exit status %d, %s", code, complaints)
	}
}

// TestProgramFromAPipe: a shell's <(tcpdump -ddd ...) is a file, too.
func TestProgramFromAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("1\n6 0 0 262144\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	_, complaints, code := exporter("-read", captureFile(t, talk(client, server, 0)...), "-packet-filter-file", fmt.Sprintf("/dev/fd/%d", r.Fd()))
	if want := "7 packets, 7 accounted; 2 streams"; code != exitOK || !strings.Contains(complaints, want) {
		t.Errorf("exit status %d, %q, want %q", code, complaints, want)
	}
}
