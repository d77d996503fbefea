package gen

import (
	"fmt"

	"tcp-stream-exporter/bench/internal/kmem"

	"golang.org/x/sys/unix"
)

// mmsgBatch is the number of frames in one system call. 16, 64, 256 and 1024 gave the same rate
// within the noise; 64 frames of full size stay in the second-level cache.
const mmsgBatch = 64

// mmsgSender sends with sendmmsg(2): the kernel copies each frame, so that the buffers are free
// again at once.
type mmsgSender struct {
	fd     int
	frames [][]byte
	msgs   *kmem.Messages
	again  uint64
}

func newMmsgSender(fd, frameLen int, ether func([]byte)) *mmsgSender {
	arena := make([]byte, mmsgBatch*frameLen)
	s := &mmsgSender{fd: fd, frames: make([][]byte, mmsgBatch)}
	for i := range s.frames {
		s.frames[i] = arena[i*frameLen : (i+1)*frameLen : (i+1)*frameLen]
		ether(s.frames[i])
	}
	s.msgs = kmem.NewMessages(s.frames, nil)
	return s
}

func (s *mmsgSender) batch() ([][]byte, error) { return s.frames, nil }

func (s *mmsgSender) send(lens []length) (int, error) {
	for i, n := range lens {
		s.msgs.SetLen(i, n.head+n.payload, 0)
	}
	return s.transmit(len(lens))
}

// transmit sends the first n messages.
func (s *mmsgSender) transmit(n int) (int, error) {
	for sent := 0; sent < n; {
		more, err := s.msgs.Send(s.fd, sent, n)
		sent += more
		if err == nil {
			continue
		}
		if !busy(err) {
			return sent, fmt.Errorf("gen: sendmmsg: %w", err)
		}
		s.again++
		pause(shortPause)
	}
	return n, nil
}

func (s *mmsgSender) retries() uint64 { return s.again }

func (s *mmsgSender) close() error {
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("gen: close the socket: %w", err)
	}
	return nil
}
