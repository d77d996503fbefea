package ring

import (
	"math"
	"os"
	"time"

	"golang.org/x/net/bpf"
)

// Config holds what to capture and the size of the ring.
type Config struct {
	// IfIndex is the index of the interface; 0 captures from all interfaces of the network namespace.
	IfIndex int

	// BlockSize is the size of a block in bytes, a multiple of the page size. The kernel allocates each
	// block in one piece (alloc_one_pg_vec_page), and cuts a frame that a block cannot hold (tpacket_rcv).
	BlockSize int
	// NumBlocks is the number of blocks in the ring, 1 to 65536. The kernel accepts more but fills only the
	// first 65536: a reader then waits at the next one for ever (tried on Linux 6.18).
	NumBlocks int
	// FrameSize is a number of bytes, a multiple of 16 from 80 to BlockSize. TPACKET_V3 packs frames one
	// behind another whatever it says, but packet_set_ring wants it to be valid.
	FrameSize int

	// RetireTov is the longest time for which the kernel holds a partly filled block before it hands it
	// over, 0 to 65.535 s, in steps of 1 ms rounded up (tp_retire_blk_tov). 0 lets the kernel choose by the
	// link's speed (prb_calc_retire_blk_tmo). Since Linux 6.18 a block may come earlier: opening one no longer restarts
	// the timer (prb_open_block; before, it calls _prb_refresh_rx_retire_blk_timer).
	RetireTov time.Duration

	// Filter is the classic BPF program that runs on each frame, at most 4096 instructions. What it
	// returns is the number of bytes to capture, 0 to ignore the frame. May be empty: frames come whole.
	Filter []bpf.RawInstruction

	// Fanout is the classic BPF program that shares out frames among the rings of a group, at most 4096 instructions: what
	// it returns, modulo the number of rings, is the ring's place in the order of OpenGroup. It runs before Filter, and on a
	// frame that has arrived it begins at the network header: packet_rcv_fanout runs it (fanout_demux_bpf) before
	// tpacket_rcv puts the link header back. Empty: the kernel's flow hash shares frames out.
	Fanout []bpf.RawInstruction

	// IgnoreOutgoing leaves out what this host sends (PACKET_IGNORE_OUTGOING, Linux 4.20). Loopback
	// needs it: every packet passes there twice, once in each direction.
	IgnoreOutgoing bool

	// Promiscuous has the interface hand over frames that are addressed to others as well, until the ring is
	// closed. It has no effect with IfIndex 0: see SetPromiscuous.
	Promiscuous bool
}

const (
	// minFrameSize is TPACKET3_HDRLEN rounded up to TPACKET_ALIGNMENT: packet_set_ring asks for both.
	minFrameSize   = 80
	tpacketAlign   = 16                 // TPACKET_ALIGNMENT, linux/if_packet.h
	maxBlockSize   = math.MaxInt32      // packet_set_ring reads tp_block_size as int
	maxNumBlocks   = math.MaxUint16 + 1 // kactive_blk_num in struct tpacket_kbdq_core has 16 bits
	maxRetireTovMs = math.MaxUint16     // up to Linux 6.17 retire_blk_tov there had 16 bits, too
	maxFilterLen   = 4096               // BPF_MAXINSNS, linux/bpf_common.h
)

// PageSize returns the size of a memory page in bytes; BlockSize must be a multiple of it.
func PageSize() int { return os.Getpagesize() }

// Validate returns what is wrong with c, as a *SettingError, or nil.
func (c Config) Validate() error { return c.validate(PageSize(), math.MaxInt) }

// validate takes the page size in bytes and the largest mapping that can be addressed.
func (c Config) validate(page int, maxBytes uint64) error {
	var (
		ifIndex   = []Setting{SettingInterface}
		blockSize = []Setting{SettingBlockSize}
		frameSize = []Setting{SettingFrameSize}
		numBlocks = []Setting{SettingNumBlocks}
		retireTov = []Setting{SettingRetireTov}
	)
	switch {
	case c.IfIndex < 0:
		return c.refuse(ifIndex, "want a positive one, or 0 for all interfaces")
	case c.BlockSize <= 0:
		return c.refuse(blockSize, "want a positive number of bytes, such as 262144")
	case c.BlockSize > maxBlockSize:
		return c.refuse(blockSize, "use at most %d bytes", maxBlockSize/page*page)
	case c.BlockSize%page != 0:
		return c.refuse(blockSize, "not a multiple of the page size, %d bytes; use %d",
			page, min(c.BlockSize/page+1, maxBlockSize/page)*page)
	case c.FrameSize <= 0:
		return c.refuse(frameSize, "want a positive number of bytes, such as 2048")
	case c.FrameSize < minFrameSize:
		return c.refuse(frameSize, "too small for the kernel's frame header; use at least %d bytes", minFrameSize)
	case c.FrameSize > c.BlockSize:
		return c.refuse([]Setting{SettingFrameSize, SettingBlockSize},
			"a frame is larger than a block; use at most %d bytes, or larger blocks", c.BlockSize)
	case c.FrameSize%tpacketAlign != 0: // rounding up stays within a block: a page is a multiple of 16
		return c.refuse(frameSize, "not a multiple of %d; use %d", tpacketAlign, (c.FrameSize/tpacketAlign+1)*tpacketAlign)
	case c.NumBlocks <= 0:
		return c.refuse(numBlocks, "want a positive number, such as 128")
	case c.NumBlocks > maxNumBlocks:
		return c.refuse(numBlocks, "the kernel counts blocks in 16 bits; use at most %d, and larger ones", maxNumBlocks)
	case c.bytes() > maxBytes:
		return c.refuse(ringSize, "%d bytes in all, more than this program can address; use fewer or smaller blocks", c.bytes())
	case c.frameNr() > math.MaxUint32:
		return c.refuse([]Setting{SettingFrameSize, SettingNumBlocks, SettingBlockSize},
			"%d frames, more than the kernel counts; use a frame size of at least %d", c.frameNr(), c.leastFrameSize())
	case c.RetireTov < 0:
		return c.refuse(retireTov, "want a positive one, or 0 to let the kernel choose")
	case c.RetireTov > maxRetireTovMs*time.Millisecond:
		return c.refuse(retireTov, "use at most %s", maxRetireTovMs*time.Millisecond)
	case len(c.Filter) > maxFilterLen:
		return c.refuse([]Setting{SettingFilter}, "%d instructions, and the kernel takes at most %d; simplify it", len(c.Filter), maxFilterLen)
	case len(c.Fanout) > maxFilterLen:
		return c.refuse([]Setting{SettingRings}, "a program of %d instructions shares out the frames, and the kernel takes at most %d; use 1",
			len(c.Fanout), maxFilterLen)
	}
	return nil
}

// ringSize lists the settings whose product is the length of the mapping.
var ringSize = []Setting{SettingNumBlocks, SettingBlockSize}

// bytes returns the length of the mapping. The factors are widened first: as uint32 the product wraps at
// 4 GiB. In 64 bits it cannot, as the size of a block takes at most 31 bits and their number 17.
func (c Config) bytes() uint64 { return uint64(c.BlockSize) * uint64(c.NumBlocks) }

// frameNr returns tp_frame_nr, which must be exactly this (packet_set_ring).
func (c Config) frameNr() uint64 { return uint64(c.NumBlocks) * uint64(c.BlockSize/c.FrameSize) }

// leastFrameSize returns a frame size with which frameNr fits 32 bits.
func (c Config) leastFrameSize() int {
	framesPerBlock := uint64(math.MaxUint32) / uint64(c.NumBlocks)
	size := uint64(c.BlockSize)/framesPerBlock + 1 // so that block size / size <= framesPerBlock
	return int((size + tpacketAlign - 1) / tpacketAlign * tpacketAlign)
}

// retireTovMs returns tp_retire_blk_tov. It rounds up, because 0 would mean that the kernel chooses.
func (c Config) retireTovMs() uint32 {
	return uint32((c.RetireTov + time.Millisecond - 1) / time.Millisecond)
}
