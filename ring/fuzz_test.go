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

// guarded returns memory with a page before and a page behind it that must not be touched: reading there
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

// FuzzBlock walks hostile bytes.
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
	for real := realFrames(); len(real) > 0; real = real[min(15, len(real)):] {
		mem, _ := fk.Block(4096, real)
		f.Add(mem)
	}
	room := guarded(f, 16)
	f.Fuzz(func(t *testing.T, data []byte) { walkBoth(t, room, data) })
}

// FuzzBlockFields changes offsets, lengths and counts of a block that is sound otherwise, any number
// of them: each change is three numbers, the frame (0: the block's own header), the field, and the
// value. Random bytes seldom come as far.
func FuzzBlockFields(f *testing.F) {
	var blocks [][]byte
	const size = 1 << 11 // small, for speed
	for _, frames := range [][]fk.Frame{frames(1, 60), realFrames()[:4], realFrames()} {
		mem, _ := fk.Block(size, frames)
		blocks = append(blocks, mem)
	}
	header := []int{fk.NumPkts, fk.OffsetToFirstPkt, fk.BlkLen}
	frame := []int{fk.NextOffset, fk.Snaplen, fk.Len, fk.Mac, fk.Net, fk.Status}
	change := func(frame, field uint8, value uint32) []byte {
		return binary.LittleEndian.AppendUint32([]byte{frame, field}, value)
	}
	for _, value := range []uint32{0, 1, 8, 47, 48, 68, 96, size - 68, size - 8, size, size + 8, 1<<16 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 8} {
		for field := range uint8(6) {
			f.Add(uint8(1), change(0, field, value))
			f.Add(uint8(1), change(1, field, value))
			f.Add(uint8(2), slices.Concat(change(1, 0, 160), change(2, field, value)))
		}
	}
	room := guarded(f, 16)
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		mem := slices.Clone(blocks[int(which)%len(blocks)])
		count := fk.U32(mem, fk.NumPkts)
		for ; len(changes) >= 6; changes = changes[6:] {
			value, field := binary.LittleEndian.Uint32(changes[2:]), int(changes[1])
			n := int(uint32(changes[0]) % (count + 1))
			if n == 0 {
				fk.PutU32(mem, header[field%len(header)], value)
				continue
			}
			at, ok := headerAt(mem, n-1)
			if !ok {
				continue // an earlier change made the way there lead out
			}
			switch off := frame[field%len(frame)]; off {
			case fk.Mac, fk.Net:
				fk.PutU16(mem, at+off, uint16(value))
			default:
				fk.PutU32(mem, at+off, value)
			}
		}
		walkBoth(t, room, mem)
	})
}

// headerAt returns where frame i starts, if all of its header lies in the block.
func headerAt(mem []byte, i int) (at int, ok bool) {
	at = int(fk.U32(mem, fk.OffsetToFirstPkt))
	for ; ; i-- {
		if at > len(mem)-fk.FrameHdrLen {
			return 0, false
		}
		if i == 0 {
			return at, true
		}
		at += int(fk.U32(mem, at+fk.NextOffset))
	}
}

// realFrames returns recorded ones, 1 ms apart.
func realFrames() (frames []fk.Frame) {
	for i, r := range recorded.Frames(recorded.Ethernet) {
		frames = append(frames, fk.Frame{Data: r.Data, WireLen: r.WireLen, Time: int64(i) * 1_000_000, IfIndex: 3})
	}
	return frames
}

// walkBoth walks data as a block that ends, then one that starts, at a page that cannot be read, and
// compares with the slow walk.
func walkBoth(t *testing.T, room, data []byte) {
	t.Helper()
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
}
