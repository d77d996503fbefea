package app

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/internal/pcapgen"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.7:443")
)

// timed is a frame and when it was captured.
type timed struct {
	ms    int64
	frame []byte
	wire  int // length on the wire, 0: all of it was captured
}

// talk returns a short conversation that starts at ms: handshake, 100 bytes sent twice, an ACK. Seven
// packets, the client's 250 bytes among them.
func talk(a, b netip.AddrPort, ms int64) []timed {
	at := func(after int64, p packet.TCP) timed { return timed{ms: ms + after, frame: p.Ethernet()} }
	return []timed{
		at(0, packet.TCP{Src: a, Dst: b, Seq: 0, Flags: packet.SYN, Window: 1000}),
		at(10, packet.TCP{Src: b, Dst: a, Seq: 0, Ack: 1, Flags: packet.SYN | packet.ACK, Window: 1000}),
		at(20, packet.TCP{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 1000}),
		at(30, packet.TCP{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: 100}),
		at(530, packet.TCP{Src: a, Dst: b, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: 100}),
		at(560, packet.TCP{Src: b, Dst: a, Seq: 1, Ack: 101, Flags: packet.ACK, Window: 900}),
		at(570, packet.TCP{Src: a, Dst: b, Seq: 101, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: 50}),
	}
}

// captureFile writes a pcap file of Ethernet frames and returns its path.
func captureFile(t testing.TB, packets ...timed) string {
	t.Helper()
	order := binary.LittleEndian
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, 1)
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(1_700_000_000+p.ms/1000))
		b = order.AppendUint32(b, uint32(p.ms%1000*1000))
		b = order.AppendUint32(b, uint32(len(p.frame)))
		b = order.AppendUint32(b, uint32(max(p.wire, len(p.frame))))
		b = append(b, p.frame...)
	}
	return writeFile(t, "traffic.pcap", b)
}

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// exporter runs the program's main function.
func exporter(args ...string) (stdout, stderr string, code int) {
	var out, complaints bytes.Buffer
	code = run(args, &out, &complaints)
	return out.String(), complaints.String(), code
}

// wantLines checks that every line is in text.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

const (
	toServer = `{dst_ip="198.51.100.7",dst_port="443",src_ip="192.0.2.1",src_port="40000",state="active"} `
	toClient = `{dst_ip="192.0.2.1",dst_port="40000",src_ip="198.51.100.7",src_port="443",state="active"} `
)

func TestReadPrintsTheMetrics(t *testing.T) {
	file := captureFile(t, talk(client, server, 0)...)
	out, complaints, code := exporter("-read", file)
	if code != exitOK {
		t.Errorf("exit status %d: %s", code, complaints)
	}
	wantLines(t, out,
		"tcp_stream_count 2",
		"capture_packets_processed_total 7",
		"tcp_bytes_transferred_total"+toServer+"250",
		"tcp_retransmits_total"+toServer+"1",
		"tcp_retransmits_total"+toClient+"0",
		"tcp_max_delay_seconds"+toServer+"0.01",
		"tcp_max_delay_seconds"+toClient+"0.01",
		"tcp_window_size_bytes"+toClient+"900",
		"tcp_stream_uptime_seconds"+toServer+"0.57",
	)
	want := `^tcp-stream-exporter: ` + regexp.QuoteMeta(file) + `: 7 packets, 7 accounted; 2 streams; [0-9.]+(µs|ms|s), [0-9.]+ million packets/s\n$`
	if !regexp.MustCompile(want).MatchString(complaints) {
		t.Errorf("closing line %q, want %s", complaints, want)
	}
}

func TestReadNamesWhatItSkips(t *testing.T) {
	a6, b6 := netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
	file := captureFile(t, append(talk(a6, b6, 0),
		timed{ms: 1, frame: make([]byte, 60)}, timed{ms: 2, frame: []byte{1, 2}})...)
	_, complaints, code := exporter("-read", file, "-packet-filter", "")
	if want := "9 packets, 0 accounted, 9 skipped (truncated 1, not_ip 1, ipv6 7); 0 streams"; code != exitOK || !strings.Contains(complaints, want) {
		t.Errorf("exit status %d, %q, want %q", code, complaints, want)
	}
	_, complaints, _ = exporter("-read", file, "-packet-filter", "", "-ipv6")
	if want := "9 packets, 7 accounted, 2 skipped (truncated 1, not_ip 1); 2 streams"; !strings.Contains(complaints, want) {
		t.Errorf("%q, want %q", complaints, want)
	}
}

func TestReadTellsWhatFoundNoRoom(t *testing.T) {
	other := netip.MustParseAddrPort("192.0.2.2:40000")
	file := captureFile(t, append(talk(client, server, 0), talk(other, server, 1000)...)...)
	_, complaints, _ := exporter("-read", file, "-max-connections", "1")
	if want := "14 packets, 7 accounted, 7 found no room (raise -max-connections); 2 streams"; !strings.Contains(complaints, want) {
		t.Errorf("%q, want %q", complaints, want)
	}
}

func TestReadExpiresByPacketTime(t *testing.T) {
	later := netip.MustParseAddrPort("192.0.2.2:40000")
	file := captureFile(t, append(talk(client, server, 0), talk(later, server, 10*60*1000)...)...)
	for _, c := range []struct {
		age     string
		streams string
	}{{"5m", "tcp_stream_count 2"}, {"1h", "tcp_stream_count 4"}} {
		out, complaints, code := exporter("-read", file, "-stream-age", c.age)
		if code != exitOK {
			t.Errorf("exit status %d: %s", code, complaints)
		}
		wantLines(t, out, c.streams)
	}
}

// TestReadOfADamagedFile cuts a file in its last packet.
func TestReadOfADamagedFile(t *testing.T) {
	whole, err := os.ReadFile(captureFile(t, talk(client, server, 0)...))
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "cut.pcap", whole[:len(whole)-20])
	for _, args := range [][]string{{"-read", file}, {"-read", file, "-repeat", "2"}} {
		out, complaints, code := exporter(args...)
		if code != exitFailure {
			t.Errorf("exit status %d", code)
		}
		wantLines(t, out, "tcp_bytes_transferred_total"+toServer+"200", "capture_packets_processed_total 6")
		lines := strings.Split(strings.TrimSuffix(complaints, "\n"), "\n")
		want := "tcp-stream-exporter: -read " + file + ": damaged at byte 644, in packet 7: the file ends 20 bytes early: what stands before it is accounted"
		if len(lines) != 2 || !strings.Contains(lines[0], "6 packets, 6 accounted") || lines[1] != want {
			t.Errorf("%q\nwant a closing line and %q", complaints, want)
		}
	}
}

func TestReadOfWhatIsNoCapture(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, file, want string }{
		{"no such file", filepath.Join(dir, "none.pcap"), "-read FILE: no such file or directory: name a capture file that may be read"},
		{"a folder", dir, "-read FILE: is a directory: name a capture file"},
		{"an empty file", writeFile(t, "empty.pcap", nil), "-read FILE: the file is empty: name a capture file"},
		{"a text", writeFile(t, "text", []byte("hello\nworld")),
			"-read FILE: neither pcap nor pcapng, the formats that are read (it begins with 68656c6c): convert it, for example with editcap -F pcap"},
		{"a compressed file", writeFile(t, "c.xz", []byte("\xfd7zXZ\x00")),
			"-read FILE: compressed with xz: decompress it first, for example xzcat FILE | tcp-stream-exporter -read -"},
		{"a file compressed twice", compressed(t, "gzip", compressed(t, "zstd", captureFile(t))),
			"-read FILE: compressed with zstd inside gzip: decompress it first"},
		{"a compressed file of which hardly anything is there", writeFile(t, "c.gz", []byte("\x1f\x8b\x08\x00")),
			"-read FILE: damaged at byte 0 of the decompressed file, in packet 1, after 4 bytes of the gzip data: the gzip data end early: nothing of it can be read, name a whole file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, complaints, code := exporter("-read", c.file)
			want := "tcp-stream-exporter: " + strings.ReplaceAll(c.want, "FILE", c.file) + "\n"
			if code != exitFailure || out != "" || complaints != want {
				t.Errorf("exit status %d, %q, %q\nwant %q", code, out, complaints, want)
			}
		})
	}
}

func TestReadFlags(t *testing.T) {
	file := captureFile(t)
	for _, c := range []struct {
		args string
		want string
	}{
		{"-read ", `-read "": name a capture file, or - for standard input`},
		{"-read FILE -interface lo", "-interface lo: goes with a live capture only: leave it out with -read"},
		{"-read FILE -interface eth0", "-interface eth0: goes with a live capture only: leave it out with -read"},
		{"-read FILE -wait", "-wait true: goes with a live capture only: leave it out with -read"},
		{"-read FILE -direction in", "-direction in: goes with a live capture only: leave it out with -read"},
		{"-read FILE -promiscuous", "-promiscuous true: goes with a live capture only: leave it out with -read"},
		{"-read FILE -snaplen 192", "-snaplen 192: goes with a live capture only: leave it out with -read"},
		{"-read FILE -port :9100", "-port :9100: goes with a live capture only: leave it out with -read"},
		{"-read FILE -framesize 2048", "-framesize 2048: goes with a live capture only: leave it out with -read"},
		{"-read FILE -blocksize 4096", "-blocksize 4096: goes with a live capture only: leave it out with -read"},
		{"-read FILE -numblocks 2", "-numblocks 2: goes with a live capture only: leave it out with -read"},
		{"-read FILE -repeat 0", "-repeat 0: want 1 or more"},
		{"-repeat 3", "-repeat 3: goes with -read only: name a capture file with -read"},
		{"-read FILE -stream-age -1s", "-stream-age -1s: want a duration, e.g. 5m, or 0: never"},
	} {
		args := strings.Split(strings.ReplaceAll(c.args, "FILE", file), " ")
		out, complaints, code := exporter(args...)
		if want := "tcp-stream-exporter: " + c.want + "\n"; code != exitUsage || out != "" || complaints != want {
			t.Errorf("%s: exit status %d, %q, %q, want %q", c.args, code, out, complaints, want)
		}
	}
	if _, complaints, code := exporter("-read", file, "-go-metrics", "-process-metrics", "-debug"); code != exitOK {
		t.Errorf("exit status %d: %s", code, complaints)
	}
}

// TestReadAsNobody runs the program as a user without rights, on standard input.
func TestReadAsNobody(t *testing.T) {
	in, err := os.Open(captureFile(t, talk(client, server, 0)...))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(buildExporter(t), "-read", "-")
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &complaints
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := cmd.Run(); err != nil {
		t.Errorf("%v: %s", err, complaints.String())
	}
	wantLines(t, out.String(), "tcp_retransmits_total"+toServer+"1")
	if !strings.HasPrefix(complaints.String(), "tcp-stream-exporter: standard input: 7 packets") {
		t.Errorf("closing line %q", complaints.String())
	}
}

// TestRepeatPrintsTheSameMetrics compares with one pass, over packets that are longer than what is
// kept in memory of them.
func TestRepeatPrintsTheSameMetrics(t *testing.T) {
	var traffic bytes.Buffer
	cfg := pcapgen.Default
	cfg.Connections, cfg.Packets, cfg.SnapLen = 30, 5000, 1600
	if err := pcapgen.Write(&traffic, cfg); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "generated.pcap", traffic.Bytes())
	once, _, code := exporter("-read", file)
	if code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	repeated, complaints, code := exporter("-read", file, "-repeat", "3")
	if code != exitOK {
		t.Fatalf("exit status %d: %s", code, complaints)
	}
	if once != repeated {
		t.Error("the metrics differ")
	}
	if n := strings.Count(once, "tcp_stream_uptime_seconds{"); n < 50 {
		t.Errorf("%d streams: too few to say anything", n)
	}
	want := `: 5000 packets, 5000 accounted; \d+ streams; 3 runs over 5000 packets in memory: [0-9.]+ ns per packet, [0-9.]+ million packets/s \(fastest run: [0-9.]+ ns, [0-9.]+\)\n$`
	if !regexp.MustCompile(want).MatchString(complaints) {
		t.Errorf("%q, want %s", complaints, want)
	}
}

// TestRepeatKeepsLongHeaders puts the TCP header behind more bytes than are kept of others.
func TestRepeatKeepsLongHeaders(t *testing.T) {
	a6, b6 := netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
	b := packet.TCP{Src: a6, Dst: b6, Flags: packet.ACK, Payload: 300}.Ethernet()
	// A destination options header of 256 bytes (RFC 8200 section 4.6).
	options := make([]byte, 256)
	options[0], options[1] = 6, 256/8-1
	b[14+6] = 60
	binary.BigEndian.PutUint16(b[14+4:], binary.BigEndian.Uint16(b[14+4:])+256)
	b = append(b[:54:54], append(options, b[54:]...)...)
	file := captureFile(t, timed{frame: b})
	for _, args := range [][]string{{}, {"-repeat", "1"}} {
		out, complaints, _ := exporter(append([]string{"-read", file, "-packet-filter", "", "-ipv6"}, args...)...)
		wantLines(t, out, `tcp_bytes_transferred_total{dst_ip="2001:db8::2",dst_port="80",src_ip="2001:db8::1",src_port="1000",state="active"} 300`)
		if !strings.Contains(complaints, "1 packets, 1 accounted") {
			t.Errorf("%v: %s", args, complaints)
		}
	}
}
