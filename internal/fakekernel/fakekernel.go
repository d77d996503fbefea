// Package fakekernel lays out TPACKET_V3 blocks in ordinary memory as the Linux kernel does, for
// tests and benchmarks of what reads them. It writes every field at its literal offset and shares
// no code and no type with the reader, so that the two agree only if both are right.
//
// Sources: linux/if_packet.h for the layout; prb_open_block, prb_fill_curr_block, prb_close_block
// and tpacket_rcv in net/packet/af_packet.c for the values.
package fakekernel

import (
	"encoding/binary"
	"fmt"
	"reflect"
)

// Offsets in bytes from the start of a block: struct tpacket_block_desc with struct tpacket_hdr_v1.
// 32 bits each unless another size is named.
const (
	Version          = 0
	OffsetToPriv     = 4
	BlockStatus      = 8
	NumPkts          = 12
	OffsetToFirstPkt = 16
	BlkLen           = 20
	SeqNum           = 24 // 64 bits
	TsFirstSec       = 32
	TsFirstNsec      = 36
	TsLastSec        = 40
	TsLastNsec       = 44
	BlockHdrLen      = 48 // where the first frame starts
)

// Offsets in bytes from the start of a frame: struct tpacket3_hdr, then struct sockaddr_ll.
// 32 bits each unless another size is named.
const (
	NextOffset  = 0
	Sec         = 4
	Nsec        = 8
	Snaplen     = 12
	Len         = 16
	Status      = 20
	Mac         = 24 // 16 bits
	Net         = 26 // 16 bits
	Rxhash      = 28
	VLANTCI     = 32
	VLANTPID    = 36 // 16 bits
	SllFamily   = 48 // 16 bits
	SllProtocol = 50 // 16 bits, network byte order
	SllIfindex  = 52
	SllHatype   = 56 // 16 bits
	SllPkttype  = 58 // 8 bits
	SllHalen    = 59 // 8 bits
	SllAddr     = 60 // 8 bytes
	FrameHdrLen = 68
)

// Bits of a block's and a frame's status word.
const (
	StatusUser          = 0x001 // TP_STATUS_USER
	StatusLosing        = 0x004 // TP_STATUS_LOSING
	StatusVLANValid     = 0x010 // TP_STATUS_VLAN_VALID
	StatusBlkTmo        = 0x020 // TP_STATUS_BLK_TMO
	StatusVLANTPIDValid = 0x040 // TP_STATUS_VLAN_TPID_VALID
)

// Frame is one frame as it reaches the packet socket.
type Frame struct {
	Data     []byte // what is captured, from the link header on
	WireLen  uint32 // bytes on the wire; 0: len(Data)
	Time     int64  // nanoseconds since the epoch
	Status   uint32 // tp_status bits on top of TP_STATUS_USER and, with a VLAN tag, its valid bits
	VLANTCI  uint16 // outer VLAN tag out of band; VLANTCI and VLANTPID both 0: none
	VLANTPID uint16
	Hatype   uint16 // ARPHRD_; 0: Ethernet. Ethernet and loopback frames have a 14-byte link header
	PktType  uint8  // PACKET_HOST …
	IfIndex  int32
}

// Block lays out a block of size bytes with as many of frames, from the first on, as fit, and
// returns its memory, aligned to 8 bytes, and how many frames it holds. The block is closed and
// handed over: its status is TP_STATUS_USER, as of a block that came full, its number is 1, and it
// was opened when its first frame came.
//
// As in the kernel a frame goes in only if a byte stays free behind it, but the first one may fill
// the block, and is cut if it is larger than that. size is at least 176 bytes and a multiple of 8.
func Block(size int, frames []Frame) (mem []byte, used int) {
	const minSize = BlockHdrLen + 128
	if size < minSize || size%8 != 0 {
		panic(fmt.Sprintf("fakekernel: a block of %d bytes: want at least %d and a multiple of 8", size, minSize))
	}
	mem = aligned(size)
	at := BlockHdrLen
	last := 0
	for _, f := range frames {
		n, ok := put(mem[at:], f, used == 0)
		if !ok {
			break
		}
		last = at
		at += n
		used++
	}
	PutU32(mem, Version, 2) // TPACKET_V3
	PutU32(mem, OffsetToPriv, BlockHdrLen)
	PutU32(mem, BlockStatus, StatusUser)
	PutU32(mem, NumPkts, uint32(used))
	PutU32(mem, OffsetToFirstPkt, BlockHdrLen)
	PutU32(mem, BlkLen, uint32(at))
	PutU64(mem, SeqNum, 1)
	if used > 0 {
		PutU32(mem, last+NextOffset, 0)
		copy(mem[TsFirstSec:TsFirstSec+8], mem[BlockHdrLen+Sec:])
		copy(mem[TsLastSec:TsLastSec+8], mem[last+Sec:])
	}
	return mem, used
}

// put writes one frame at the start of room and returns how many bytes it takes, and whether it
// fits.
func put(room []byte, f Frame, first bool) (n int, ok bool) {
	hatype := f.Hatype
	if hatype == 0 {
		hatype = 1
	}
	maclen := 0
	if hatype == 1 || hatype == 772 {
		maclen = 14
	}
	// The network header comes at a multiple of 16, with at least 16 bytes of room for the link
	// header before it: 96 behind both Ethernet and nothing.
	net := (FrameHdrLen + max(maclen, 16) + 15) &^ 15
	mac := net - maclen
	data := f.Data
	if first {
		data = data[:min(len(data), len(room)-mac)]
	}
	n = (mac + len(data) + 7) &^ 7
	if n > len(room) || n == len(room) && !first {
		return 0, false
	}

	wireLen := f.WireLen
	if wireLen == 0 {
		wireLen = uint32(len(f.Data))
	}
	status := f.Status | StatusUser
	if f.VLANTCI != 0 || f.VLANTPID != 0 {
		status |= StatusVLANValid | StatusVLANTPIDValid
	}
	PutU32(room, NextOffset, uint32(n))
	PutU32(room, Sec, uint32(f.Time/1e9))
	PutU32(room, Nsec, uint32(f.Time%1e9))
	PutU32(room, Snaplen, uint32(len(data)))
	PutU32(room, Len, wireLen)
	PutU32(room, Status, status)
	PutU16(room, Mac, uint16(mac))
	PutU16(room, Net, uint16(net))
	PutU32(room, VLANTCI, uint32(f.VLANTCI))
	PutU16(room, VLANTPID, f.VLANTPID)

	PutU16(room, SllFamily, 17) // AF_PACKET
	PutU32(room, SllIfindex, uint32(f.IfIndex))
	PutU16(room, SllHatype, hatype)
	room[SllPkttype] = f.PktType
	switch {
	case maclen > 0 && len(f.Data) >= 14:
		copy(room[SllProtocol:], f.Data[12:14])
		room[SllHalen] = 6
		copy(room[SllAddr:], f.Data[6:12])
	case maclen == 0 && len(f.Data) > 0 && f.Data[0]>>4 == 4:
		binary.BigEndian.PutUint16(room[SllProtocol:], 0x0800)
	case maclen == 0 && len(f.Data) > 0 && f.Data[0]>>4 == 6:
		binary.BigEndian.PutUint16(room[SllProtocol:], 0x86dd)
	}
	copy(room[mac:], data)
	return n, true
}

// FrameAt returns where frame i (from 0) of a well-formed block starts, in bytes from the block's start.
func FrameAt(mem []byte, i int) int {
	at := int(U32(mem, OffsetToFirstPkt))
	for range i {
		at += int(U32(mem, at+NextOffset))
	}
	return at
}

// U32 reads the 32-bit field at byte off.
func U32(mem []byte, off int) uint32 { return binary.NativeEndian.Uint32(mem[off:]) }

// PutU16 writes the 16-bit field at byte off.
func PutU16(mem []byte, off int, v uint16) { binary.NativeEndian.PutUint16(mem[off:], v) }

// PutU32 writes the 32-bit field at byte off.
func PutU32(mem []byte, off int, v uint32) { binary.NativeEndian.PutUint32(mem[off:], v) }

// PutU64 writes the 64-bit field at byte off.
func PutU64(mem []byte, off int, v uint64) { binary.NativeEndian.PutUint64(mem[off:], v) }

// aligned returns zeroed memory that starts at a multiple of 8, as a page of the kernel's does.
func aligned(n int) []byte {
	mem := make([]byte, n+7)
	skip := int(-reflect.ValueOf(mem).Pointer() & 7)
	return mem[skip : skip+n : skip+n]
}
