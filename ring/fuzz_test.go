package ring

import (
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	fk "tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/recorded"
)

// slowWalk is the obvious walk: every field out of a checked copy, no pointers, no unsafe. It is
// what the fast one is compared with.
func slowWalk(mem []byte) (fs []seen, bad bool) {
	u16 := binary.NativeEndian.Uint16
	u32 := binary.NativeEndian.Uint32
	if len(mem) < 48 {
		return nil, true
	}
	left, at, blkLen := u32(mem[12:]), int64(u32(mem[16:])), int64(u32(mem[20:]))
	if blkLen < 48 || blkLen > int64(len(mem)) {
		return nil, true
	}
	if left > 0 && at < 48 {
		return nil, true
	}
	for ; left > 0; left-- {
		if at%8 != 0 || at > blkLen || blkLen-at < 68 {
			return fs, true
		}
		h := mem[at:]
		mac, snap := int64(u16(h[24:])), int64(u32(h[12:]))
		if mac < 68 || mac > blkLen-at || snap > blkLen-at-mac {
			return fs, true
		}
		fs = append(fs, seen{
			Data:    mem[at+mac : at+mac+snap],
			Time:    int64(u32(h[4:]))*1_000_000_000 + int64(u32(h[8:])),
			WireLen: u32(h[16:]), Status: u32(h[20:]),
			VLANTCI: uint16(u32(h[32:])), VLANTPID: u16(h[36:]),
			IfIndex: int32(u32(h[52:])), Hatype: u16(h[56:]), PktType: h[58],
		})
		next := int64(u32(h[0:]))
		if left > 1 && next < mac+snap {
			return fs, true
		}
		at += next
	}
	return fs, false
}

// guarded is memory with a page before and a page behind it that must not be touched: reading there
// ends the test program.
func guarded(t testing.TB, pages int) []byte {
	t.Helper()
	page := os.Getpagesize()
	all, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	t.Cleanup(func() { _ = unix.Munmap(all) })
	for _, guard := range [][]byte{all[:page], all[(pages+1)*page:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatalf("mprotect: %v", err)
		}
	}
	return all[page : (pages+1)*page : (pages+1)*page]
}

// FuzzBlock walks hostile bytes that end, then start, at a page that cannot be read.
func FuzzBlock(f *testing.F) {
	for _, fs := range [][]fk.Frame{nil, frames(1, 60), frames(5, 60), frames(100, 90)} {
		mem, _ := fk.Block(4096, fs)
		f.Add(mem)
		f.Add(mem[:fk.U32(mem, fk.BlkLen)])
		fk.PutU32(mem, fk.BlkLen, 4096)
		fk.PutU32(mem, fk.NumPkts, 1)
		fk.PutU32(mem, fk.OffsetToFirstPkt, 4096-8) // a header that would reach over the end
		f.Add(mem)
	}
	var real []fk.Frame
	for i, r := range recorded.Frames(recorded.Ethernet) {
		real = append(real, fk.Frame{Data: r.Data, WireLen: r.WireLen, Time: int64(i) * 1_000_000, IfIndex: 3})
	}
	for ; len(real) > 0; real = real[min(15, len(real)):] {
		mem, _ := fk.Block(4096, real)
		f.Add(mem)
	}
	room := guarded(f, 16)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := min(len(data), len(room)) &^ 7 // so that the block starts aligned
		for _, mem := range [][]byte{room[len(room)-n:], room[:n:n]} {
			copy(mem, data)
			b := BlockOf(mem)
			var got []seen
			var fr seen
			var sum byte
			for b.next(&fr) {
				for _, c := range fr.Data {
					sum += c
				}
				got = append(got, fr)
				if len(got) > n/frameHdrLen {
					t.Fatalf("%d frames in %d bytes", len(got), n)
				}
			}
			sink += int(sum)
			want, bad := slowWalk(mem)
			if !slices.EqualFunc(got, want, equalFrames) || b.Bad() != bad {
				t.Fatalf("%d frames, bad %v; the slow walk has %d, %v", len(got), b.Bad(), len(want), bad)
			}
			if !bad && uint32(len(got)) != b.Len() {
				t.Fatalf("%d frames of %d and a good end", len(got), b.Len())
			}
		}
	})
}
