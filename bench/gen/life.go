package gen

// fillLane starts handshakes and ends, as many as are due and have room.
func (s *source) fillLane() {
	if s.ending {
		s.drained = s.drained || s.laneCount == 0
		for ; s.drained && s.closing && s.ended < s.begun && s.laneCount < laneLen; s.ended++ {
			if s.conns[s.ended].step == stepEstablished {
				s.close(s.ended, false)
			}
		}
		return
	}
	for s.churned < s.mayChurn && s.begun > 0 && s.laneCount < laneLen {
		if s.oldest >= s.begun {
			s.oldest = 0
		}
		if s.conns[s.oldest].step != stepEstablished {
			break // few connections: it is under way itself
		}
		s.close(s.oldest, true)
		s.oldest++
		s.churned++
	}
	for s.begun < s.mayBegin && s.laneCount < laneLen {
		s.open(s.begun)
		s.begun++
		if s.cfg.MidStream {
			return // its data may go out; the next one opens with the next packet
		}
	}
}

// open gives slot i a new connection.
func (s *source) open(i int) {
	c := &s.conns[i]
	*c = conn{clientSeq: uint32(s.rng.next()), serverSeq: uint32(s.rng.next()), step: stepSYN}
	c.tuple(s.nextTuple, s.tupleOdd, s.tupleOffset)
	s.nextTuple++
	if s.cfg.MidStream {
		c.step, c.acked = stepEstablished, c.clientSeq
		s.counts.Opened++
	}
	s.push(i)
}

// close sends the established connection of slot i to its end. A new one follows if reopen is set.
func (s *source) close(i int, reopen bool) {
	c := &s.conns[i]
	c.step, c.reopen = stepFIN, reopen
	if s.reset != 0 && s.rng.under(s.reset) {
		c.step = stepRST
	}
	s.push(i)
}

func (s *source) push(i int) {
	s.lane[(s.laneHead+s.laneCount)%laneLen] = uint32(i)
	s.laneCount++
}

// laneStep sends the next packet of the connection at the head of the lane, and puts it back at
// the end while it has more to do.
func (s *source) laneStep(b []byte) length {
	i := int(s.lane[s.laneHead])
	s.laneHead = (s.laneHead + 1) % laneLen
	s.laneCount--

	c := &s.conns[i]
	n := s.step(b, c)
	switch {
	case c.step == stepClosed && c.reopen:
		if s.cfg.KeepStreams {
			s.gone = append(s.gone, *c)
		}
		s.open(i)
	case c.step != stepEstablished && c.step != stepClosed:
		s.push(i)
	}
	return n
}

// step sends the packet that is due in a handshake or at an end. With one direction only, the
// server's part is left out, not put off.
func (s *source) step(b []byte, c *conn) length {
	switch c.step {
	case stepSYN:
		s.counts.SYN++
		c.step = stepSYNACK
		if s.cfg.OneWay {
			c.step = stepHandshakeACK
		}
		n := s.forward(b, c, flagSYN)
		if s.cfg.OneWay {
			c.serverSeq++ // the SYN, ACK that nobody sees
		}
		return n
	case stepSYNACK:
		s.counts.SYNACK++
		c.acked = c.clientSeq
		c.step = stepHandshakeACK
		return s.reverse(b, c, flagSYN|flagACK)
	case stepHandshakeACK:
		s.counts.ACK++
		s.counts.Opened++
		c.step = stepEstablished
		return s.forward(b, c, flagACK)
	case stepEstablished: // joined in mid-stream
		return s.traffic(b, c)
	case stepFIN:
		s.counts.FIN++
		c.forwardEnd = endFIN
		c.step = stepFINACK
		if s.cfg.OneWay {
			c.step = stepLastACK
		}
		n := s.forward(b, c, flagFIN|flagACK)
		if s.cfg.OneWay {
			c.serverSeq++
		}
		return n
	case stepFINACK:
		s.counts.FIN++
		c.acked = c.clientSeq
		c.reverseEnd = endFIN
		c.step = stepLastACK
		return s.reverse(b, c, flagFIN|flagACK)
	case stepLastACK:
		s.counts.ACK++
		s.counts.Closed++
		c.step = stepClosed
		return s.forward(b, c, flagACK)
	case stepRST:
		s.counts.RST++
		s.counts.Closed++
		c.forwardEnd = endRST
		c.step = stepClosed
		return s.forward(b, c, flagRST|flagACK)
	}
	panic("gen: a closed connection has nothing to send")
}

// end makes next finish the handshakes and ends under way, close every connection if closing is set, then return 0.
func (s *source) end(closing bool) {
	s.ending, s.closing = true, closing
	for i := range s.laneCount {
		s.conns[s.lane[(s.laneHead+i)%laneLen]].reopen = false
	}
}
