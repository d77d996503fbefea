//go:build linux

package ring

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SetPromiscuous has the interface hand over frames that are addressed to others as well, or ends that
// (PACKET_MR_PROMISC, packet(7)). The kernel counts who asks for it: the interface returns to its former state when the
// last socket has closed, or the process is gone. An interface that is deleted takes the request with it. Any goroutine
// may call it. errors.Is finds ErrGone if there is no such interface, os.ErrClosed after Close.
func (r *Ring) SetPromiscuous(ifIndex int, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return errClosed("set promiscuous mode")
	}
	option := unix.PACKET_DROP_MEMBERSHIP
	if on {
		option = unix.PACKET_ADD_MEMBERSHIP
	}
	err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, option,
		&unix.PacketMreq{Ifindex: int32(ifIndex), Type: unix.PACKET_MR_PROMISC})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("promiscuous mode of interface %d: %w: %w", ifIndex, ErrGone, err)
	}
	return fmt.Errorf("promiscuous mode of interface %d: %w", ifIndex, err)
}
