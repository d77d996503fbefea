package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Encapsulation is what is put around the packets of a connection between the router and the server.
type Encapsulation int

// The encapsulations. Each lowers the MTU of what is inside by its header, but for Dot1Q, which Ethernet has room for.
const (
	Plain          Encapsulation = iota // nothing
	Dot1Q                               // one VLAN tag, IEEE 802.1Q
	QinQ                                // two VLAN tags, IEEE 802.1ad: 0x88a8 outside, 0x8100 inside
	PPPoE                               // a PPPoE session, RFC 2516: IPv4 alone
	MPLS                                // two MPLS labels, RFC 3032: IPv4 alone
	encapsulations                      // how many there are
)

func (e Encapsulation) String() string {
	return [encapsulations]string{"plain", "802.1Q", "QinQ", "PPPoE", "MPLS"}[e]
}

// Identifiers in the headers.
const (
	InnerVLAN    = 100
	OuterVLAN    = 200 // QinQ only
	PPPoESession = 0x1234
)

const (
	macLen = 12 // both addresses of a frame, which are kept

	etherIPv4  = 0x0800
	etherVLAN  = 0x8100
	etherSVLAN = 0x88a8
	etherMPLS  = 0x8847
	etherPPPoE = 0x8864
)

// fixed returns what stands between the addresses of a frame and its EtherType (VLAN tags), or in place of its
// EtherType (the others), but for the length that PPPoE has; left is the EtherType that is left out.
func (e Encapsulation) fixed() (header []byte, left []byte) {
	ipv4 := binary.BigEndian.AppendUint16(nil, etherIPv4)
	words := func(all ...uint16) (b []byte) {
		for _, w := range all {
			b = binary.BigEndian.AppendUint16(b, w)
		}
		return b
	}
	switch e {
	case Dot1Q:
		return words(etherVLAN, InnerVLAN), nil
	case QinQ:
		return words(etherSVLAN, OuterVLAN, etherVLAN, InnerVLAN), nil
	case PPPoE: // version and type 1, code 0, session, length, the PPP protocol of IPv4
		return words(etherPPPoE, 0x1100, PPPoESession, 0, 0x0021), ipv4
	case MPLS: // label 20 bits, traffic class 3, bottom of stack 1, TTL 8
		return words(etherMPLS, 1000>>4, 1000<<12&0xffff|64, 1001>>4, 1001<<12&0xffff|1<<8|64), ipv4
	}
	return nil, nil
}

// pppoeLength is where the length is in the header of PPPoE.
const pppoeLength = 6

// overhead returns how many bytes less than the link's the MTU of what is inside is.
func (e Encapsulation) overhead() int {
	if e == Dot1Q {
		return 0
	}
	header, left := e.fixed()
	return len(header) - len(left)
}

// put returns the frame with the header, or nil if it cannot have one: PPPoE and MPLS carry IPv4 alone.
func (e Encapsulation) put(frame []byte) []byte {
	header, left := e.fixed()
	if len(frame) < macLen+2 || !bytes.HasPrefix(frame[macLen:], left) {
		return nil
	}
	if e == PPPoE {
		binary.BigEndian.PutUint16(header[pppoeLength:], uint16(len(frame)-macLen-len(left)+2)) // with the protocol
	}
	return slices.Concat(frame[:macLen], header, frame[macLen+len(left):])
}

// take returns the frame without the header, or an error if it is not the header that put makes.
func (e Encapsulation) take(frame []byte) ([]byte, error) {
	want, left := e.fixed()
	if len(frame) < macLen+len(want) {
		return nil, fmt.Errorf("lab: %v: frame of %d bytes", e, len(frame))
	}
	got := slices.Clone(frame[macLen : macLen+len(want)])
	rest := frame[macLen+len(want):]
	if e == PPPoE {
		length := int(binary.BigEndian.Uint16(got[pppoeLength:])) - 2
		binary.BigEndian.PutUint16(got[pppoeLength:], 0)
		if length < 0 || length > len(rest) {
			return nil, fmt.Errorf("lab: PPPoE: length %d with %d bytes left", length, len(rest))
		}
		rest = rest[:length]
	}
	if !bytes.Equal(got, want) {
		return nil, fmt.Errorf("lab: %v: header % x, want % x", e, got, want)
	}
	return slices.Concat(frame[:macLen], left, rest), nil
}
