package app

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/internal/packet"
)

// rotated writes packets into n files, as tcpdump -C does, and returns their paths.
func rotated(t testing.TB, n int, packets []timed) (files []string) {
	t.Helper()
	for part := range slices.Chunk(packets, (len(packets)+n-1)/n) {
		files = append(files, captureFile(t, part...))
	}
	return files
}

// TestReadOfSeveralFiles wants the metrics of one file with all packets: connections go on from file to file.
func TestReadOfSeveralFiles(t *testing.T) {
	packets := conversations(20, 100)
	slices.SortStableFunc(packets, func(a, b timed) int { return int(a.ms - b.ms) })
	want, _, code := exporter("-read", captureFile(t, packets...))
	if code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	files := rotated(t, 9, packets)
	mixed := slices.Clone(files)
	mixed[0], mixed[3], mixed[8] = compressed(t, "gzip", files[0]), compressed(t, "zstd", files[3]), compressed(t, "gzip", files[8])
	for name, args := range map[string][]string{
		"arguments":           append([]string{"-read"}, files...),
		"some compressed":     append([]string{"-read"}, mixed...),
		"repeated":            append([]string{"-repeat", "3", "-read"}, files...),
		"flags at the end":    append(append([]string{"-read"}, files...), "-repeat", "2", "-debug"),
		"flags in the middle": slices.Concat([]string{"-read"}, files[:4], []string{"-debug", "-max-connections", "100"}, files[4:]),
		"behind two dashes":   slices.Concat([]string{"-read", files[0], "-debug", "--"}, files[1:]),
	} {
		out, complaints, code := exporter(args...)
		if code != exitOK || out != want {
			t.Errorf("%s: exit status %d, the same metrics: %v, %s", name, code, out == want, complaints)
		}
		if !strings.HasPrefix(complaints, "tcp-stream-exporter: "+args[slices.Index(args, "-read")+1]+" and 8 more files: 140 packets, 140 accounted; 40 streams; ") ||
			strings.Count(complaints, "\n") != 1 {
			t.Errorf("%s: closing line %q", name, complaints)
		}
	}
}

// TestReadOfManyFilesKeepsFewOpen gives more files than may be open at a time.
func TestReadOfManyFilesKeepsFewOpen(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	files := rotated(t, 140, conversations(20, 1000))
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = uint64(len(open) + 20)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	_, complaints, code := exporter(append([]string{"-read"}, files...)...)
	if code != exitOK || !strings.Contains(complaints, " and 139 more files: 140 packets, 140 accounted; 40 streams; ") {
		t.Errorf("exit status %d, %s", code, complaints)
	}
}

// TestReadOfPipes reads files that cannot be opened twice, as a shell's <(zcat a) gives.
func TestReadOfPipes(t *testing.T) {
	files := rotated(t, 3, talk(client, server, 0))
	want, _, _ := exporter("-read", captureFile(t, talk(client, server, 0)...))
	for i, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := unix.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() { // ends with the reader's close, or once a reader has come
			if to, err := os.OpenFile(pipe, os.O_WRONLY, 0); err == nil {
				to.Write(content)
				to.Close()
			}
		}()
		files[i] = pipe
	}
	out, complaints, code := exporter(append([]string{"-read"}, files...)...)
	if code != exitOK || out != want {
		t.Errorf("exit status %d, the same metrics: %v, %s", code, out == want, complaints)
	}
}

// TestReadOfFilesThatCannotBeRead wants nothing to be accounted if one of several files is none.
func TestReadOfFilesThatCannotBeRead(t *testing.T) {
	good, dir := captureFile(t, talk(client, server, 0)...), t.TempDir()
	for _, c := range []struct{ name, file, want string }{
		{"no such file", filepath.Join(dir, "none.pcap"), "-read FILE: no such file or directory: name a capture file that may be read"},
		{"a folder", dir, "-read FILE: is a directory: name a capture file"},
		{"an empty file", writeFile(t, "empty.pcap", nil), "-read FILE: the file is empty: name a capture file"},
		{"a text", writeFile(t, "text", []byte("hello")), "-read FILE: neither pcap nor pcapng, the formats that are read (it begins with 68656c6c): convert it, for example with editcap -F pcap"},
	} {
		out, complaints, code := exporter("-read", good, good, c.file, good)
		want := "tcp-stream-exporter: " + strings.ReplaceAll(c.want, "FILE", c.file) + "\n"
		if code != exitFailure || out != "" || complaints != want {
			t.Errorf("%s: exit status %d, %q, %q\nwant %q", c.name, code, out, complaints, want)
		}
	}
}

// TestReadGoesOnBehindDamage cuts the first and the second of three files: each is named, and what all hold up to
// there is accounted.
func TestReadGoesOnBehindDamage(t *testing.T) {
	files := rotated(t, 3, conversations(3, 1000))
	for i := range 2 {
		content, err := os.ReadFile(files[i])
		if err != nil {
			t.Fatal(err)
		}
		files[i] = writeFile(t, "cut.pcap", content[:len(content)-20])
	}
	for _, args := range [][]string{{}, {"-repeat", "2"}} {
		_, complaints, code := exporter(append(append([]string{"-read"}, files...), args...)...)
		lines := strings.Split(complaints, "\n")
		if code != exitFailure || len(lines) != 4 || !strings.Contains(lines[0], " and 2 more files: 19 packets, 19 accounted; 6 streams; ") {
			t.Fatalf("exit status %d, %q", code, complaints)
		}
		for i := range 2 {
			want := "tcp-stream-exporter: -read " + files[i] + ": damaged at byte 644, in packet 7: the file ends 20 bytes early: what stands before it is accounted, and so are the other files"
			if lines[1+i] != want {
				t.Errorf("%q, want %q", lines[1+i], want)
			}
		}
	}
}

// TestReadTellsOfFilesOutOfOrder: a shell sorts the files of tcpdump -C as 1, 10, 2.
func TestReadTellsOfFilesOutOfOrder(t *testing.T) {
	files := rotated(t, 3, conversations(3, 5000))
	_, complaints, code := exporter("-read", files[0], files[2], files[1])
	lines := strings.Split(complaints, "\n")
	if want := "tcp-stream-exporter: -read " + files[1] + ": begins 5.57s before the end of the file before it: give files in the order in which they were captured"; code != exitOK || len(lines) != 3 || lines[0] != want {
		t.Errorf("exit status %d, %q, want %q", code, complaints, want)
	}
}

// TestReadSumsWhatItSkips reads an Ethernet, a raw IP and a USB file: each is decoded by its own link type, and
// what is left out is told of all together.
func TestReadSumsWhatItSkips(t *testing.T) {
	linked := func(link byte, packets ...timed) string {
		content, err := os.ReadFile(captureFile(t, packets...))
		if err != nil {
			t.Fatal(err)
		}
		content[20] = link // pcap-savefile(5)
		return writeFile(t, "linked.pcap", content)
	}
	conversation := talk(client, server, 0)
	ethernet := linked(1, append(conversation[:4:4], timed{ms: 40, frame: make([]byte, 60)})...)
	raw := linked(101,
		timed{ms: 530, frame: packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 1000, Payload: 100}.IP()},
		timed{ms: 560, frame: packet.TCP{Src: server, Dst: client, Seq: 1, Ack: 101, Flags: packet.ACK, Window: 900}.IP()},
		timed{ms: 561, frame: make([]byte, 60)})
	usb := linked(220, timed{ms: 562, frame: make([]byte, 64)})
	last := linked(1, conversation[6:]...)
	want, _, _ := exporter("-read", captureFile(t, conversation...))
	for _, args := range [][]string{{}, {"-repeat", "2"}} {
		out, complaints, code := exporter(append([]string{"-packet-filter", "", "-read", ethernet, raw, usb, last}, args...)...)
		if code != exitOK || !strings.Contains(complaints, " and 3 more files: 10 packets, 7 accounted, 3 skipped (not_ip 2, unknown_link 1); 2 streams; ") {
			t.Errorf("exit status %d, %q", code, complaints)
		}
		const processed = "\ncapture_packets_processed_total "
		if strings.Replace(out, processed+"10\n", processed+"7\n", 1) != want {
			t.Errorf("%v: other metrics than those of one file", args)
		}
	}
}

func TestReadFilesOnTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-read", "a.pcap", "-read", "b.pcap"}, "-read a.pcap and -read b.pcap: give the flag once, and further files behind it: -read a.pcap b.pcap"},
		{[]string{"-read", "a.pcap", ""}, `argument "": name a capture file, or - for standard input`},
		{[]string{"-read", "-", "a.pcap", "-"}, "-read -: standard input can be read once, name - once"},
		{[]string{"a.pcap", "-read", "b.pcap"}, `argument "a.pcap": all settings are flags, see -help`},
		{[]string{"-read", "a.pcap", "b.pcap", "-colour"}, "-colour: unknown flag: -help lists all flags"},
		{[]string{"-read", "a.pcap", "b.pcap", "-port", ":1"}, "-port :1: goes with a live capture only: leave it out with -read"},
	} {
		if _, err := parseFlags(c.args, io.Discard); err == nil || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.args, err, c.want)
		}
	}
	o, err := parseFlags([]string{"-read", "a", "b", "-ipv6", "c", "--", "-d"}, io.Discard)
	if want := []string{"a", "b", "c", "-d"}; err != nil || !slices.Equal(o.files, want) || !o.ipv6 {
		t.Errorf("%v, %+v, want the files %q", err, o, want)
	}
}
