//go:build !(mips || mips64 || ppc64 || s390x)

package fakekernel

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// byHand is a block of two frames written out from linux/if_packet.h, in little-endian byte order.
// Package ring's tests compare blocks with those of the running kernel.
const byHand = `
02000000 30000000 01000000 02000000 // TPACKET_V3, private area at 48, TP_STATUS_USER, 2 frames
30000000 00010000 0100000000000000  // the first at 48, 48+104+104 bytes in use, block number 1
01000000 02000000 03000000 04000000 // times of the first and last frame: seconds, nanoseconds

68000000 01000000 02000000 14000000 // next frame 104 bytes on, 1 s, 2 ns, 20 bytes captured
dc050000 51000020 5200 6000         // 1500 on the wire; user, both VLAN bits, TS_SOFTWARE; MAC 82, net 96
00000000 64200000 0081 0000         // no hash, tag 0x2064, TPID 0x8100
0000000000000000                    // padding
1100 0800 07000000 0100 03 06       // AF_PACKET, IPv4, interface 7, ARPHRD_ETHER, PACKET_OTHERHOST
0200000000020000                    // the sender's address of 6 bytes
0000000000000000000000000000        // from 68 to 82
020000000001 020000000002 0800      // the frame
450000140000 0000                   // padded to a multiple of 8

00000000 03000000 04000000 04000000 // the last frame, 3 s, 4 ns, 4 bytes captured
04000000 01000000 6000 6000         // 4 on the wire, user, MAC and net 96
00000000 00000000 0000 0000
0000000000000000
1100 86dd 08000000 feff 04 00       // AF_PACKET, IPv6, interface 8, ARPHRD_NONE, PACKET_OUTGOING, no address
0000000000000000
00000000000000000000000000000000 000000000000000000000000 // from 68 to 96
60000000 00000000
`

func TestBlockByHand(t *testing.T) {
	digits := regexp.MustCompile(`//.*|\s`).ReplaceAllString(byHand, "")
	want, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	eth, _ := hex.DecodeString("0200000000010200000000020800450000140000")
	got, used := Block(512, []Frame{
		{Data: eth, WireLen: 1500, Time: 1_000_000_002, Status: 1 << 29, VLANTCI: 0x2064, VLANTPID: 0x8100, PktType: 3, IfIndex: 7},
		{Data: []byte{0x60, 0, 0, 0}, Time: 3_000_000_004, Hatype: 0xfffe, PktType: 4, IfIndex: 8},
	})
	if used != 2 || len(got) != 512 {
		t.Fatalf("%d frames in %d bytes, want 2 in 512", used, len(got))
	}
	want = append(want, make([]byte, 512-len(want))...)
	for i := 0; i < 512; i += 4 {
		if !bytes.Equal(got[i:i+4], want[i:i+4]) {
			t.Errorf("byte %d: % x, want % x", i, got[i:i+4], want[i:i+4])
		}
	}
	if a, b := FrameAt(got, 0), FrameAt(got, 1); a != 48 || b != 152 {
		t.Errorf("frames at %d and %d, want 48 and 152", a, b)
	}
}

func TestBlockTakesWhatFits(t *testing.T) {
	frame := func(n int) Frame { return Frame{Data: make([]byte, n)} } // takes 82+n, up to a multiple of 8
	for _, tt := range []struct {
		name    string
		size    int
		frames  []Frame
		want    int
		snapLen uint32 // of the first
	}{
		{"no frames make an empty block", 1024, nil, 0, 0},
		{"all frames where there is room", 1024, []Frame{frame(62), frame(62), frame(62)}, 3, 62},
		{"a second frame must leave a byte free", 48 + 2*144, []Frame{frame(62), frame(62)}, 1, 62},
		{"with eight bytes more it goes in", 48 + 2*144 + 8, []Frame{frame(62), frame(62)}, 2, 62},
		{"a first frame may fill the block", 48 + 144, []Frame{frame(62)}, 1, 62},
		{"a first frame larger than the block is cut", 48 + 144, []Frame{frame(63)}, 1, 62},
		{"a second frame larger than a block waits for the next", 1024, []Frame{frame(62), frame(2000)}, 1, 62},
	} {
		mem, used := Block(tt.size, tt.frames)
		if used != tt.want || U32(mem, NumPkts) != uint32(tt.want) || len(mem) != tt.size {
			t.Errorf("%s: %d frames, num_pkts %d, in %d bytes; want %d in %d", tt.name, used, U32(mem, NumPkts), len(mem), tt.want, tt.size)
			continue
		}
		if used > 0 && (U32(mem, 48+Snaplen) != tt.snapLen || U32(mem, 48+Len) != uint32(len(tt.frames[0].Data))) {
			t.Errorf("%s: %d of %d bytes captured, want %d", tt.name, U32(mem, 48+Snaplen), U32(mem, 48+Len), tt.snapLen)
		}
	}
}

func TestBlockOfImpossibleSize(t *testing.T) {
	for _, size := range []int{-8, 0, 48, 168, 1023} {
		func() {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), fmt.Sprint(size, " bytes")) {
					t.Errorf("size %d: %v, want a panic that names it", size, r)
				}
			}()
			Block(size, nil)
		}()
	}
}
