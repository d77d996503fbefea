package ring

// Frame refers to a captured frame in the ring. Data and what the methods read are valid until Release:
// copy what must outlive it. The zero Frame holds no frame.
type Frame struct {
	// Data holds the captured bytes, from the link header on (none on a device without one).
	Data []byte
	hdr  *frameHdr
}

// Time returns when the kernel received the frame, in nanoseconds since the epoch: the software timestamp that the frame
// has already, or else when it is copied into the ring (tpacket_rcv, tpacket_get_timestamp). The clock is CLOCK_REALTIME,
// which may step.
func (f Frame) Time() int64 { return int64(f.hdr.sec)*1e9 + int64(f.hdr.nsec) }

// WireLen returns the length on the wire in bytes (tp_len); len(Data) of them were captured.
func (f Frame) WireLen() uint32 { return f.hdr.length }

// Status returns the Status bits (tp_status).
func (f Frame) Status() uint32 { return f.hdr.status }

// VLAN returns the outer tag and its EtherType, in host byte order. They are valid if Status has
// StatusVLANValid and StatusVLANTPIDValid.
func (f Frame) VLAN() (tci, tpid uint16) { return uint16(f.hdr.vlanTCI), f.hdr.vlanTPID }

// Hatype returns the device's hardware type, ARPHRD_ in linux/if_arp.h (sll_hatype).
func (f Frame) Hatype() uint16 { return f.hdr.sllHatype }

// PktType returns PACKET_HOST 0 to PACKET_OUTGOING 4, linux/if_packet.h (sll_pkttype).
func (f Frame) PktType() uint8 { return f.hdr.sllPktType }

// IfIndex returns the index of the device that the frame was seen on (sll_ifindex).
func (f Frame) IfIndex() int32 { return f.hdr.sllIfIndex }

// Block holds a walk over the frames of a block. It is a value: a copy walks on by itself.
type Block struct {
	mem    []byte // the block up to blk_len
	off    uint64 // where the next frame should start, in bytes from the block's start
	left   uint32 // frames not yet walked
	num    uint32
	status uint32
	bad    bool
}

// BlockOf starts a walk over a block in ordinary memory with the kernel's layout, for tests, benchmarks
// and hostile input. mem must be aligned to 8 bytes. A block whose header leads outside mem has no frames
// and is Bad.
func BlockOf(mem []byte) Block {
	h := blockAt(mem)
	if h == nil {
		return Block{bad: true}
	}
	return newBlock(h, mem, h.status())
}

// newBlock checks the block header: that mem holds blk_len bytes, which cover all frames and their padding,
// and that the first frame comes behind the header. At checks the rest of offset_to_first_pkt.
func newBlock(h *blockHdr, mem []byte, status uint32) Block {
	b := Block{off: uint64(h.offsetToFirstPkt), left: h.numPkts, num: h.numPkts, status: status}
	blkLen := uint64(h.blkLen)
	if blkLen < blockHdrLen || blkLen > uint64(min(len(mem), maxBlockLen)) || b.left != 0 && b.off < blockHdrLen {
		b.Stop()
		return b
	}
	b.mem = mem[:blkLen]
	return b
}

// Next returns the next frame. It reports false behind the last frame, and at a frame that does not lie in
// the block whole: the walk is then over and Bad.
func (b *Block) Next() (f Frame, ok bool) {
	if b.left == 0 {
		return Frame{}, false
	}
	f, next := b.At(b.off)
	if next == 0 {
		b.Stop()
		return Frame{}, false
	}
	b.off = next
	b.left--
	return f, true
}

// Start returns the offset at which a walk by At begins, and the number of its frames.
func (b *Block) Start() (off uint64, frames uint32) { return b.off, b.left }

// At returns the frame at off and the offset of the next one, 0 if the frame does not lie in the block
// whole. It is Next for a caller that keeps the offset itself, in registers: a quarter fewer instructions
// than Next, which keeps it in memory. The Frame is returned in registers too; to fill one in memory took
// a third more.
//
// It checks each offset once:
//
//	off             in the block, a multiple of 8
//	tp_mac          behind the frame header
//	tp_snaplen      the captured bytes end in the block
//	tp_next_offset  leads behind them, so a walk moves on and ends
//
// A frame with a wrong tp_next_offset is good itself: At returns the block's end as the next offset, where
// the next call fails. The last frame has 0 there, and nobody follows it.
func (b *Block) At(off uint64) (f Frame, next uint64) {
	size := uint64(len(b.mem))
	if off+frameHdrLen > size || off%frameAlign != 0 {
		return Frame{}, 0
	}
	h := frameAt(b.mem, off)
	n := uint64(h.snapLen)
	start := off + uint64(h.mac)
	end := start + n
	if h.mac < frameHdrLen || end > size {
		return Frame{}, 0
	}
	next = off + uint64(h.nextOffset)
	if next < end {
		next = size
	}
	return Frame{Data: bytesAt(b.mem, start, n), hdr: h}, next
}

// Stop ends the walk and makes it Bad: an offset led outside the block.
func (b *Block) Stop() { b.left, b.bad = 0, true }

// Bad reports whether the walk ended early because an offset or count led outside the block.
func (b *Block) Bad() bool { return b.bad }

// TimedOut reports whether the retire timer closed the block before it was full (TP_STATUS_BLK_TMO).
func (b *Block) TimedOut() bool { return b.status&tpStatusBlkTmo != 0 }

// Losing reports whether frames were dropped between the last reading of Stats and the end of the block
// (TP_STATUS_LOSING: prb_close_block sets it if tp_drops is not 0, and packet_getsockopt has set that to 0). For want of
// room the kernel drops frames between two blocks, while the next one is not released, never within one
// (__packet_rcv_has_room and __packet_lookup_frame_in_block, which tpacket_rcv calls): this one's frames may come after the drop, and so may those of the
// blocks behind it, all of which say so until Stats reads the counter.
func (b *Block) Losing() bool { return b.status&tpStatusLosing != 0 }

// Len returns the number of frames that the block claims to hold (num_pkts).
func (b *Block) Len() uint32 { return b.num }
