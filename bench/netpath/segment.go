package netpath

import "encoding/binary"

// TCP flags.
const (
	fin = 1 << 0
	syn = 1 << 1
	rst = 1 << 2
)

// segment holds the fields that the path reads of a packet.
type segment struct {
	tcp      bool // over IPv4, whole; the other fields mean nothing if not
	from, to uint16
	flags    byte
	payload  int
	seq, end uint32 // end: seq and payload, plus 1 for a SYN or FIN
}

// ordered reports whether the segment takes up sequence numbers: only then can it be sent again.
func (s *segment) ordered() bool { return s.tcp && s.end != s.seq }

// pureACK reports whether the segment does nothing but acknowledge.
func (s *segment) pureACK() bool { return s.tcp && s.payload == 0 && s.flags&(fin|syn|rst) == 0 }

const (
	ipv4Header = 20
	tcpHeader  = 20
)

func parse(b []byte) (s segment) {
	if len(b) < ipv4Header || b[0]>>4 != 4 || b[9] != 6 {
		return s
	}
	start := int(b[0]&15) * 4
	if start < ipv4Header || len(b) < start+tcpHeader {
		return s
	}
	t := b[start:]
	data := int(t[12]>>4) * 4
	if data < tcpHeader || data > len(t) {
		return s
	}
	s = segment{
		tcp: true, from: binary.BigEndian.Uint16(t), to: binary.BigEndian.Uint16(t[2:]),
		flags: t[13], payload: len(t) - data, seq: binary.BigEndian.Uint32(t[4:]),
	}
	s.end = s.seq + uint32(s.payload)
	if s.flags&(syn|fin) != 0 {
		s.end++
	}
	return s
}

// before compares sequence numbers modulo 2^32 (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }
