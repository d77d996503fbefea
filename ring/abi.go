package ring

import (
	"math"
	"sync/atomic"
	"unsafe" // besides syscall.go
)

// blockHdr is struct tpacket_block_desc with struct tpacket_hdr_v1 (linux/if_packet.h), in host
// byte order. It opens every block.
type blockHdr struct {
	version, offsetToPriv uint32    //  0
	blockStatus           uint32    //  8  shared with the kernel: only via status and release below
	numPkts               uint32    // 12
	offsetToFirstPkt      uint32    // 16  from the start of the block
	blkLen                uint32    // 20  bytes in use, this header and the padding included
	seqNum                uint64    // 24
	tsFirst, tsLast       [2]uint32 // 32  seconds, nanoseconds
}

// frameHdr is struct tpacket3_hdr and behind it struct sockaddr_ll, which the kernel puts at
// TPACKET_ALIGN(sizeof(struct tpacket3_hdr)) = 48 (linux/if_packet.h). It opens every frame.
type frameHdr struct {
	nextOffset      uint32  //  0  from this header to the next one; 0 in the last frame
	sec, nsec       uint32  //  4
	snapLen, length uint32  // 12  bytes captured, bytes on the wire
	status          uint32  // 20
	mac, net        uint16  // 24  from this header to the link header, to the network header
	rxHash          uint32  // 28
	vlanTCI         uint32  // 32
	vlanTPID, _     uint16  // 36
	_               [8]byte // 40
	sllFamily       uint16  // 48
	sllProtocol     uint16  // 50  network byte order
	sllIfIndex      int32   // 52
	sllHatype       uint16  // 56
	sllPktType      uint8   // 58
	sllHalen        uint8   // 59
	sllAddr         [8]byte // 60
}

const (
	blockHdrLen = 48 // bytes; BLK_HDR_LEN in net/packet/af_packet.c
	frameHdrLen = 68 // bytes; TPACKET3_HDRLEN
	frameAlign  = 8  // bytes; V3_ALIGNMENT in net/packet/af_packet.c

	// maxBlockLen bounds a slice of a block: no block is that long, the kernel's block size being an
	// int and a multiple of a page, nor is tp_snaplen where int has 64 bits, so that the compiler leaves
	// the check out. A type of MaxInt32 bytes would not compile for mips.
	maxBlockLen = math.MaxInt32 - 4095 | math.MaxInt>>20 // bytes
)

// These do not build if a layout drifts.
var (
	_ [blockHdrLen]byte = [unsafe.Sizeof(blockHdr{})]byte{}
	_ [8]byte           = [unsafe.Offsetof(blockHdr{}.blockStatus)]byte{}
	_ [24]byte          = [unsafe.Offsetof(blockHdr{}.seqNum)]byte{}
	_ [frameHdrLen]byte = [unsafe.Sizeof(frameHdr{})]byte{}
	_ [24]byte          = [unsafe.Offsetof(frameHdr{}.mac)]byte{}
	_ [48]byte          = [unsafe.Offsetof(frameHdr{}.sllFamily)]byte{}
)

// Bits of a block's status word (linux/if_packet.h).
const (
	tpStatusKernel = 0      // TP_STATUS_KERNEL: the kernel's to fill
	tpStatusUser   = 1 << 0 // TP_STATUS_USER: ours to read
	tpStatusLosing = 1 << 2 // TP_STATUS_LOSING
	tpStatusBlkTmo = 1 << 5 // TP_STATUS_BLK_TMO
)

// Bits of Frame.Status (linux/if_packet.h).
const (
	StatusCsumNotReady  = 1 << 3 // TP_STATUS_CSUMNOTREADY: sent by this host, checksum not filled in
	StatusVLANValid     = 1 << 4 // TP_STATUS_VLAN_VALID: Frame.VLANTCI holds the outer tag
	StatusVLANTPIDValid = 1 << 6 // TP_STATUS_VLAN_TPID_VALID: Frame.VLANTPID holds its EtherType
	StatusCsumValid     = 1 << 7 // TP_STATUS_CSUM_VALID: the device verified the checksum
	StatusGSOTCP        = 1 << 8 // TP_STATUS_GSO_TCP: a super-packet of several segments (Linux 6.3)
)

// blockAt is the header of the block that fills mem, or nil if mem is too short for one or not
// aligned to 8 bytes.
//
// Sound: the header lies in mem by the length check and is aligned by the other one. The pointer
// keeps mem alive if mem is Go memory. A mapping of the kernel's lives until Ring.Close, which
// belongs to the goroutine that reads blocks.
func blockAt(mem []byte) *blockHdr {
	if len(mem) < blockHdrLen || uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%frameAlign != 0 {
		return nil
	}
	return (*blockHdr)(unsafe.Pointer(unsafe.SliceData(mem)))
}

// frameAt is the frame header at byte off of a block. The caller has checked that
// off+frameHdrLen <= len(mem) and off%frameAlign == 0.
//
// Sound: by that check the header lies in mem, and it is aligned because blockAt has accepted mem.
// The fields are plain memory: the kernel does not write to a block that it has handed over.
func frameAt(mem []byte, off uint64) *frameHdr {
	return (*frameHdr)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(off)))
}

// bytesAt is the n bytes from byte start of a block on. The caller has checked that
// start+n <= len(mem).
//
// Sound: by that check they lie in mem. The array type is the bound of a slice that costs no more
// than its check; newBlock lets no longer block pass.
func bytesAt(mem []byte, start, n uint64) []byte {
	return (*[maxBlockLen]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(start)))[:n:n]
}

// status loads the word that passes a block from the kernel to us. The load acquires: what the
// kernel wrote before it set TP_STATUS_USER is visible after it.
func (h *blockHdr) status() uint32 { return atomic.LoadUint32(&h.blockStatus) }

// release gives the block back. The store releases: our reads of the block come before it.
func (h *blockHdr) release() { atomic.StoreUint32(&h.blockStatus, tpStatusKernel) }
