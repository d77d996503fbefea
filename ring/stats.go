//go:build linux

package ring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Stats holds the kernel's counters of a ring since Open. They do not count what a device or the kernel's
// backlog lost before the packet socket saw it.
type Stats struct {
	Packets uint64 // frames that passed the filter, dropped ones included (tp_packets)
	Drops   uint64 // of these, frames that found the ring full (tp_drops)
	Freezes uint64 // times that the kernel found the next block not released (tp_freeze_q_cnt)
}

// Stats returns the counters. With an error they are those of the last reading. The error is os.ErrClosed
// after Close.
//
// The kernel's counters have 32 bits, and every reading sets them to 0 (packet_getsockopt,
// PACKET_STATISTICS): Stats is their one reader and sums them up. At 10 million packets a second 32 bits
// last for 7 minutes; call it more often than that.
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
