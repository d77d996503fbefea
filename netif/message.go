package netif

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Interface holds one network interface as rtnetlink(7) describes it.
type Interface struct {
	Index    int
	Name     string // as the kernel has it: it need not be UTF-8
	Hatype   uint16 // hardware type: ARPHRD_ in linux/if_arp.h
	Up       bool   // administratively (IFF_UP)
	Loopback bool   // IFF_LOOPBACK
	MTU      uint32 // bytes
	Lower    int    // index of the interface below (the parent of a VLAN), if it is in the same network namespace; 0: none
	HasStats bool   // false: Stats is not known, because the kernel is older than Linux 2.6.35
	Stats    Stats
}

// Stats holds the counters of an interface for packets that it passed and lost, by their names in
// /sys/class/net/NAME/statistics. What each means differs from driver to driver; linux/if_link.h has
// the definitions.
type Stats struct {
	RxPackets, TxPackets uint64 // passed up to the kernel and handed down to the device
	RxBytes, TxBytes     uint64 // the same in bytes; most drivers leave out the Ethernet FCS

	RxDropped      uint64 // received and then thrown away: no memory, unknown protocol, address filter
	RxMissedErrors uint64 // found no buffer: the host was too slow
	RxFifoErrors   uint64 // overflow of the device's own queue
	RxOverErrors   uint64 // the same, by the name that other drivers use
}

// Where each counter stands in struct rtnl_link_stats64 (linux/if_link.h), in words of 64 bits.
const (
	wordRxPackets      = 0
	wordTxPackets      = 1
	wordRxBytes        = 2
	wordTxBytes        = 3
	wordRxDropped      = 6
	wordRxOverErrors   = 11
	wordRxFifoErrors   = 14
	wordRxMissedErrors = 15
)

// statsLen is as much of struct rtnl_link_stats64, in bytes, as holds all of them. Later kernels
// have appended fields.
const statsLen = (wordRxMissedErrors + 1) * 8

// reply holds how far the answer to one request has been read.
type reply struct {
	done        bool // it has ended
	interrupted bool // interfaces came or went meanwhile: some may be missing or come twice
}

var errMessage = errors.New("malformed rtnetlink message")

// parse reads the messages of one datagram (netlink(7)) that answer request seq, and calls each for
// every interface in them. Other answers are late ones to an earlier request, and left out. An
// error that the kernel answers with is a unix.Errno.
func (r *reply) parse(b []byte, seq uint32, each func(*Interface)) error {
	for len(b) > 0 {
		m, rest, err := nextMessage(b)
		if err != nil {
			return err
		}
		if m.seq == seq {
			if err := r.message(m.kind, m.flags, m.payload, each); err != nil || r.done {
				return err
			}
		}
		b = rest
	}
	return nil
}

// message is one netlink message: struct nlmsghdr (linux/netlink.h) and what is behind it.
type message struct {
	kind, flags uint16
	seq, port   uint32 // of the request that it answers or that made the change
	payload     []byte
}

// nextMessage returns the first message of a datagram, and the rest.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < unix.NLMSG_HDRLEN {
		return m, nil, fmt.Errorf("%w: %d bytes after the last one", errMessage, len(b))
	}
	size := int64(binary.NativeEndian.Uint32(b))
	if size < unix.NLMSG_HDRLEN || size > int64(len(b)) {
		return m, nil, fmt.Errorf("%w: length %d with %d bytes left", errMessage, size, len(b))
	}
	m = message{
		kind: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]),
		seq: binary.NativeEndian.Uint32(b[8:]), port: binary.NativeEndian.Uint32(b[12:]),
		payload: b[unix.NLMSG_HDRLEN:size],
	}
	return m, b[min(align(int(size)), len(b)):], nil
}

// message reads one message.
func (r *reply) message(kind, flags uint16, payload []byte, each func(*Interface)) error {
	if flags&unix.NLM_F_DUMP_INTR != 0 {
		r.interrupted = true
	}
	switch kind {
	case unix.NLMSG_DONE: // an errno: 0, or a negative one if the kernel gave the list up
		r.done = true
		if len(payload) >= 4 {
			return errnoOf(payload)
		}
	case unix.NLMSG_ERROR: // struct nlmsgerr: a negative errno, then the request
		if len(payload) < 4 {
			return fmt.Errorf("%w: error of %d bytes", errMessage, len(payload))
		}
		r.done = true
		return errnoOf(payload)
	case unix.RTM_NEWLINK:
		r.done = flags&unix.NLM_F_MULTI == 0
		var i Interface
		if err := i.parse(payload); err != nil {
			return err
		}
		each(&i)
	}
	return nil
}

// errnoOf returns the error that a negative number at the beginning of a message stands for, or nil.
func errnoOf(payload []byte) error {
	if errno := -int32(binary.NativeEndian.Uint32(payload)); errno > 0 {
		return unix.Errno(errno)
	}
	return nil
}

// parse reads struct ifinfomsg and the attributes behind it (rtnetlink(7)).
func (i *Interface) parse(b []byte) error {
	if len(b) < unix.SizeofIfInfomsg {
		return fmt.Errorf("%w: ifinfomsg of %d bytes", errMessage, len(b))
	}
	i.Hatype = binary.NativeEndian.Uint16(b[2:])
	i.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	flags := binary.NativeEndian.Uint32(b[8:])
	i.Up, i.Loopback = flags&unix.IFF_UP != 0, flags&unix.IFF_LOOPBACK != 0
	otherNamespace := false
	for b = b[unix.SizeofIfInfomsg:]; len(b) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return fmt.Errorf("%w: attribute of length %d with %d bytes left", errMessage, size, len(b))
		}
		kind, v := binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:size]
		switch {
		case kind == unix.IFLA_IFNAME:
			name, _, _ := bytes.Cut(v, []byte{0})
			i.Name = string(name)
		case kind == unix.IFLA_MTU && len(v) >= 4:
			i.MTU = binary.NativeEndian.Uint32(v)
		case kind == unix.IFLA_LINK && len(v) >= 4:
			i.Lower = int(int32(binary.NativeEndian.Uint32(v)))
		case kind == unix.IFLA_LINK_NETNSID: // the index that IFLA_LINK has is another namespace's
			otherNamespace = true
		case kind == unix.IFLA_STATS64 && len(v) >= statsLen:
			word := func(n int) uint64 { return binary.NativeEndian.Uint64(v[8*n:]) }
			i.HasStats = true
			i.Stats = Stats{
				RxPackets: word(wordRxPackets), TxPackets: word(wordTxPackets), RxBytes: word(wordRxBytes), TxBytes: word(wordTxBytes),
				RxDropped: word(wordRxDropped), RxMissedErrors: word(wordRxMissedErrors),
				RxFifoErrors: word(wordRxFifoErrors), RxOverErrors: word(wordRxOverErrors),
			}
		}
		b = b[min(align(size), len(b)):]
	}
	if otherNamespace || i.Lower == i.Index || i.Lower < 0 {
		i.Lower = 0
	}
	return nil
}

// align rounds n up to the next multiple of 4 (NLMSG_ALIGN, RTA_ALIGN).
func align(n int) int { return (n + 3) &^ 3 }

// request returns the message that asks for the interface with the given index, or for all of them if
// it is 0.
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

// skipStats is RTEXT_FILTER_SKIP_STATS (linux/rtnetlink.h, Linux 4.6; older ones send statistics all the same).
const skipStats = 1 << 3

// requestNames returns the message that asks for all interfaces without their statistics, which are half of
// the answer.
func requestNames(seq uint32) []byte {
	b := request(seq, 0)
	b = binary.NativeEndian.AppendUint16(b, unix.SizeofRtAttr+4)
	b = binary.NativeEndian.AppendUint16(b, unix.IFLA_EXT_MASK)
	b = binary.NativeEndian.AppendUint32(b, skipStats)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}
