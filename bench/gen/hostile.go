package gen

// floodSYN sends a SYN from a random source. Sources lie outside of the clients' net, so that a
// flood never hits one of the generator's own connections.
func (s *source) floodSYN(b []byte) length {
	r := s.rng.next()
	src := uint32(r)
	for !floodSource(src) {
		src = uint32(s.rng.next())
	}
	seg := segment{
		src: src, srcPort: uint16(r >> 32), dst: serverNet | uint32(r>>48%servers+1), dstPort: serverPort,
		seq: uint32(s.rng.next()), flags: flagSYN,
	}
	s.counts.Flood++
	return s.write(b, &seg)
}

// floodSource leaves out 0/8, 10/8 (the clients), 127/8 and everything from multicast up.
func floodSource(a uint32) bool {
	net := a >> 24
	return net != 0 && net != clientNet>>24 && net != 127 && net < 224
}

// forgery sends a packet in the name of c's client that a receiver must not believe, each time
// of another kind. The connection goes on as if it had not been sent.
func (s *source) forgery(b []byte, c *conn) length {
	const kinds = 5
	seg := c.forwardSegment(flagACK, 0)
	far := 1<<28 + uint32(s.rng.next())>>3 // 2^28 to 2^28+2^29 away, far outside of the window
	if s.nextForgery&1 != 0 {
		far = -far // behind instead of ahead
	}
	switch s.nextForgery % kinds {
	case 0: // a SYN with another initial sequence number
		seg.flags, seg.ack, seg.seq = flagSYN, 0, seg.seq+far
	case 1:
		seg.flags, seg.seq = flagRST, seg.seq+far
	case 2:
		seg.flags, seg.seq = flagFIN|flagACK, seg.seq+far
	case 3:
		seg.payload, seg.seq = s.dataLen, seg.seq+far
	case 4: // in the window, but longer than its frame
		seg.payload, seg.totalLen = s.dataLen, maxTotalLen
	}
	s.nextForgery++
	c.forged++
	s.counts.Forged++
	return s.write(b, &seg)
}
