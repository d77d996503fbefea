package gen

import (
	"fmt"
	"syscall"

	"tcp-stream-exporter/bench/internal/kmem"

	"golang.org/x/sys/unix"
)

// Where things are in a frame of a TPACKET_V2 transmit ring (linux/if_packet.h, struct
// tpacket2_hdr): the frame's bytes begin behind the header, aligned to 16, where on receive the
// sockaddr_ll would be.
const (
	txStatusAt = 0
	txLenAt    = 4
	txDataAt   = 32

	txBatch  = 64
	txBlock  = 1 << 17 // bytes; holds one frame of the largest size
	txFrames = 1024    // at most
	txBytes  = 1 << 24 // at most
)

// txRingSender sends out of a ring that kernel and process share: the frame's pages themselves go
// into the packet. The kernel gives a frame back when the packet is freed or,
// as on a veth pair, copied for the receiving end.
type txRingSender struct {
	fd    int
	mem   []byte
	slots []int    // where each frame begins in mem
	data  [][]byte // the frames behind their headers
	pos   int      // first slot of the current batch
	again uint64
}

func newTXRingSender(fd, frameLen int, ether func([]byte)) (*txRingSender, error) {
	// A power of two, so that no frame of a page or less crosses into a second page.
	slot := 256
	for slot < txDataAt+frameLen {
		slot *= 2
	}
	perBlock := txBlock / slot
	frames := min(txFrames, txBytes/slot)
	blocks := frames / perBlock // all of them are powers of two
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("gen: PACKET_VERSION 2: %w", err)
	}
	req := unix.TpacketReq{Block_size: txBlock, Block_nr: uint32(blocks), Frame_size: uint32(slot), Frame_nr: uint32(frames)}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_TX_RING, &req); err != nil {
		return nil, fmt.Errorf("gen: PACKET_TX_RING of %d blocks of %d bytes: %w", blocks, txBlock, err)
	}
	mem, err := unix.Mmap(fd, 0, blocks*txBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("gen: mmap %d bytes of transmit ring: %w", blocks*txBlock, err)
	}
	s := &txRingSender{fd: fd, mem: mem}
	for i := range frames {
		at := i/perBlock*txBlock + i%perBlock*slot
		b := mem[at+txDataAt : at+slot : at+slot]
		ether(b)
		s.slots = append(s.slots, at)
		s.data = append(s.data, b)
	}
	return s, nil
}

// batch waits until the kernel has given back all frames of the batch.
func (s *txRingSender) batch() ([][]byte, error) {
	end := min(s.pos+txBatch, len(s.slots))
	for i := s.pos; i < end; {
		status := kmem.Load32(s.mem, s.slots[i]+txStatusAt)
		switch {
		case status == unix.TP_STATUS_AVAILABLE:
			i++
		case status&unix.TP_STATUS_WRONG_FORMAT != 0:
			return nil, fmt.Errorf("gen: the kernel refused frame %d of the transmit ring (TP_STATUS_WRONG_FORMAT)", i)
		default:
			s.again++
			pause(shortPause)
		}
	}
	return s.data[s.pos:end], nil
}

func (s *txRingSender) send(lens []length) (int, error) {
	for i, n := range lens {
		at := s.slots[s.pos+i]
		kmem.Store32(s.mem, at+txLenAt, uint32(n.head+n.payload))
		kmem.Store32(s.mem, at+txStatusAt, unix.TP_STATUS_SEND_REQUEST)
	}
	for sent := 0; ; {
		// sendto(2) without data: send what is marked, as a raw call because it does not sleep.
		_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		for sent < len(lens) && kmem.Load32(s.mem, s.slots[s.pos+sent]+txStatusAt)&unix.TP_STATUS_SEND_REQUEST == 0 {
			sent++
		}
		if errno != 0 && !busy(errno) {
			return sent, fmt.Errorf("gen: send from the transmit ring: %w", errno)
		}
		if sent == len(lens) {
			break
		}
		s.again++
		pause(shortPause)
	}
	s.pos = (s.pos + len(lens)) % len(s.slots)
	return len(lens), nil
}

func (s *txRingSender) retries() uint64 { return s.again }

func (s *txRingSender) close() error {
	if err := unix.Munmap(s.mem); err != nil {
		return fmt.Errorf("gen: unmap the transmit ring: %w", err)
	}
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("gen: close the socket: %w", err)
	}
	return nil
}
