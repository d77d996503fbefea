package netif

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Device holds what ethtool(8) shows of an interface.
type Device struct {
	Driver string // empty if the driver does not say
	// Features are the offloads that are switched on, by the kernel's names: rx-gro, rx-lro, tx-tcp-segmentation,
	// tx-generic-segmentation, rx-vlan-hw-parse, tx-vlan-hw-insert, … (netdev_features_strings in
	// net/ethtool/common.c of Linux 6.18). nil: not known.
	Features map[string]bool
	// HardwareStamps reports that the device can tell when it received a packet.
	HardwareStamps bool
}

// AskDevice returns what ethtool(8) shows of the interface of this name. The error says why the features are not known:
// the rest is left out where the driver has none. It needs no rights.
func AskDevice(name string) (Device, error) {
	var d Device
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
		if info, err := unix.IoctlGetEthtoolDrvinfo(fd, name); err == nil {
			d.Driver = unix.ByteSliceToString(info.Driver[:])
		}
		if info, err := unix.IoctlGetEthtoolTsInfo(fd, name); err == nil {
			d.HardwareStamps = info.So_timestamping&unix.SOF_TIMESTAMPING_RX_HARDWARE != 0
		}
		_ = unix.Close(fd) // nothing was sent on it
	}
	var err error
	d.Features, err = askFeatures(name)
	return d, err
}

// askFeatures asks the family "ethtool" of generic netlink for the features of an interface (Linux 5.7).
//
// No library does it better: github.com/safchain/ethtool 0.7.0 hands the address of a Go variable on as a number, which
// package unsafe forbids, and github.com/mdlayher/ethtool 0.7.0 knows no features and brings four more modules. The
// request of old, ETHTOOL_GFEATURES of SIOCETHTOOL, has a pointer in it, which takes unsafe here too.
func askFeatures(name string) (map[string]bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers within the request, unless somebody else holds the lock of all interfaces (rtnl_lock).
	timeout := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("set SO_RCVTIMEO: %w", err)
	}
	family := uint16(0)
	answer, err := askGeneric(fd, genericRequest(unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, 1,
		attribute(unix.CTRL_ATTR_FAMILY_NAME, append([]byte(unix.ETHTOOL_GENL_NAME), 0))))
	if err == nil {
		err = attributes(answer, func(kind uint16, v []byte) error {
			if kind == unix.CTRL_ATTR_FAMILY_ID && len(v) >= 2 {
				family = binary.NativeEndian.Uint16(v)
			}
			return nil
		})
	}
	if err != nil || family == 0 {
		return nil, fmt.Errorf("the kernel has no family ethtool of netlink, which needs Linux 5.6: %w", errors.Join(err, unix.ENOENT))
	}
	header := attribute(unix.ETHTOOL_A_HEADER_DEV_NAME, append([]byte(name), 0))
	answer, err = askGeneric(fd, genericRequest(family, unix.ETHTOOL_MSG_FEATURES_GET, unix.ETHTOOL_GENL_VERSION,
		attribute(unix.ETHTOOL_A_FEATURES_HEADER|unix.NLA_F_NESTED, header)))
	if err != nil {
		return nil, fmt.Errorf("ask for the features of %s: %w", name, err)
	}
	return activeFeatures(answer)
}

// activeFeatures returns the names that are in ETHTOOL_A_FEATURES_ACTIVE: a list without a mask has only those that are
// set (Documentation/networking/ethtool-netlink.rst of Linux 6.18, "Bit sets").
func activeFeatures(answer []byte) (map[string]bool, error) {
	active := map[string]bool{}
	nested := func(want uint16, each func([]byte) error) func(uint16, []byte) error {
		return func(kind uint16, v []byte) error {
			if kind != want {
				return nil
			}
			return each(v)
		}
	}
	name := func(v []byte) error {
		text, _, _ := bytes.Cut(v, []byte{0})
		active[string(text)] = true
		return nil
	}
	bit := func(v []byte) error { return attributes(v, nested(unix.ETHTOOL_A_BITSET_BIT_NAME, name)) }
	bits := func(v []byte) error { return attributes(v, nested(unix.ETHTOOL_A_BITSET_BITS_BIT, bit)) }
	set := func(v []byte) error { return attributes(v, nested(unix.ETHTOOL_A_BITSET_BITS, bits)) }
	if err := attributes(answer, nested(unix.ETHTOOL_A_FEATURES_ACTIVE, set)); err != nil {
		return nil, err
	}
	return active, nil
}

// genericLen is the length of struct genlmsghdr (linux/genetlink.h) in bytes.
const genericLen = 4

// genericRequest returns one message of generic netlink.
func genericRequest(family uint16, command, version byte, attributes []byte) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+genericLen+len(attributes))
	binary.NativeEndian.PutUint16(b[4:], family)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], 1)
	b = append(append(b, command, version, 0, 0), attributes...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// attribute returns one attribute (struct nlattr) with its padding.
func attribute(kind uint16, value []byte) []byte {
	size := unix.SizeofNlAttr + len(value)
	b := make([]byte, align(size))
	binary.NativeEndian.PutUint16(b, uint16(size))
	binary.NativeEndian.PutUint16(b[2:], kind)
	copy(b[unix.SizeofNlAttr:], value)
	return b
}

// askGeneric sends a request and returns the attributes of its answer.
func askGeneric(fd int, request []byte) ([]byte, error) {
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	buf := make([]byte, answerSize)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive: %w", err)
		}
		if a, ok := from.(*unix.SockaddrNetlink); ok && a.Pid == 0 { // the kernel
			return genericAnswer(buf[:n])
		}
	}
}

// genericAnswer returns the attributes of the first message of a datagram, or the error that it is.
func genericAnswer(b []byte) ([]byte, error) {
	m, _, err := nextMessage(b)
	switch {
	case err != nil:
		return nil, err
	case m.kind == unix.NLMSG_ERROR && len(m.payload) >= 4:
		if err := errnoOf(m.payload); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: an acknowledgment without an answer", errMessage)
	case len(m.payload) < genericLen:
		return nil, fmt.Errorf("%w: %d bytes", errMessage, len(m.payload))
	}
	return m.payload[genericLen:], nil
}

// attributes calls each for the attributes that stand one behind another in b.
func attributes(b []byte, each func(kind uint16, value []byte) error) error {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return fmt.Errorf("%w: attribute of length %d with %d bytes left", errMessage, size, len(b))
		}
		kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if err := each(kind, b[unix.SizeofNlAttr:size]); err != nil {
			return err
		}
		b = b[min(align(size), len(b)):]
	}
	return nil
}
