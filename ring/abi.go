package ring

import (
	"math"
	"sync/atomic"
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
	blockHdrLen = 48 // bytes; BLK_HDR_LEN in af_packet.c
	frameHdrLen = 68 // bytes; TPACKET3_HDRLEN
	frameAlign  = 8  // bytes; V3_ALIGNMENT in af_packet.c

	// maxBlockLen bounds a slice of a block, in bytes. No block is longer: the kernel's block size is a
	// positive int and a multiple of the page size (packet_set_ring). Where int has 64 bits it is also
	// above any tp_snaplen, so that the compiler leaves the check out. A type of MaxInt32 bytes would not
	// compile for mips.
	maxBlockLen = math.MaxInt32 - 4095 | math.MaxInt>>20 // bytes
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
	StatusVLANValid     = 1 << 4 // TP_STATUS_VLAN_VALID: Frame.VLAN returns the outer tag
	StatusVLANTPIDValid = 1 << 6 // TP_STATUS_VLAN_TPID_VALID: Frame.VLAN returns its EtherType, too
	StatusCsumValid     = 1 << 7 // TP_STATUS_CSUM_VALID: the device verified the checksum
	StatusGSOTCP        = 1 << 8 // TP_STATUS_GSO_TCP: a super-packet of several segments (Linux 6.3)
)

// status loads the word that passes a block from the kernel to us. The load acquires: what the
// kernel wrote before it set TP_STATUS_USER is visible after it.
func (h *blockHdr) status() uint32 { return atomic.LoadUint32(&h.blockStatus) }

// release gives the block back. The store releases: our reads of the block come before it.
func (h *blockHdr) release() { atomic.StoreUint32(&h.blockStatus, tpStatusKernel) }
