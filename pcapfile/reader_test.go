package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"tcp-stream-exporter/internal/recorded"
	"tcp-stream-exporter/parse"
)

// samples returns small files of every kind that is read.
func samples() map[string]*file {
	little, big := binary.AppendByteOrder(binary.LittleEndian), binary.AppendByteOrder(binary.BigEndian)
	long := strings.Repeat("0123456789", 500)
	s := map[string]*file{
		"pcap, little endian": pcap(little, false, 1).
			record(1, 1700000000, 999999, "abcde", 60).record(1, 1700000001, 0, "", 0).record(1, 1700000001, 1, long, 5000),
		"pcap, big endian, Linux cooked": pcap(big, false, 113).
			record(113, 1, 2, "abc", 3).record(113, 2, 3, "defg", 1500),
		"pcap in nanoseconds":              pcap(little, true, 101).record(101, 1700000000, 123456789, "abc", 3),
		"pcap in nanoseconds, big endian":  pcap(big, true, 276).record(276, 4294967295, 999999999, "abc", 3),
		"pcap with a wire length too low":  pcap(little, false, 1).record(1, 5, 6, "abcdef", 2),
		"pcap without packets":             pcap(little, false, 1),
		"pcapng without packets":           ng(little),
		"pcapng without link type we know": ng(little).iface(220, 0, 0, 0).enhanced(0, 5, "usb", Packet{DLT: 220, WireLen: 3, Time: 5000}),
	}
	for name, order := range map[string]binary.AppendByteOrder{"little": little, "big": big} {
		s["pcapng with all sorts of blocks, "+name+" endian"] = ng(order).
			foreign().
			iface(1, 0, 0, 0).iface(113, 64, 9, 0).iface(101, 0, 0x80|10, 0).iface(0, 0, 3, 1_600_000_000).
			enhanced(0, 1_700_000_000_123_456, "ether", Packet{DLT: 1, WireLen: 60, Time: 1_700_000_000_123_456_000}).
			foreign().
			enhanced(1, 1_700_000_001_123_456_789, "cooked", Packet{DLT: 113, WireLen: 6, Time: 1_700_000_001_123_456_789}).
			enhanced(2, 1<<40|512, "raw", Packet{DLT: 101, WireLen: 9, Time: 1<<30*1_000_000_000 + 500_000_000}).
			simple("si", Packet{DLT: 1, WireLen: 2, Time: 1<<30*1_000_000_000 + 500_000_000}).
			old(0, 77, "old", Packet{DLT: 1, WireLen: 3, Time: 77_000}).
			enhanced(3, 1500, "offset", Packet{DLT: 0, WireLen: 6, Time: 1_600_000_001_500_000_000}).
			section().iface(9, 4, 0, 0).
			simple("snap", Packet{DLT: 9, WireLen: 900, Time: 1_600_000_001_500_000_000}).
			enhanced(0, 3, long, Packet{DLT: 9, WireLen: 7000, Time: 3000})
	}
	mixed := ng(little).iface(1, 0, 0, 0).enhanced(0, 1, "x", Packet{DLT: 1, WireLen: 1, Time: 1000})
	mixed.order = big
	s["pcapng whose sections differ in byte order"] = mixed.section().iface(101, 0, 0, 0).
		enhanced(0, 2, "y", Packet{DLT: 101, WireLen: 1, Time: 2000})
	return s
}

// same compares packets, Link by what the link type number says.
func same(t *testing.T, got, want []Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, w := range want {
		w.Link = parse.LinkFromDLT(w.DLT)
		if g := got[i]; g.Link != w.Link || g.DLT != w.DLT || g.WireLen != w.WireLen || g.Time != w.Time || !bytes.Equal(g.Data, w.Data) {
			t.Errorf("packet %d: %+v\nwant %+v", i+1, g, w)
		}
	}
}

func TestReads(t *testing.T) {
	for name, f := range samples() {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(t, bytes.NewReader(f.b))
			if err != io.EOF {
				t.Errorf("ended with %v", err)
			}
			same(t, got, f.want)
			got, err = readAll(t, iotest.OneByteReader(bytes.NewReader(f.b)))
			if err != io.EOF {
				t.Errorf("byte by byte: ended with %v", err)
			}
			same(t, got, f.want)
		})
	}
}

// TestCutOff cuts every file after every byte: all whole packets come, and only a cut between two
// records is a clean end.
func TestCutOff(t *testing.T) {
	for name, f := range samples() {
		t.Run(name, func(t *testing.T) {
			for cut := 4; cut < len(f.b); cut++ {
				got, err := readAll(t, bytes.NewReader(f.b[:cut]))
				start, whole, clean := 0, 0, false
				for i, end := range f.ends {
					if end <= cut {
						start, whole, clean = end, f.after[i], end == cut
					}
				}
				same(t, got, f.want[:whole])
				var damage *DamageError
				switch {
				case clean && err != io.EOF:
					t.Errorf("cut between records after %d bytes: %v", cut, err)
				case !clean && !errors.As(err, &damage):
					t.Errorf("cut after %d bytes: %v", cut, err)
				case !clean && (damage.Offset != int64(start) || damage.Packet != uint64(whole+1)):
					t.Errorf("cut after %d bytes: %v, want byte %d and packet %d", cut, err, start, whole+1)
				}
			}
		})
	}
}

// TestDamaged turns every byte into others: what stands before the record it is in comes unchanged,
// nothing panics, and the end is clean or an error with its place.
func TestDamaged(t *testing.T) {
	for name, f := range samples() {
		t.Run(name, func(t *testing.T) {
			for at := 4; at < len(f.b); at++ {
				if at > 700 && at < len(f.b)-100 && at%7 != 0 {
					continue // payload
				}
				before := 0
				for i, end := range f.ends {
					if end <= at {
						before = f.after[i]
					}
				}
				for _, x := range []byte{1, 0x80, 0xff, 0x40} {
					b := bytes.Clone(f.b)
					b[at] ^= x
					got, err := readAll(t, bytes.NewReader(b))
					var damage *DamageError
					if err != io.EOF && !errors.As(err, &damage) {
						t.Fatalf("byte %d xor %#x: %v", at, x, err)
					}
					if len(got) < before {
						t.Fatalf("byte %d xor %#x: %d packets (%v), want at least the %d before it", at, x, len(got), err, before)
					}
					same(t, got[:before], f.want[:before])
				}
			}
		})
	}
}

func TestDamageIsNamed(t *testing.T) {
	order := binary.AppendByteOrder(binary.LittleEndian)
	one := func() *file { return ng(order).iface(1, 0, 0, 0).enhanced(0, 1, "x", Packet{}) }
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"a pcap packet of 4 GiB", pcap(order, false, 1).u32(0).u32(0).u32(math.MaxUint32).u32(math.MaxUint32).b,
			"damaged at byte 24, in packet 1: a packet of 4294967295 bytes, and 1048576 is the most"},
		{"a packet larger than its block", func() []byte {
			f := one()
			return f.block(6, func() { f.u32(0).u32(0).u32(0).u32(99).u32(99).u32(0) }).b
		}(), "damaged at byte 108, in packet 2: a packet of 99 bytes in a block of 36"},
		{"a simple packet larger than its block", func() []byte {
			f := one()
			return f.block(3, func() { f.u32(8).u32(0) }).b
		}(), "damaged at byte 108, in packet 2: the packet is longer than its record"},
		{"a simple packet larger than its block, at the end", func() []byte {
			f := one()
			return f.block(3, func() { f.u32(100).u32(0) }).b
		}(), "damaged at byte 108, in packet 2: unexpected EOF"},
		{"a block shorter than a block can be", one().u32(6).u32(8).b,
			"damaged at byte 108, in packet 2: a block of type 6 with a total length of 8 bytes"},
		{"a block of 4 GiB", one().u32(6).u32(0xfffffffc).b,
			"damaged at byte 108, in packet 2: a block of type 6 with 4294967292 bytes, and 1114112 is the most"},
		{"a foreign block of 4 GiB", one().u32(99).u32(0xfffffffc).u32(1).b,
			"damaged at byte 108, in packet 2: the file ends 4294967276 bytes early"},
		{"two lengths", one().u32(99).u32(16).u32(0).u32(20).b,
			"damaged at byte 108, in packet 2: a block of type 99 whose total length is 16 bytes at its beginning and 20 at its end"},
		{"an option that does not fit", func() []byte {
			f := one()
			return f.block(1, func() { f.u16(1).u16(0).u32(0).u16(2).u16(5).u32(0) }).b
		}(), "damaged at byte 108, in packet 2: a block of type 1 whose options do not fit into it"},
		{"an interface that was not announced", one().enhanced(7, 1, "x", Packet{}).b,
			"damaged at byte 108, in packet 2: Interface id 7 not present in section (have only 1 interfaces)"},
		{"a packet before any interface", ng(order).enhanced(0, 1, "x", Packet{}).b,
			"damaged at byte 28, in packet 1: Interface id 0 not present in section (have only 0 interfaces)"},
		{"a section of version 2", func() []byte {
			b := ng(order).b
			b[12] = 2
			return b
		}(), "damaged at byte 0, in packet 1: Unknown pcapng Version in Section Header"},
		{"a second section without its magic", func() []byte {
			f := one()
			at := len(f.b)
			f.section().b[at+8] = 9
			return f.b
		}(), "damaged at byte 108, in packet 2: a section header with the byte order magic 093c2b1a"},
		{"pcap version 3", func() []byte {
			b := pcap(order, false, 1).b
			b[4] = 3
			return b
		}(), "damaged at byte 0, in packet 1: Unknown major version 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readAll(t, bytes.NewReader(c.b))
			runtime.ReadMemStats(&after)
			if err == nil || err.Error() != c.want {
				t.Errorf("%v\nwant %s", err, c.want)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 4<<20 {
				t.Errorf("%d bytes were allocated for it", got)
			}
		})
	}
}

func TestPcapngVersion12IsReadAs10(t *testing.T) {
	f := ng(binary.LittleEndian).iface(1, 0, 0, 0).enhanced(0, 1, "x", Packet{DLT: 1, WireLen: 1, Time: 1000})
	f.b[14] = 2
	got, err := readAll(t, bytes.NewReader(f.b))
	if err != io.EOF {
		t.Error(err)
	}
	same(t, got, f.want)
}

func TestOtherFiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an empty file":     {"", "the file is empty"},
		"three bytes":       {"abc", "neither pcap nor pcapng, the formats that are read (it begins with 616263)"},
		"a text":            {"hello, world\n", "neither pcap nor pcapng, the formats that are read (it begins with 68656c6c)"},
		"a start of gzip":   {"\x1f\x8b", "damaged at byte 0 of the decompressed file, in packet 1, after 2 bytes of the gzip data: the gzip data end early"},
		"a start of zstd":   {"\x28\xb5\x2f\xfd", "damaged at byte 0 of the decompressed file, in packet 1, after 4 bytes of the zstd data: the zstd data end early"},
		"a wrong zstd file": {"\x28\xb5\x2f\xfd....", "damaged at byte 0 of the decompressed file, in packet 1, after 5 bytes of the zstd data: the zstd data are wrong: reserved bit set on frame header"},
		"nothing, in gzip":  {pack(t, "gzip", nil), "the file is empty"},
		"a text, in zstd":   {pack(t, "zstd", []byte("hello")), "neither pcap nor pcapng, the formats that are read (it begins with 68656c6c)"},
		"gzip in zstd":      {pack(t, "zstd", []byte(pack(t, "gzip", nil))), "compressed with gzip inside zstd"},
		"a bzip2 file":      {"BZh9", "compressed with bzip2"},
		"an xz file":        {"\xfd7zXZ\x00", "compressed with xz"},
	} {
		if _, err := NewReader(strings.NewReader(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestReadErrorsAreNoDamage(t *testing.T) {
	boom := errors.New("boom")
	if _, err := NewReader(iotest.ErrReader(boom)); !errors.Is(err, boom) {
		t.Errorf("at once: %v", err)
	}
	for name, f := range samples() {
		for cut := 4; cut < len(f.b); cut += 3 {
			_, err := readAll(t, io.MultiReader(bytes.NewReader(f.b[:cut]), iotest.ErrReader(boom)))
			var damage *DamageError
			if !errors.Is(err, boom) || errors.As(err, &damage) {
				t.Errorf("%s, after %d bytes: %v", name, cut, err)
			}
		}
	}
}

func TestNanos(t *testing.T) {
	for _, c := range []struct {
		stamp      uint64
		resolution uint8
		offset     int64
		want       int64
	}{
		{1_700_000_000_123_456, 6, 0, 1_700_000_000_123_456_000},
		{1_700_000_000_123_456_789, 9, 0, 1_700_000_000_123_456_789},
		{1_700_000_000_123, 3, 0, 1_700_000_000_123_000_000},
		{1_700_000_000_123_456_789, 12, 0, 1_700_000_000_123_456}, // ps: what is below 1 ns falls away
		{5, 1, 0, 500_000_000},
		{7, 0, 0, 7_000_000_000}, // whole seconds
		{1700000000<<32 | 1<<31, 0x80 | 32, 0, 1_700_000_000_500_000_000},
		{1700000000<<20 | 0xfffff, 0x80 | 20, 0, 1_700_000_000_999_999_046},
		{1500, 3, -1, 500_000_000},
		{math.MaxUint64, 19, 0, 1_844_674_407},
		{math.MaxUint64, 20, 7, 7_000_000_000},
		{math.MaxUint64, 0xff, 7, 7_000_000_000},
		{math.MaxUint64, 0x80 | 63, 0, 1_999_999_999},
	} {
		if got := nanos(c.stamp, c.resolution, c.offset); got != c.want {
			t.Errorf("%d at %#x with offset %d: %d, want %d", c.stamp, c.resolution, c.offset, got, c.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.b)
		f.Add([]byte(pack(f, "gzip", s.b)))
		f.Add([]byte(pack(f, "zstd", s.b)))
	}
	for _, b := range [][]byte{recorded.Ethernet, recorded.EthernetNG, recorded.Cooked} {
		f.Add(b)
		f.Add(b[:1000])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(t, bytes.NewReader(b))
		if err == nil {
			t.Fatal("no end")
		}
		for _, p := range got {
			if len(p.Data) > maxPacketLen || uint32(len(p.Data)) > p.WireLen {
				t.Fatalf("%d bytes of %d", len(p.Data), p.WireLen)
			}
		}
		slow, slowErr := readAll(t, iotest.OneByteReader(bytes.NewReader(b)))
		if len(slow) != len(got) || fmt.Sprint(slowErr) != fmt.Sprint(err) {
			t.Fatalf("%d packets and %v; read byte by byte %d and %v", len(got), err, len(slow), slowErr)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for name, f := range map[string]*file{
		"pcap":   pcap(binary.LittleEndian, false, 1),
		"pcapng": ng(binary.LittleEndian).iface(1, 0, 0, 0),
	} {
		b.Run("format="+name, func(b *testing.B) {
			data := strings.Repeat("x", 100)
			for i := range uint32(10_000) {
				if name == "pcap" {
					f.record(1, i, 0, data, 100)
				} else {
					f.enhanced(0, uint64(i), data, Packet{WireLen: 100})
				}
			}
			var p Packet
			n := 0
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(f.b))
				for err == nil {
					err = r.Next(&p)
				}
				n += int(r.Packets())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
		})
	}
}
