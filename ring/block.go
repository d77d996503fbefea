package ring

// Frame is one captured frame. It is a loan: Data and what the methods read lie in the ring and are
// valid until Release. Copy what must outlive it. The zero Frame holds no frame.
type Frame struct {
	// Data is what was captured, from the link header on (none on a device without one).
	Data []byte
	hdr  *frameHdr
}

// Time is when the kernel received the frame, in nanoseconds since the epoch: CLOCK_REALTIME, which
// may step.
func (f Frame) Time() int64 { return int64(f.hdr.sec)*1e9 + int64(f.hdr.nsec) }

// WireLen is bytes on the wire (tp_len); len(Data) of them were captured.
func (f Frame) WireLen() uint32 { return f.hdr.length }

// Status holds the Status bits (tp_status).
func (f Frame) Status() uint32 { return f.hdr.status }

// VLAN is the outer tag and its EtherType, in host byte order. They mean something if Status has
// StatusVLANValid and StatusVLANTPIDValid.
func (f Frame) VLAN() (tci, tpid uint16) { return uint16(f.hdr.vlanTCI), f.hdr.vlanTPID }

// Hatype is the device's kind, ARPHRD_ in linux/if_arp.h (sll_hatype).
func (f Frame) Hatype() uint16 { return f.hdr.sllHatype }

// PktType is PACKET_HOST 0 to PACKET_OUTGOING 4, linux/if_packet.h (sll_pkttype).
func (f Frame) PktType() uint8 { return f.hdr.sllPktType }

// IfIndex is the device that the frame was seen on (sll_ifindex).
func (f Frame) IfIndex() int32 { return f.hdr.sllIfIndex }

// Block is one walk over a block of frames. It is a value: a copy walks on by itself.
type Block struct {
	mem    []byte // the block up to blk_len
	off    uint64 // where the next frame should start, in bytes from the block's start
	left   uint32 // frames not yet walked
	num    uint32
	status uint32
	bad    bool
}

// BlockOf starts a walk over a block in ordinary memory, laid out as the kernel does: for tests,
// benchmarks and hostile input. mem must be aligned to 8 bytes. A block whose header leaves mem has
// no frames and is Bad.
func BlockOf(mem []byte) Block {
	h := blockAt(mem)
	if h == nil {
		return Block{bad: true}
	}
	return newBlock(h, mem, h.status())
}

// newBlock checks the block header once: blk_len, which covers all frames and their padding, and
// that the first frame comes behind the header. Next checks the rest of offset_to_first_pkt.
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

// Next returns the next frame. It is false when num_pkts frames have been walked, and at a frame
// that does not lie in the block whole: then the walk is over and Bad.
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

// Start is where a walk by At begins and how many frames it has to go.
func (b *Block) Start() (off uint64, frames uint32) { return b.off, b.left }

// At returns the frame at off and where the next one starts: 0 if the frame does not lie in the
// block whole. It is Next for a caller that keeps the place of its walk itself, in
// registers: a quarter fewer instructions than Next, which keeps it in memory.
//
// Each offset is checked once, here: a frame's start for range and alignment, tp_mac and tp_snaplen
// for range, tp_next_offset for leading past the frame's own bytes, so that a walk always moves on
// and ends. A tp_next_offset that does not (0 is right in the last frame only) leads outside, where
// the next call finds it; this frame is good. That of the last frame leads nowhere and is ignored.
//
// A Frame goes back in registers: filling one in memory cost a third more instructions.
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

// Stop ends the walk at something that leaves the block: it is Bad.
func (b *Block) Stop() { b.left, b.bad = 0, true }

// Bad says that the walk ended because an offset or count left the block. Fewer frames than Len
// were walked then.
func (b *Block) Bad() bool { return b.bad }

// TimedOut says that the block was closed by the retire timer and not because it was full
// (TP_STATUS_BLK_TMO).
func (b *Block) TimedOut() bool { return b.status&tpStatusBlkTmo != 0 }

// Len is how many frames the block says it holds (num_pkts).
func (b *Block) Len() uint32 { return b.num }
