package gen

// laneLen is the most handshakes and ends that are under way at once: they take turns packet
// by packet, so that those of different connections interleave.
const laneLen = 64

// picksAhead is the number of connections that a random order draws together.
const picksAhead = 32

// oneACK is the unit of conn.ackDebt.
const oneACK = 1 << 16

// source makes the packets, one after another. It knows no socket and no clock.
type source struct {
	cfg         Config
	rng         rng
	mss         uint16
	dataLen     int    // payload bytes of a data packet
	ackStep     uint32 // added to a connection's ackDebt by a data packet, at most oneACK
	flood       uint64 // chances as thresholds of 2^32
	forge       uint64
	reset       uint64
	elephant    uint64
	elephants   int
	tupleOdd    uint64
	tupleOffset uint64
	nextTuple   uint64
	nextForgery int
	most        int // packets that the frame under way may count as

	conns []conn
	begun int // slots [0, begun) have a connection, finished handshake or not

	robin   int                // round robin: the next slot
	picks   [picksAhead]uint32 // random orders: the next slots
	picked  int                // of picks: used up
	touched step               // keeps the compiler from leaving out a load

	mayBegin int // how many slots may have begun by now
	mayChurn uint64
	churned  uint64
	oldest   int  // churn: the next slot to close
	ending   bool // only ends from here on
	closing  bool // while ending: of all connections
	drained  bool // while ending: what was under way has finished
	ended    int  // while ending: slots [0, ended) have been sent to their end

	lane      [laneLen]uint32 // slots in a handshake or at an end
	laneHead  int
	laneCount int

	counts Counts
	gone   []conn // connections that ended and whose slot went to another, if streams are kept
}

func newSource(cfg Config) *source {
	s := &source{
		cfg:       cfg,
		rng:       newRNG(cfg.Seed),
		mss:       uint16(max(minMSS, cfg.Payload)),
		dataLen:   cfg.Payload,
		flood:     threshold(cfg.FloodShare),
		forge:     threshold(cfg.ForgeShare),
		reset:     threshold(cfg.ResetShare),
		elephants: cfg.Elephants,
		elephant:  threshold(cfg.ElephantShare),
		picked:    picksAhead,
		conns:     make([]conn, cfg.Connections),
	}
	if !cfg.OneWay {
		s.ackStep = uint32(cfg.ReverseShare / (1 - cfg.ReverseShare) * oneACK)
	}
	s.tupleOdd = s.rng.next() | 1
	s.tupleOffset = s.rng.next()
	if cfg.OpenRate == 0 {
		s.mayBegin = cfg.Connections
	}
	return s
}

// threshold turns a share of 0 to 1 into rng.under's argument.
func threshold(share float64) uint64 { return uint64(share * (1 << 32)) }

// allow sets how many connections may have begun, and how many may have been replaced, by the
// given number of seconds since the start.
func (s *source) allow(seconds float64) {
	if s.cfg.OpenRate > 0 {
		s.mayBegin = min(s.cfg.Connections, int(s.cfg.OpenRate*seconds)+1)
	}
	s.mayChurn = uint64(s.cfg.Churn * seconds)
}

// length of a frame in bytes: its headers, of which 0 means no frame, and the payload.
type length struct{ head, payload int }

// next writes the headers of the next packet behind the Ethernet header of b. It returns the
// zero length if there is nothing to send just now. A burst counts as at most most packets.
func (s *source) next(b []byte, most int) length {
	s.most = most
	if s.flood != 0 && !s.ending && s.rng.under(s.flood) {
		return s.floodSYN(b)
	}
	if s.laneCount < laneLen {
		s.fillLane()
	}
	if s.laneCount != 0 {
		return s.laneStep(b)
	}
	// Nothing is under way, so that every connection in [0, begun) is established.
	if s.begun == 0 || s.ending {
		return length{}
	}
	c := &s.conns[s.pick()]
	if s.forge != 0 && s.rng.under(s.forge) {
		return s.forgery(b, c)
	}
	return s.traffic(b, c)
}

// pick chooses the connection whose turn it is.
func (s *source) pick() int {
	if s.cfg.Order == OrderRoundRobin {
		i := s.robin
		if i >= s.begun {
			i = 0
		}
		s.robin = i + 1
		return i
	}
	if s.picked == len(s.picks) {
		s.pickAhead()
	}
	i := s.picks[s.picked]
	s.picked++
	return int(i)
}

// pickAhead draws the next connections together and touches each, so that the cache misses of
// random connections overlap: 219 ns per packet became 52 with 500,000 connections (BenchmarkNext). A slot that
// has begun stays in use, so that the draw does not grow stale.
func (s *source) pickAhead() {
	k := min(s.elephants, s.begun)
	for j := range s.picks {
		i := 0
		switch {
		case s.cfg.Order == OrderUniform:
			i = s.rng.below(s.begun)
		case k == s.begun || s.rng.under(s.elephant):
			i = s.rng.below(k)
		default:
			i = k + s.rng.below(s.begun-k)
		}
		s.picks[j] = uint32(i)
	}
	for _, i := range s.picks {
		s.touched += s.conns[i].step
	}
	s.picked = 0
}

// traffic sends data of the client or, when enough of it is owed, the server's ACK.
func (s *source) traffic(b []byte, c *conn) length {
	if c.ackDebt >= oneACK {
		// The ACKs owed for a burst share out its bytes, each ahead of the one before.
		unacked, owed := c.clientSeq-c.acked, c.ackDebt/oneACK
		c.acked += (unacked + owed - 1) / owed
		c.ackDebt -= oneACK
		s.counts.ACK++
		return s.reverse(b, c, flagACK)
	}
	if s.dataLen == 0 {
		c.serverSeq += uint32(s.mss) // the data that it acknowledges
		s.counts.ACK++
		return s.forward(b, c, flagACK)
	}
	segments := min(s.cfg.Burst, s.most)
	c.ackDebt += s.ackStep * uint32(segments)
	seg := c.forwardSegment(flagACK|flagPSH, segments*s.dataLen)
	seg.burst = segments > 1
	c.clientSeq += uint32(seg.payload)
	c.forward += uint64(segments)
	c.data += uint64(segments)
	s.counts.Data += uint64(segments)
	s.counts.PayloadBytes += uint64(seg.payload)
	// write counts one packet; each further one has headers of its own.
	s.counts.Packets += uint64(segments - 1)
	s.counts.WireBytes += uint64(segments-1) * headersLen
	return s.write(b, &seg)
}

// forward sends a packet without payload in the client's direction.
func (s *source) forward(b []byte, c *conn, flags uint8) length {
	seg := c.forwardSegment(flags, 0)
	if flags&(flagSYN|flagFIN) != 0 {
		c.clientSeq++ // RFC 9293 section 3.4: both take one sequence number
	}
	c.forward++
	return s.write(b, &seg)
}

// reverse sends a packet without payload in the server's direction.
func (s *source) reverse(b []byte, c *conn, flags uint8) length {
	seg := segment{
		src: c.server, dst: c.client, srcPort: c.serverPort, dstPort: c.clientPort,
		seq: c.serverSeq, ack: c.acked, flags: flags,
	}
	if flags&(flagSYN|flagFIN) != 0 {
		c.serverSeq++
	}
	c.reverse++
	return s.write(b, &seg)
}

func (c *conn) forwardSegment(flags uint8, payload int) segment {
	seg := segment{
		src: c.client, dst: c.server, srcPort: c.clientPort, dstPort: c.serverPort,
		seq: c.clientSeq, ack: c.serverSeq, flags: flags, payload: payload,
	}
	if flags&flagACK == 0 {
		seg.ack = 0
	}
	return seg
}

// write puts the frame together and counts it.
func (s *source) write(b []byte, seg *segment) length {
	n := length{put(b, seg, s.mss, !s.cfg.NoTCPChecksum), seg.payload}
	if s.cfg.Truncate {
		n.payload = 0
	}
	s.counts.Packets++
	s.counts.WireBytes += uint64(n.head + n.payload)
	return n
}
