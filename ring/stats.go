//go:build linux

package ring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Stats are the kernel's counters of a ring since Open. They say nothing of what a device or the
// kernel's backlog lost before the packet socket saw it.
type Stats struct {
	Packets uint64 // frames that passed the filter, dropped ones included (tp_packets)
	Drops   uint64 // of these, frames for which the ring had no room (tp_drops)
	Freezes uint64 // times that the kernel found the next block not released (tp_freeze_q_cnt)
}

// Stats reads the counters. On an error they are as of the last reading; the error is os.ErrClosed
// after Close.
//
// PACKET_STATISTICS has 32 bits and is set to 0 by every reading (packet_getsockopt in
// net/packet/af_packet.c): this is its one reader and sums it up. At 10 million packets a second
// 32 bits last for 7 minutes; read more often than that.
func (r *Ring) Stats() (Stats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return r.stats, errClosed("read PACKET_STATISTICS")
	}
	st, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return r.stats, fmt.Errorf("read PACKET_STATISTICS: %w", err)
	}
	r.stats.Packets += uint64(st.Packets)
	r.stats.Drops += uint64(st.Drops)
	r.stats.Freezes += uint64(st.Freeze_q_cnt)
	return r.stats, nil
}
