package ring

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// MaxRings is the most rings in one group: PACKET_FANOUT_MAX in net/packet/internal.h of older kernels, and what fanout_add
// still takes where no other bound is asked for.
const MaxRings = 256

// RejectAll is a filter that accepts no frame. It must not be changed.
var RejectAll = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}}

// OpenGroup opens n rings among which the kernel shares out the interface's traffic. One ring is a plain Open.
//
//	c.Fanout   by                                                      kernel
//	a program  what it returns, modulo n (PACKET_FANOUT_CBPF)          Linux 4.3; a group needs 4.12 in any case
//	empty      a flow hash that is the same for both directions of a   what the hash takes a connection's
//	           connection (PACKET_FANOUT_HASH, fanout_demux_hash)      addresses and ports from changes
//
// Of a fragmented packet only the first fragment has ports, so the kernel puts IPv4 packets together for a group before it
// shares them out, in both ways (PACKET_FANOUT_FLAG_DEFRAG, packet_rcv_fanout). It does not do so for IPv6, nor behind
// PPPoE, MPLS or a second VLAN tag: the flow hash shares out those fragments by their addresses.
//
// The program is the group's, not a socket's: it is set when the first socket has joined (fanout_set_data_cbpf). Until then
// all frames would go to the first ring.
//
// A socket that is bound and not yet in the group receives everything, so all sockets reject every frame
// until the last has joined. IgnoreOutgoing becomes a flag of the group (Linux 5.11), because that of a
// socket has no effect in a group (fanout_add).
//
// Nothing interrupts the kernel while it allocates. OpenGroup looks whether ctx has ended before each ring,
// and before each piece of a large one (prefault), and returns its error.
//
// Nothing stays open after an error. The other errors are those of Open.
func OpenGroup(ctx context.Context, c Config, n int) (_ []*Ring, err error) {
	if n < 1 || n > MaxRings {
		e := c.refuse([]Setting{SettingRings}, "want 1 to %d", MaxRings)
		e.rings = n
		return nil, e
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkMemory(c, n); err != nil {
		return nil, err
	}
	if n == 1 {
		r, err := openNext(ctx, c)
		if err != nil {
			return nil, err
		}
		return []*Ring{r}, nil
	}
	how := unix.PACKET_FANOUT_HASH
	if len(c.Fanout) != 0 {
		how = unix.PACKET_FANOUT_CBPF
	}
	closed := c
	closed.Filter, closed.IgnoreOutgoing = RejectAll, false
	var rings []*Ring
	defer func() {
		if err != nil {
			for _, r := range rings {
				r.Close() // err is the cause
			}
		}
	}()
	group := uint32(unix.PACKET_FANOUT_FLAG_UNIQUEID|unix.PACKET_FANOUT_FLAG_DEFRAG|how) << 16
	if c.IgnoreOutgoing {
		group |= unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING << 16
	}
	for i := range n {
		r, err := openNext(ctx, closed)
		if err != nil {
			return nil, err
		}
		rings = append(rings, r)
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, int(int32(group))); err != nil {
			return nil, fanoutError(c, n, i, err)
		}
		if i == 0 {
			// The kernel has drawn the group's number, which the others join by.
			id, err := unix.GetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
			if err != nil {
				return nil, fmt.Errorf("read the number of the fanout group: %w", err)
			}
			group = group&^(unix.PACKET_FANOUT_FLAG_UNIQUEID<<16|0xffff) | uint32(id)&0xffff
			if err := r.setFanout(c, n); err != nil {
				return nil, err
			}
		}
	}
	for _, r := range rings {
		if err := r.setFilter(c); err != nil {
			return nil, err
		}
	}
	return rings, nil
}

// openNext opens one ring, unless ctx ends before the kernel allocates all of it.
func openNext(ctx context.Context, c Config) (*Ring, error) {
	if err := prefault(ctx, c, prefaultPiece); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ring: given up before it was opened: %w", err)
	}
	return open(c)
}

// setFanout has c's program, if it has one, share out the frames of the group of n rings that r has joined.
func (r *Ring) setFanout(c Config, n int) error {
	if len(c.Fanout) == 0 {
		return nil
	}
	err := unix.SetsockoptSockFprog(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, sockFprog(c.Fanout))
	if err == nil {
		return nil
	}
	e := c.refuse([]Setting{SettingRings}, "have a program of %d instructions share out the frames: %v: use 1", len(c.Fanout), err).because(err)
	e.rings = n
	return e
}

// fanoutError returns the error of ring i of n, which could not join the group.
func fanoutError(c Config, n, i int, err error) error {
	remedy := ""
	if errors.Is(err, unix.EINVAL) {
		remedy = ": needs Linux 4.12 or newer (on the loopback interface 5.11); without it use 1"
	}
	e := c.refuse([]Setting{SettingRings}, "join ring %d to the fanout group: %v%s", i, err, remedy).because(err)
	e.rings = n
	return e
}

// SetFilter replaces the ring's filter by prog, as Config.Filter has it. No frame passes unfiltered meanwhile: the
// kernel goes from one program to the other between two frames (sk_attach_filter, net/core/filter.c). Any goroutine
// may call it. The error is os.ErrClosed after Close.
func (r *Ring) SetFilter(prog []bpf.RawInstruction) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return errClosed("replace the packet filter")
	}
	return r.setFilter(Config{Filter: prog})
}

// setFilter replaces the filter of the socket by c's, with no moment between.
func (r *Ring) setFilter(c Config) error {
	if len(c.Filter) != 0 {
		return attachFilter(r.fd, c)
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		return fmt.Errorf("detach the packet filter: %w", err)
	}
	return nil
}
