package pcapfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"tcp-stream-exporter/internal/recorded"
)

// pack compresses b.
func pack(t testing.TB, format string, b []byte) string {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&packed)
	if format == "zstd" {
		z, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// TestReadsCompressed wants the packets of the file as it was, also where it was compressed in parts that stand
// one behind the other (RFC 1952, section 2.2; RFC 8878, section 3).
func TestReadsCompressed(t *testing.T) {
	for name, f := range samples() {
		for _, format := range []string{"gzip", "zstd"} {
			half := len(f.b) / 2
			for how, packed := range map[string]string{
				"whole":    pack(t, format, f.b),
				"in parts": pack(t, format, f.b[:half]) + pack(t, format, nil) + pack(t, format, f.b[half:]),
			} {
				for _, r := range []io.Reader{strings.NewReader(packed), iotest.OneByteReader(strings.NewReader(packed))} {
					got, err := readAll(t, r)
					if err != io.EOF {
						t.Errorf("%s, %s, %s: ended with %v", name, format, how, err)
					}
					same(t, got, f.want)
				}
			}
		}
	}
}

// TestCompressedCutOff cuts a compressed file after every seventh byte: what comes are the file's first packets, and the
// end says how much of the file there was.
func TestCompressedCutOff(t *testing.T) {
	for _, format := range []string{"gzip", "zstd"} {
		want, err := readAll(t, bytes.NewReader(recorded.Ethernet))
		if err != io.EOF {
			t.Fatal(err)
		}
		packed := pack(t, format, recorded.Ethernet)
		some := 0
		for cut := 4; cut < len(packed); cut += 7 {
			got, err := readAll(t, strings.NewReader(packed[:cut]))
			var damage *DamageError
			if !errors.As(err, &damage) {
				t.Fatalf("%s, cut after %d bytes: %v", format, cut, err)
			}
			if len(got) > len(want) {
				t.Fatalf("%s, cut after %d bytes: %d packets of %d", format, cut, len(got), len(want))
			}
			same(t, got, want[:len(got)])
			if 0 < len(got) && len(got) < len(want) {
				some++
			}
			if damage.Compression != format || damage.Compressed != int64(cut) || damage.Packet != uint64(len(got)+1) || damage.What != "the "+format+" data end early" {
				t.Fatalf("%s, cut after %d bytes, %d packets: %v", format, cut, len(got), err)
			}
		}
		if format == "gzip" && some < len(packed)/7/2 { // zstd decompresses 128 KiB at a time
			t.Errorf("%s: only %d of %d cuts left some packets and not others", format, some, len(packed)/7)
		}
	}
}

// TestCutOffZstdKeepsWholeBlocks cuts a file of many blocks in the last one.
func TestCutOffZstdKeepsWholeBlocks(t *testing.T) {
	f := pcap(binary.LittleEndian, false, 1)
	for i := range uint32(10_000) {
		f.record(1, i, i*7919%1_000_000, "some payload", 100)
	}
	packed := pack(t, "zstd", f.b)
	got, err := readAll(t, strings.NewReader(packed[:len(packed)-100]))
	var damage *DamageError
	if !errors.As(err, &damage) || len(got) < 4000 || damage.Packet != uint64(len(got)+1) {
		t.Fatalf("%d packets of %d, then %v", len(got), len(f.want), err)
	}
	same(t, got, f.want[:len(got)])
}

// TestCompressedDamaged turns bytes into others: nothing panics, and a clean end comes with the packets of
// the whole file.
func TestCompressedDamaged(t *testing.T) {
	for name, f := range samples() {
		for _, format := range []string{"gzip", "zstd"} {
			packed := pack(t, format, f.b)
			for at := 4; at < len(packed); at++ {
				if at > 64 && at < len(packed)-16 && at%5 != 0 {
					continue // neither header nor checksum
				}
				for _, x := range []byte{1, 0x80, 0xff} {
					b := []byte(packed)
					b[at] ^= x
					got, err := readAll(t, bytes.NewReader(b))
					var damage *DamageError
					switch {
					case err == io.EOF:
						same(t, got, f.want)
					case errors.As(err, new(*FormatError)) && len(got) == 0: // its first bytes are others now
					case !errors.As(err, &damage):
						t.Fatalf("%s, %s, byte %d xor %#x: %v", name, format, at, x, err)
					case damage.Compressed > int64(len(b)):
						t.Fatalf("%s, %s, byte %d xor %#x, of %d: %v", name, format, at, x, len(b), err)
					}
				}
			}
		}
	}
}

// TestCompressedReadErrorsAreNoDamage: what fails below the decompressor is an error of reading.
func TestCompressedReadErrorsAreNoDamage(t *testing.T) {
	boom := errors.New("boom")
	for _, format := range []string{"gzip", "zstd"} {
		packed := pack(t, format, recorded.Cooked)
		for cut := 4; cut < len(packed); cut += 3 {
			_, err := readAll(t, io.MultiReader(strings.NewReader(packed[:cut]), iotest.ErrReader(boom)))
			var damage *DamageError
			if !errors.Is(err, boom) || errors.As(err, &damage) {
				t.Fatalf("%s, after %d bytes: %v", format, cut, err)
			}
		}
	}
}

// TestDecompressionIsBounded reads a block of 64 MiB that is some KiB as a file, and a header that asks for the
// memory of 256 MiB.
func TestDecompressionIsBounded(t *testing.T) {
	const large = 64 << 20
	f := ng(binary.LittleEndian).u32(99).u32(large)
	head := len(f.b)
	f.b = append(f.b, make([]byte, large-12)...)
	f.u32(large)
	for _, c := range []struct{ name, packed, want string }{
		{"gzip", pack(t, "gzip", f.b), "EOF"},
		{"zstd", pack(t, "zstd", f.b), "EOF"},
		// RFC 8878, section 3.1.1.1.2: a window of 2^(10+18) bytes.
		{"a large window", zstdMagic + "\x00" + string([]byte{18 << 3}) + strings.Repeat("\x00", 20),
			"damaged at byte 0 of the decompressed file, in packet 1, after 6 bytes of the zstd data: the zstd data refer further back than 128 MiB: decompress the file first, with zstd -dc --long=31"},
	} {
		if len(c.packed) > 1<<20 || head > 100 {
			t.Fatalf("%s: %d bytes", c.name, len(c.packed))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(t, strings.NewReader(c.packed))
		runtime.ReadMemStats(&after)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
		const most = 24 << 20 // zstd keeps a window of 8 MiB twice over
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%s: %d bytes were allocated, want at most %d", c.name, got, most)
		}
	}
}

// TestStartAfter wants a packet without a time to have that of the file before.
func TestStartAfter(t *testing.T) {
	f := ng(binary.LittleEndian).iface(1, 0, 0, 0).simple("x", Packet{DLT: 1, WireLen: 1, Time: 77})
	r, err := NewReader(bytes.NewReader(f.b))
	if err != nil {
		t.Fatal(err)
	}
	r.StartAfter(77)
	var p Packet
	if err := r.Next(&p); err != nil {
		t.Fatal(err)
	}
	same(t, []Packet{p}, f.want)
}
