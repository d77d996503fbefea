package ring

// Frame is one captured frame with what the kernel says of it.
type Frame struct {
	// Data is what was captured, from the link header on (none on a device without one). It aliases
	// the ring: valid until Release. Copy what must outlive it.
	Data     []byte
	Time     int64  // when the kernel received it: nanoseconds since the epoch, CLOCK_REALTIME, may step
	WireLen  uint32 // bytes on the wire, at least len(Data) (tp_len)
	Status   uint32 // Status bits (tp_status)
	VLANTCI  uint16 // outer VLAN tag, host byte order, if Status has StatusVLANValid
	VLANTPID uint16 // its EtherType, host byte order, if Status has StatusVLANTPIDValid
	Hatype   uint16 // the device's kind, ARPHRD_ in linux/if_arp.h (sll_hatype)
	PktType  uint8  // PACKET_HOST 0 to PACKET_OUTGOING 4, linux/if_packet.h (sll_pkttype)
	IfIndex  int32  // the device it was seen on (sll_ifindex)
}

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
	if blkLen < blockHdrLen || blkLen > uint64(len(mem)) || b.left != 0 && b.off < blockHdrLen {
		b.stop()
		return b
	}
	b.mem = mem[:blkLen]
	return b
}

// Next fills f with the next frame. It is false when num_pkts frames have been walked, and at a
// frame that does not lie in the block whole: then the walk is over and Bad.
//
// Each offset is checked once, here: a frame's start for range and alignment, tp_mac and tp_snaplen
// for range, tp_next_offset for leading past the frame's own bytes, so that a walk always moves on
// and ends. A tp_next_offset that does not (0 is right in the last frame only) leads outside, where
// the next call finds it; this frame is good. That of the last frame leads nowhere and is ignored.
//
// -gcflags=-d=ssa/check_bce shows one check left, IsSliceInBounds for f.Data, which the compiler does
// not derive from the range check above. unsafe.Slice instead was no faster: it has checks of its own.
func (b *Block) Next(f *Frame) bool {
	if b.left == 0 {
		return false
	}
	off, size := b.off, uint64(len(b.mem))
	if off+frameHdrLen > size || off%frameAlign != 0 {
		return b.stop()
	}
	h := frameAt(b.mem, off)
	start, end := off+uint64(h.mac), off+uint64(h.mac)+uint64(h.snapLen)
	if start < off+frameHdrLen || end > size {
		return b.stop()
	}
	next := off + uint64(h.nextOffset)
	if next < end {
		next = size
	}
	b.off = next
	b.left--
	f.Data = b.mem[start:end:end]
	f.Time = int64(h.sec)*1e9 + int64(h.nsec)
	f.WireLen = h.length
	f.Status = h.status
	f.VLANTCI = uint16(h.vlanTCI)
	f.VLANTPID = h.vlanTPID
	f.Hatype = h.sllHatype
	f.PktType = h.sllPktType
	f.IfIndex = h.sllIfIndex
	return true
}

// stop ends the walk at something that leaves the block.
func (b *Block) stop() bool {
	b.left, b.bad = 0, true
	return false
}

// Bad says that the walk ended because an offset or count left the block. Fewer frames than Len
// were walked then.
func (b *Block) Bad() bool { return b.bad }

// TimedOut says that the block was closed by the retire timer and not because it was full
// (TP_STATUS_BLK_TMO).
func (b *Block) TimedOut() bool { return b.status&tpStatusBlkTmo != 0 }

// Losing says that drops had not been read with Stats when the block was closed (TP_STATUS_LOSING).
func (b *Block) Losing() bool { return b.status&tpStatusLosing != 0 }

// Len is how many frames the block says it holds (num_pkts).
func (b *Block) Len() uint32 { return b.num }
