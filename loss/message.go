package loss

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tcp-stream-exporter/printable"
)

// The losses of an interface that are watched, by their names in
// /sys/class/net/NAME/statistics. What each means differs from driver to driver;
// linux/if_link.h has the definitions.
const (
	RxDropped = iota // received and then thrown away: no memory, unknown protocol, address filter
	RxMissed         // found no buffer: the host was too slow
	RxFifo           // overflow of the device's own queue
	RxOver           // the same, by the name that other drivers use
	NumCounters
)

// CounterNames are the counters' names.
var CounterNames = [NumCounters]string{"rx_dropped", "rx_missed_errors", "rx_fifo_errors", "rx_over_errors"}

// statsWord is where each counter stands in struct rtnl_link_stats64 (linux/if_link.h), in words of
// 64 bits.
var statsWord = [NumCounters]int{6, 15, 14, 11}

// statsLen is as much of struct rtnl_link_stats64, in bytes, as holds all of them. Later kernels
// have appended fields.
const statsLen = 16 * 8

// link is what matters here of one interface.
type link struct {
	index    int32
	name     string
	loopback bool
	mtu      uint32 // bytes
	lower    int32  // index of the interface below, in the same network namespace; 0: none
	lost     [NumCounters]uint64
}

// reply is what was read of the answer to one request.
type reply struct {
	done        bool // it has ended
	interrupted bool // interfaces came or went meanwhile: some may be missing or come twice
}

var (
	errMessage = errors.New("malformed rtnetlink message")
	errNoStats = errors.New("rtnetlink message without 64-bit statistics (needs Linux 2.6.35 or newer)")
)

// parse reads the messages of one datagram (netlink(7)) that answer request seq, and calls each for
// every interface in them. Other answers are late ones to an earlier request, and left out. An
// error that the kernel answers with is a unix.Errno.
func (r *reply) parse(b []byte, seq uint32, each func(*link)) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int64(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > int64(len(b)) {
			return fmt.Errorf("%w: length %d with %d bytes left", errMessage, size, len(b))
		}
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		payload := b[unix.NLMSG_HDRLEN:size]
		if binary.NativeEndian.Uint32(b[8:]) == seq {
			if err := r.message(kind, flags, payload, each); err != nil || r.done {
				return err
			}
		}
		b = b[min(align(int(size)), len(b)):]
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: %d bytes after the last one", errMessage, len(b))
	}
	return nil
}

// message reads one message.
func (r *reply) message(kind, flags uint16, payload []byte, each func(*link)) error {
	if flags&unix.NLM_F_DUMP_INTR != 0 {
		r.interrupted = true
	}
	switch kind {
	case unix.NLMSG_DONE:
		r.done = true
	case unix.NLMSG_ERROR: // struct nlmsgerr: a negative errno, then the request
		if len(payload) < 4 {
			return fmt.Errorf("%w: error of %d bytes", errMessage, len(payload))
		}
		r.done = true
		if errno := -int32(binary.NativeEndian.Uint32(payload)); errno != 0 {
			return unix.Errno(errno)
		}
	case unix.RTM_NEWLINK:
		r.done = flags&unix.NLM_F_MULTI == 0
		var l link
		if err := l.parse(payload); err != nil {
			return err
		}
		each(&l)
	}
	return nil
}

// parse reads struct ifinfomsg and the attributes behind it (rtnetlink(7)).
func (l *link) parse(b []byte) error {
	if len(b) < unix.SizeofIfInfomsg {
		return fmt.Errorf("%w: ifinfomsg of %d bytes", errMessage, len(b))
	}
	l.index = int32(binary.NativeEndian.Uint32(b[4:]))
	l.loopback = binary.NativeEndian.Uint32(b[8:])&unix.IFF_LOOPBACK != 0
	elsewhere, counted := false, false
	for b = b[unix.SizeofIfInfomsg:]; len(b) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return fmt.Errorf("%w: attribute of length %d with %d bytes left", errMessage, size, len(b))
		}
		kind, v := binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:size]
		switch {
		case kind == unix.IFLA_IFNAME:
			name, _, _ := bytes.Cut(v, []byte{0})
			l.name = printable.Text(string(name))
		case kind == unix.IFLA_MTU && len(v) >= 4:
			l.mtu = binary.NativeEndian.Uint32(v)
		case kind == unix.IFLA_LINK && len(v) >= 4:
			l.lower = int32(binary.NativeEndian.Uint32(v))
		case kind == unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case kind == unix.IFLA_STATS64 && len(v) >= statsLen:
			counted = true
			for i, word := range statsWord {
				l.lost[i] = binary.NativeEndian.Uint64(v[8*word:])
			}
		}
		b = b[min(align(size), len(b)):]
	}
	if elsewhere || l.lower == l.index || l.lower < 0 {
		l.lower = 0
	}
	if !counted {
		return errNoStats
	}
	return nil
}

// align rounds n up to the next multiple of 4 (NLMSG_ALIGN, RTA_ALIGN).
func align(n int) int { return (n + 3) &^ 3 }

// request is the message that asks for the interface with the given index, or for all of them if it
// is 0.
func request(seq uint32, index int32) []byte {
	const size = unix.NLMSG_HDRLEN + unix.SizeofIfInfomsg
	b := make([]byte, size)
	flags := uint16(unix.NLM_F_REQUEST)
	if index == 0 {
		flags |= unix.NLM_F_DUMP
	}
	binary.NativeEndian.PutUint32(b, size)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	b[unix.NLMSG_HDRLEN] = unix.AF_UNSPEC
	binary.NativeEndian.PutUint32(b[unix.NLMSG_HDRLEN+4:], uint32(index))
	return b
}
