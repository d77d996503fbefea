package gen

import (
	"encoding/binary"
	"fmt"

	"tcp-stream-exporter/bench/internal/kmem"

	"golang.org/x/sys/unix"
)

// Where things are in struct virtio_net_hdr (linux/virtio_net.h), which PACKET_VNET_HDR puts
// before each frame, in bytes; host byte order.
const (
	vnetFlagsAt      = 0
	vnetGSOTypeAt    = 1
	vnetHdrLenAt     = 2
	vnetGSOSizeAt    = 4
	vnetCsumStartAt  = 6
	vnetCsumOffsetAt = 8
	vnetLen          = 10

	vnetNeedsCsum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	vnetTCPv4     = 1 // VIRTIO_NET_HDR_GSO_TCPV4
)

const ethtoolGTSO = 0x1e // ETHTOOL_GTSO, linux/ethtool.h: is TCP segmentation offload on?

// burstSender sends like mmsgSender, but a message may be a burst: one large segment that the
// kernel cuts into many right before the device (generic segmentation offload), so that most of
// the way down is paid for once per burst. That needs the qdisc layer, and a device that does not
// claim to cut segments itself: a veth that does would hand the burst over in one piece.
type burstSender struct {
	mmsgSender
	headers [][]byte // the virtio_net_hdr of each message
	segment int      // bytes of payload in each packet of a burst
}

// newBurstSender wants the frames to be cut into packets of segment bytes of payload, from a most
// of payload bytes.
func newBurstSender(fd int, device string, segment, payload int, ether func([]byte)) (*burstSender, error) {
	tso, err := kmem.EthtoolValue(fd, device, ethtoolGTSO)
	if err != nil {
		return nil, fmt.Errorf("gen: segmentation offload of %s: %w", device, err)
	}
	if tso != 0 {
		return nil, fmt.Errorf("gen: bursts would leave %s in one piece: turn its offloads off (ethtool -K %s tx off tso off gso off)", device, device)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return nil, fmt.Errorf("gen: PACKET_VNET_HDR: %w", err)
	}
	s := &burstSender{mmsgSender: mmsgSender{fd: fd, frames: make([][]byte, mmsgBatch)}, segment: segment}
	const slot = 128 // the headers of a frame, on two cache lines of their own
	arena := make([]byte, mmsgBatch*slot)
	messages := make([][]byte, mmsgBatch)
	for i := range messages {
		messages[i] = arena[i*slot : (i+1)*slot : (i+1)*slot]
		s.frames[i] = messages[i][vnetLen:]
		ether(s.frames[i])
	}
	s.headers, s.msgs = messages, kmem.NewMessages(messages, make([]byte, payload))
	return s, nil
}

func (s *burstSender) send(lens []length) (int, error) {
	for i, n := range lens {
		h := s.headers[i][:vnetLen]
		clear(h) // a frame as it is
		if n.payload > s.segment {
			h[vnetFlagsAt], h[vnetGSOTypeAt] = vnetNeedsCsum, vnetTCPv4
			binary.NativeEndian.PutUint16(h[vnetHdrLenAt:], uint16(n.head))
			binary.NativeEndian.PutUint16(h[vnetGSOSizeAt:], uint16(s.segment))
			binary.NativeEndian.PutUint16(h[vnetCsumStartAt:], tcpAt)
			binary.NativeEndian.PutUint16(h[vnetCsumOffsetAt:], tcpChecksumAt)
		}
		s.msgs.SetLen(i, vnetLen+n.head, n.payload)
	}
	return s.transmit(len(lens))
}
