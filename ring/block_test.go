package ring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	fk "tcp-stream-exporter/internal/fakekernel"
)

// ether returns an Ethernet frame of n bytes that is different for every i.
func ether(i, n int) []byte {
	b := make([]byte, n)
	for k := range b {
		b[k] = byte(i*31 + k)
	}
	binary.BigEndian.PutUint16(b[12:], 0x88b5) // local experimental EtherType
	return b
}

// frames returns n frames of which every field is different.
func frames(n, size int) []fk.Frame {
	fs := make([]fk.Frame, n)
	for i := range fs {
		fs[i] = fk.Frame{
			Data:     ether(i, size+i%7),
			WireLen:  uint32(1500 + i),
			Time:     1_700_000_000_123_456_789 + int64(i)*1_000_000_007,
			Status:   StatusCsumNotReady << (i % 2 * 4), // or StatusCsumValid
			VLANTCI:  uint16(0x2000 + i),
			VLANTPID: 0x88a8,
			Hatype:   []uint16{1, 772}[i%2],
			PktType:  uint8(i % 5),
			IfIndex:  int32(3 + i),
		}
	}
	return fs
}

// walk returns every frame that the block yields, and whether it ended badly.
func walk(b Block) (fs []seen, bad bool) {
	var f seen
	for b.next(&f) {
		fs = append(fs, f)
	}
	return fs, b.Bad()
}

func sameFrame(t *testing.T, i int, got seen, want fk.Frame) {
	t.Helper()
	wireLen := want.WireLen
	if wireLen == 0 {
		wireLen = uint32(len(want.Data))
	}
	status := want.Status | tpStatusUser
	if want.VLANTPID != 0 {
		status |= StatusVLANValid | StatusVLANTPIDValid
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("frame %d: data % x, want % x", i, got.Data, want.Data)
	}
	if cap(got.Data) != len(got.Data) {
		t.Errorf("frame %d: data has room for %d bytes more: an append would write into the ring", i, cap(got.Data)-len(got.Data))
	}
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"Time", got.Time, want.Time},
		{"WireLen", int64(got.WireLen), int64(wireLen)},
		{"Status", int64(got.Status), int64(status)},
		{"VLANTCI", int64(got.VLANTCI), int64(want.VLANTCI)},
		{"VLANTPID", int64(got.VLANTPID), int64(want.VLANTPID)},
		{"Hatype", int64(got.Hatype), int64(want.Hatype)},
		{"PktType", int64(got.PktType), int64(want.PktType)},
		{"IfIndex", int64(got.IfIndex), int64(want.IfIndex)},
	} {
		if c.got != c.want {
			t.Errorf("frame %d: %s %d, want %d", i, c.name, c.got, c.want)
		}
	}
}

func TestBlockYieldsWhatTheKernelWrote(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   int
		frames []fk.Frame
		want   int // frames; -1: as many as fit, fewer than there are
		status uint32
	}{
		{"an empty block has no frames", 4096, nil, 0, tpStatusUser},
		{"a short block ends at its last frame", 4096, frames(3, 60), 3, tpStatusUser},
		{"a block of one frame needs no next offset", 4096, frames(1, 1514), 1, tpStatusUser},
		{"a full block yields all that fit", 4096, frames(100, 90), -1, tpStatusUser},
		{"a block full to its last byte is whole", 4096, []fk.Frame{{Data: ether(1, 4096-48-82), Hatype: 1}}, 1, tpStatusUser},
		{"a large block yields all that fit", 1 << 20, frames(10000, 96), -1, tpStatusUser},
		{"a timed-out block yields what it has", 4096, frames(2, 60), 2, tpStatusUser | tpStatusBlkTmo},
		{"an empty block of the timer has no frames", 4096, nil, 0, tpStatusUser | tpStatusBlkTmo},
		{"a lossy block yields what it has", 4096, frames(2, 60), 2, tpStatusUser | tpStatusLosing},
		{"a frame without link header starts at the network header", 4096,
			[]fk.Frame{{Data: []byte{0x45, 0, 0, 20}, Hatype: 0xfffe, Time: 5}}, 1, tpStatusUser},
		{"a captured length of 0 is a frame", 4096, []fk.Frame{{WireLen: 60, Hatype: 1}, {Data: ether(2, 60), Hatype: 1}}, 2, tpStatusUser},
		{"times reach past 2038", 4096, []fk.Frame{{Data: ether(0, 60), Hatype: 1, Time: 4_294_967_295_999_999_999}}, 1, tpStatusUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem, used := fk.Block(tt.size, tt.frames)
			fk.PutU32(mem, fk.BlockStatus, tt.status)
			b := BlockOf(mem)
			got, bad := walk(b)
			if tt.want < 0 {
				if used == 0 || used == len(tt.frames) {
					t.Fatalf("the block took %d of %d frames: no full block", used, len(tt.frames))
				}
				tt.want = used
			}
			if bad || len(got) != tt.want || b.Len() != uint32(tt.want) {
				t.Fatalf("%d frames of %d, bad %v; want %d and a good end", len(got), b.Len(), bad, tt.want)
			}
			if b.TimedOut() != (tt.status&tpStatusBlkTmo != 0) || b.Losing() != (tt.status&tpStatusLosing != 0) {
				t.Errorf("status %#x: TimedOut %v, Losing %v", tt.status, b.TimedOut(), b.Losing())
			}
			for i, f := range got {
				sameFrame(t, i, f, tt.frames[i])
			}
		})
	}
}

func TestBlockWithAPrivateArea(t *testing.T) {
	// tp_sizeof_priv moves the first frame; nothing else changes.
	mem, _ := fk.Block(4096, frames(3, 60))
	moved := make([]byte, 4096)
	copy(moved, mem[:48])
	copy(moved[48+64:], mem[48:4096-64])
	fk.PutU32(moved, fk.OffsetToFirstPkt, 48+64)
	fk.PutU32(moved, fk.BlkLen, fk.U32(mem, fk.BlkLen)+64)
	got, bad := walk(BlockOf(moved))
	if len(got) != 3 || bad {
		t.Fatalf("%d frames, bad %v; want 3 and a good end", len(got), bad)
	}
	for i, f := range got {
		sameFrame(t, i, f, frames(3, 60)[i])
	}
}

func TestMalformedBlockEndsBad(t *testing.T) {
	const size, n = 4096, 4 // four frames of which each takes 144 bytes, in 624 of 4096
	u32 := func(frame, field int, v uint32) func([]byte) {
		return func(mem []byte) { fk.PutU32(mem, fk.FrameAt(mem, frame)+field, v) }
	}
	u16 := func(frame, field int, v uint16) func([]byte) {
		return func(mem []byte) { fk.PutU16(mem, fk.FrameAt(mem, frame)+field, v) }
	}
	block := func(field int, v uint32) func([]byte) {
		return func(mem []byte) { fk.PutU32(mem, field, v) }
	}
	move := func(to int) func([]byte) {
		return func(mem []byte) {
			copy(mem[to:], bytes.Clone(mem[48:48+n*144]))
			fk.PutU32(mem, fk.OffsetToFirstPkt, uint32(to))
			fk.PutU32(mem, fk.BlkLen, uint32(to+n*144))
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(mem []byte)
		want  int // frames before the bad end
	}{
		{"num_pkts one too many: the last frame's next offset of 0 is no way on", block(fk.NumPkts, n+1), n},
		{"num_pkts 2^32-1", block(fk.NumPkts, 1<<32-1), n},
		{"offset_to_first_pkt 0 is the block header", block(fk.OffsetToFirstPkt, 0), 0},
		{"offset_to_first_pkt inside the block header", block(fk.OffsetToFirstPkt, 40), 0},
		{"offset_to_first_pkt inside the block header, with all frames moved there", move(40), 0},
		{"offset_to_first_pkt not aligned", block(fk.OffsetToFirstPkt, 52), 0},
		{"offset_to_first_pkt not aligned, with all frames moved there", move(52), 0},
		{"offset_to_first_pkt leaves 67 bytes for a header of 68", func(mem []byte) {
			fk.PutU32(mem, fk.BlkLen, 48+64+67)
			fk.PutU32(mem, fk.OffsetToFirstPkt, 48+64)
		}, 0},
		{"offset_to_first_pkt at the end of the block", block(fk.OffsetToFirstPkt, size), 0},
		{"offset_to_first_pkt behind the block", block(fk.OffsetToFirstPkt, size+8), 0},
		{"offset_to_first_pkt 2^32-8", block(fk.OffsetToFirstPkt, 1<<32-8), 0},
		{"blk_len 0", block(fk.BlkLen, 0), 0},
		{"blk_len shorter than the block header", block(fk.BlkLen, 47), 0},
		{"blk_len shorter than the block header, without frames", func(mem []byte) {
			fk.PutU32(mem, fk.BlkLen, 40)
			fk.PutU32(mem, fk.NumPkts, 0)
		}, 0},
		{"blk_len ends before the first frame does", block(fk.BlkLen, 48+100), 0},
		{"blk_len ends in the third frame", block(fk.BlkLen, 48+2*144+100), 2},
		{"blk_len longer than the block", block(fk.BlkLen, size+1), 0},
		{"blk_len 2^32-1", block(fk.BlkLen, 1<<32-1), 0},
		{"tp_next_offset 0 in a frame that is not the last", u32(1, fk.NextOffset, 0), 2},
		{"tp_next_offset into the frame's own header", u32(1, fk.NextOffset, 8), 2},
		{"tp_next_offset into the frame's own data", u32(1, fk.NextOffset, 136), 2},
		{"tp_next_offset not aligned", u32(1, fk.NextOffset, 148), 2},
		{"tp_next_offset to the end of what is filled", u32(1, fk.NextOffset, 3*144), 2},
		{"tp_next_offset behind the block", u32(1, fk.NextOffset, size), 2},
		{"tp_next_offset 2^32-8 would lead back", u32(1, fk.NextOffset, 1<<32-8), 2},
		{"tp_next_offset -144 would lead back to the first frame", u32(1, fk.NextOffset, 1<<32-144), 2},
		{"tp_mac 0 is the frame header", u16(2, fk.Mac, 0), 2},
		{"tp_mac in the sockaddr_ll", u16(2, fk.Mac, 67), 2},
		{"tp_mac so far that the data leave the block", u16(3, fk.Mac, 144), 3},
		{"tp_mac 2^16-1", u16(2, fk.Mac, 1<<16-1), 2},
		{"tp_snaplen one byte beyond what is filled", u32(3, fk.Snaplen, 144-82+1), 3},
		{"tp_snaplen into the next frame: its start is inside this one", u32(1, fk.Snaplen, 63), 2},
		{"tp_snaplen behind the block", u32(1, fk.Snaplen, size), 1},
		{"tp_snaplen 2^32-1", u32(1, fk.Snaplen, 1<<32-1), 1},
		{"tp_snaplen that would wrap 32 bits with tp_mac", u32(0, fk.Snaplen, 1<<32-82), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fs []fk.Frame
			for i := range n {
				fs = append(fs, fk.Frame{Data: ether(i, 60), Hatype: 1})
			}
			mem, used := fk.Block(size, fs)
			if used != n || fk.U32(mem, fk.BlkLen) != 48+n*144 {
				t.Fatalf("the good block has %d frames in %d bytes, want %d in %d", used, fk.U32(mem, fk.BlkLen), n, 48+n*144)
			}
			if got, bad := walk(BlockOf(mem)); len(got) != n || bad {
				t.Fatalf("the good block: %d frames, bad %v", len(got), bad)
			}
			tt.spoil(mem)
			got, bad := walk(BlockOf(mem))
			if len(got) != tt.want || !bad {
				t.Fatalf("%d frames, bad %v; want %d and a bad end", len(got), bad, tt.want)
			}
			if want, wantBad := slowWalk(mem); !slices.EqualFunc(got, want, equalFrames) || bad != wantBad {
				t.Errorf("the slow walk differs: %d frames, bad %v", len(want), wantBad)
			}
			b := BlockOf(mem)
			var f seen
			for b.next(&f) {
			}
			if b.next(&f) || !b.Bad() {
				t.Error("the walk went on after its end")
			}
		})
	}
}

func TestBlockIgnoresWhatIsBehindTheLastFrame(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(mem []byte)
		want  int
	}{
		{"num_pkts one too few: the frame behind is not walked", func(mem []byte) { fk.PutU32(mem, fk.NumPkts, 2) }, 2},
		{"num_pkts 0 makes the first offset meaningless", func(mem []byte) {
			fk.PutU32(mem, fk.NumPkts, 0)
			fk.PutU32(mem, fk.OffsetToFirstPkt, 0)
		}, 0},
		{"tp_next_offset of the last frame is not followed", func(mem []byte) {
			fk.PutU32(mem, fk.FrameAt(mem, 2)+fk.NextOffset, 1<<32-8)
		}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem, _ := fk.Block(4096, frames(3, 60))
			tt.spoil(mem)
			if got, bad := walk(BlockOf(mem)); len(got) != tt.want || bad {
				t.Fatalf("%d frames, bad %v; want %d and a good end", len(got), bad, tt.want)
			}
		})
	}
}

func TestBlockOfMemoryThatIsNoBlock(t *testing.T) {
	mem, _ := fk.Block(4096, frames(3, 60))
	for n := range 48 {
		if got, bad := walk(BlockOf(mem[:n:n])); len(got) != 0 || !bad {
			t.Errorf("%d bytes: %d frames, bad %v; want none and bad", n, len(got), bad)
		}
	}
	if got, bad := walk(BlockOf(mem[4:])); len(got) != 0 || !bad {
		t.Errorf("memory at an odd address: %d frames, bad %v; want none and bad", len(got), bad)
	}
}

func TestBlockCutAtEveryLength(t *testing.T) {
	whole, _ := fk.Block(4096, frames(6, 60))
	end := int(fk.U32(whole, fk.BlkLen))
	for n := 48; n < end; n++ {
		mem, _ := fk.Block(4096, nil)
		copy(mem, whole[:n])
		fk.PutU32(mem, fk.BlkLen, uint32(n))
		got, bad := walk(BlockOf(mem[: n : n/8*8+8]))
		want, wantBad := slowWalk(mem[:n])
		if !slices.EqualFunc(got, want, equalFrames) || bad != wantBad {
			t.Fatalf("cut at %d: %d frames, bad %v; the slow walk has %d, %v", n, len(got), bad, len(want), wantBad)
		}
		if !bad && len(got) != 6 {
			t.Fatalf("cut at %d: %d frames and a good end", n, len(got))
		}
	}
}

func TestWalkingABlockDoesNotAllocate(t *testing.T) {
	mem, used := fk.Block(1<<16, frames(1000, 96))
	var f seen
	var n, sum int
	allocs := testing.AllocsPerRun(100, func() {
		for b := BlockOf(mem); b.next(&f); n++ {
			sum += len(f.Data)
		}
	})
	if allocs != 0 || n != used*101 || sum == 0 {
		t.Fatalf("%v allocations for %d frames, want 0 for %d", allocs, n, used*101)
	}
}

func TestPrefetchStaysInTheBlock(t *testing.T) {
	mem, _ := fk.Block(1<<16, frames(100, 96))
	b, none := BlockOf(mem), BlockOf(nil)
	size := uint64(len(b.mem))
	for _, c := range []struct {
		b              *Block
		from, to, want uint64
	}{
		{&b, 0, 128, 128},
		{&b, 128, 64, 128}, // was fetched already
		{&b, size - 1, size + 4096, size},
		{&b, size, size + 4096, size},
		{&b, size + 8, size + 4096, size + 8},
		{&b, 0, 1 << 63, size},
		{&none, 48, 4096, 48},
	} {
		if end := c.b.Prefetch(c.from, c.to); end != c.want {
			t.Errorf("fetched from %d to %d: ended at %d, want %d", c.from, c.to, end, c.want)
		}
	}
}

func equalFrames(a, b seen) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
