package walk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tcp-stream-exporter/bench/internal/kmem"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Config holds the settings of a ring.
type Config struct {
	IfIndex   int           // of the interface, in the namespace of the calling thread
	BlockSize int           // bytes; a multiple of the page size
	NumBlocks int           // how many blocks
	SnapLen   int           // bytes of each frame that the kernel copies, unless Filter says it
	RetireTov time.Duration // how long a block may stay partly filled; whole milliseconds, 0: the kernel chooses
	// Filter is the classic BPF program that runs on each frame; what it returns is the number of bytes to copy, 0
	// to leave the frame out. If empty, every frame is taken and cut to SnapLen.
	Filter []bpf.RawInstruction
}

// Offsets in a block (linux/if_packet.h: tpacket_block_desc, tpacket_hdr_v1) and in a
// frame (tpacket3_hdr), in bytes.
const (
	blockStatusAt = 8
	blockCountAt  = 12
	blockFirstAt  = 16

	frameNextAt    = 0
	frameSnapLenAt = 12
	frameLenAt     = 16
	frameMacAt     = 24
	framePktTypeAt = 48 + 10 // sll_pkttype of the sockaddr_ll behind the header

	frameSize = 2048 // checked by the kernel, without meaning in TPACKET_V3
)

// Ring is a packet socket with a mapped TPACKET_V3 receive ring.
type Ring struct {
	fd    int
	cfg   Config
	mem   []byte
	block int // the next one
	stats Stats
}

// Stats holds the kernel's counters since Open.
type Stats struct {
	Packets uint64 // that came, with Drops
	Drops   uint64 // for want of room in the ring
	Freezes uint64 // how often the ring was full
}

// Open makes the ring and binds it; packets are counted from there on.
func Open(cfg Config) (_ *Ring, err error) {
	if cfg.SnapLen < 1 || cfg.SnapLen > 1<<18 {
		return nil, fmt.Errorf("walk: snap length %d is out of range: 1 to 262144 bytes", cfg.SnapLen)
	}
	if cfg.BlockSize < frameSize || cfg.NumBlocks < 1 || cfg.BlockSize > 1<<30 || cfg.NumBlocks > 1<<30/frameSize {
		return nil, fmt.Errorf("walk: ring of %d blocks of %d bytes is out of range", cfg.NumBlocks, cfg.BlockSize)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: nothing arrives before bind
	if err != nil {
		return nil, fmt.Errorf("walk: packet socket: %w (needs CAP_NET_RAW)", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("walk: PACKET_VERSION 3: %w", err)
	}
	if err := attach(fd, cfg); err != nil {
		return nil, err
	}
	req := unix.TpacketReq3{
		Block_size: uint32(cfg.BlockSize), Block_nr: uint32(cfg.NumBlocks),
		Frame_size: frameSize, Frame_nr: uint32(cfg.BlockSize / frameSize * cfg.NumBlocks),
		Retire_blk_tov: uint32(cfg.RetireTov.Milliseconds()),
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("walk: ring of %d blocks of %d bytes: %w", cfg.NumBlocks, cfg.BlockSize, err)
	}
	mem, err := unix.Mmap(fd, 0, cfg.BlockSize*cfg.NumBlocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("walk: mmap %d bytes: %w", cfg.BlockSize*cfg.NumBlocks, err)
	}
	all := uint16(unix.ETH_P_ALL)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: cfg.IfIndex, Protocol: all<<8 | all>>8}); err != nil {
		return nil, errors.Join(fmt.Errorf("walk: bind to interface %d: %w", cfg.IfIndex, err), unix.Munmap(mem))
	}
	return &Ring{fd: fd, cfg: cfg, mem: mem}, nil
}

// attach attaches the filter, or one instruction that cuts frames to the snap length.
func attach(fd int, cfg Config) error {
	prog := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: uint32(cfg.SnapLen)}}
	if len(cfg.Filter) > 0 {
		prog = prog[:0]
		for _, in := range cfg.Filter {
			prog = append(prog, unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K})
		}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}); err != nil {
		return fmt.Errorf("walk: filter of %d instructions: %w", len(prog), err)
	}
	return nil
}

// Blocks returns the number of blocks in the ring.
func (r *Ring) Blocks() int { return r.cfg.NumBlocks }

// Next returns the next block if the kernel has closed it.
func (r *Ring) Next() (Block, bool) {
	b := r.mem[r.block*r.cfg.BlockSize : (r.block+1)*r.cfg.BlockSize]
	if kmem.Load32(b, blockStatusAt)&unix.TP_STATUS_USER == 0 {
		return Block{}, false
	}
	return Block{
		mem:   b,
		count: binary.NativeEndian.Uint32(b[blockCountAt:]),
		at:    binary.NativeEndian.Uint32(b[blockFirstAt:]),
	}, true
}

// Release gives the block of the last Next back to the kernel and steps on.
func (r *Ring) Release() {
	kmem.Store32(r.mem, r.block*r.cfg.BlockSize+blockStatusAt, unix.TP_STATUS_KERNEL)
	r.block++
	if r.block == r.cfg.NumBlocks {
		r.block = 0
	}
}

// Wait sleeps until a block is closed or the timeout is over.
func (r *Ring) Wait(timeout time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN | unix.POLLERR}}
	if _, err := unix.Poll(fds, int(timeout.Milliseconds())); err != nil && err != unix.EINTR {
		return fmt.Errorf("walk: poll: %w", err)
	}
	if fds[0].Revents&unix.POLLERR != 0 {
		errno, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil {
			err = unix.Errno(errno)
		}
		return fmt.Errorf("walk: the socket failed: %w", err)
	}
	return nil
}

// Stats reads the kernel's figures, which it clears on each read, and adds them up.
func (r *Ring) Stats() (Stats, error) {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return r.stats, fmt.Errorf("walk: PACKET_STATISTICS: %w", err)
	}
	r.stats.Packets += uint64(s.Packets)
	r.stats.Drops += uint64(s.Drops)
	r.stats.Freezes += uint64(s.Freeze_q_cnt)
	return r.stats, nil
}

// Close unmaps the ring and closes the socket. Frames of it must not be touched any more.
func (r *Ring) Close() error {
	return errors.Join(unix.Munmap(r.mem), unix.Close(r.fd))
}

// Block is a walk over the frames of one closed block.
type Block struct {
	mem   []byte
	count uint32 // frames left
	at    uint32 // where the next one begins
}

// Frame is one frame.
type Frame struct {
	Data    []byte // aliases the ring: valid until Release
	WireLen int    // bytes, before it was cut to the snap length
	PktType uint8  // PACKET_HOST … PACKET_OUTGOING
}

// Next fills f with the next frame; false at the end of the block. It panics if an offset leads
// out of the block, which only a broken kernel can do.
func (b *Block) Next(f *Frame) bool {
	if b.count == 0 {
		return false
	}
	h := b.mem[b.at:]
	_ = h[framePktTypeAt]
	mac := uint32(binary.NativeEndian.Uint16(h[frameMacAt:]))
	f.Data = h[mac : mac+binary.NativeEndian.Uint32(h[frameSnapLenAt:])]
	f.WireLen = int(binary.NativeEndian.Uint32(h[frameLenAt:]))
	f.PktType = h[framePktTypeAt]
	b.at += binary.NativeEndian.Uint32(h[frameNextAt:])
	b.count--
	return true
}
