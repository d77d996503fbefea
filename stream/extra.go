package stream

// Extra holds the figures of a stream that a reader can ask for besides its View. 64 bytes.
type Extra struct {
	First, Last int64 // ns, first and latest packet
	Syn         int64 // ns, the connection's latest SYN without ACK; 0: none was seen
	Handshake   int64 // ns, from that SYN to its sender's first ACK; -1: not measured, or no telling which SYN was answered

	// From an Optional; 0 without one.
	RTTSum   uint64 // ns, of all RTT samples
	Wire     uint64 // bytes of all packets on the wire, link header included
	Repeated uint64 // payload bytes of the retransmissions
	RTTs     uint32 // RTT samples
	SYNs     uint16 // segments with SYN
	MSS      uint16 // bytes, of the latest SYN's option; 0: none was seen, or it had none
}

// ExtraSize is the size of an Extra in bytes.
const ExtraSize = 64

// Extra fills e with direction dir, which must be a stream. shift is taken from every time: the clock
// of the Conn less the one that the reader wants.
func (c *Conn) Extra(dir int, shift int64, e *Extra) {
	s := &c.side[dir&1].hot
	first := s.firstTime(&c.side[dir&1].cold)
	*e = Extra{First: first - shift, Last: s.lastTime - shift, Handshake: -1}
	if c.state&synSeen != 0 {
		e.Syn = c.synTime(first) - shift
	}
	if c.handshake.measured() {
		e.Handshake = c.handshake.rtt()
	}
}
