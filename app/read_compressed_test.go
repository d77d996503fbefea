package app

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"tcp-stream-exporter/internal/recorded"
)

// compressed writes the contents of a file compressed into another one, whose name does not tell, and returns
// its path.
func compressed(t testing.TB, format, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if format == "zstd" {
		if w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "traffic.bin", b.Bytes())
}

// TestReadOfACompressedFile wants the metrics of the file as it was, with -repeat and from standard input too.
func TestReadOfACompressedFile(t *testing.T) {
	for name, content := range map[string][]byte{"pcap": recorded.Ethernet, "pcapng": recorded.EthernetNG, "cooked": recorded.Cooked} {
		plain := writeFile(t, "traffic."+name, content)
		want, _, code := exporter("-read", plain)
		if code != exitOK || !strings.Contains(want, "\ntcp_bytes_transferred_total{") {
			t.Fatalf("%s: exit status %d, %d bytes", name, code, len(want))
		}
		for _, format := range []string{"gzip", "zstd"} {
			packed := compressed(t, format, plain)
			for _, args := range [][]string{{}, {"-repeat", "2"}} {
				got, complaints, code := exporter(append([]string{"-read", packed}, args...)...)
				if code != exitOK || got != want {
					t.Errorf("%s, %s, %v: exit status %d, the same metrics: %v, %s", name, format, args, code, got == want, complaints)
				}
			}
			in, err := os.Open(packed)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(buildExporter(t), "-read", "-")
			cmd.Stdin = in
			if got, err := cmd.Output(); err != nil || string(got) != want {
				t.Errorf("%s, %s, standard input: %v, the same metrics: %v", name, format, err, string(got) == want)
			}
			in.Close()
		}
	}
}

// TestReadOfACutCompressedFile cuts a gzip file: what came before is accounted, and the line says how far that is
// in the compressed and in the decompressed file.
func TestReadOfACutCompressedFile(t *testing.T) {
	plain := captureFile(t, conversations(200, 10)...)
	whole, err := os.ReadFile(compressed(t, "gzip", plain))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cut.pcap")
	if err := os.WriteFile(file, whole[:len(whole)-8], 0o644); err != nil { // its checksum and length are missing
		t.Fatal(err)
	}
	want, _, _ := exporter("-read", plain)
	for _, args := range [][]string{{"-read", file}, {"-read", file, "-repeat", "2"}} {
		out, complaints, code := exporter(args...)
		if code != exitFailure || out != want {
			t.Errorf("exit status %d, the same metrics: %v", code, out == want)
		}
		if lines := strings.Split(complaints, "\n"); len(lines) != 3 || !strings.Contains(lines[0], "1400 packets, 1400 accounted") ||
			!strings.HasPrefix(lines[1], "tcp-stream-exporter: -read "+file+": damaged at byte ") ||
			!strings.HasSuffix(lines[1], " of the decompressed file, in packet 1401, after "+strconv.Itoa(len(whole)-8)+" bytes of the gzip data: the gzip data end early: what stands before it is accounted") {
			t.Errorf("%q", complaints)
		}
	}
}
