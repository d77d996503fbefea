package packet

import "math/rand/v2"

// Nest returns an IP packet that is in another one, in an encapsulation drawn at random from all that Linux, mirrors and
// mobile networks have, over IPv4 and IPv6.
func Nest(r *rand.Rand, ip []byte) []byte {
	frame := func() []byte {
		return InEthernet(TypeOf(ip), ip, [][]uint32{nil, nil, {0x81000005}, {0x88a80001, 0x81000002}}[r.IntN(4)]...)
	}
	over := func(protocol byte, payload []byte) []byte {
		switch r.IntN(4) {
		case 0:
			return InIPv6(protocol, payload)
		case 1: // behind destination options, as Linux puts a limit of nesting there (RFC 2473)
			return InIPv6(60, append([]byte{protocol, 0, 4, 1, 4, 1, 1, 0}, payload...))
		}
		return InIPv4(protocol, payload)
	}
	flags, sequence := uint16(0), uint16(GRESequence*r.IntN(2))
	for _, f := range []uint16{GREChecksum, GREKey} {
		flags |= f * uint16(r.IntN(2))
	}
	switch r.IntN(10) {
	case 0:
		return over(ProtoGRE, InGRE(flags|sequence, TypeOf(ip), ip))
	case 1:
		return over(ProtoGRE, InGRE(flags|sequence, TypeBridged, frame()))
	case 2:
		return over(ProtoGRE, InGRE(0, TypeERSPAN, frame()))
	case 3:
		return over(ProtoGRE, InGRE(GRESequence, TypeERSPAN, InERSPAN2(false, frame())))
	case 4:
		return over(ProtoGRE, InGRE(GRESequence, TypeERSPAN3, InERSPAN3(false, r.IntN(2) == 0, false, frame())))
	case 5:
		return over(ProtoUDP, InUDP([]uint16{4789, 8472}[r.IntN(2)], InVXLAN(frame())))
	case 6:
		return over(ProtoUDP, InUDP(6081, InGENEVE(TypeBridged, 4*r.IntN(64), frame())))
	case 7:
		return over(ProtoUDP, InUDP(6081, InGENEVE(TypeOf(ip), 4*r.IntN(64), ip)))
	case 8:
		return over(ProtoUDP, InUDP(2152, InGTPU(byte(r.IntN(4)), r.IntN(4), ip)))
	}
	if TypeOf(ip) == TypeIPv6 {
		return over(ProtoIPv6, ip)
	}
	return over(ProtoIPv4, ip)
}
