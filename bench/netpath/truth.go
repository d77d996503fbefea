package netpath

// Truth counts the sender's TCP segments. Again, Overtaken and Unnoticeable count those that passed
// the capture point.
type Truth struct {
	Packets uint64 // that passed the point

	// Again holds some sequence numbers that were sent before, of a SYN or FIN too. Unnoticeable are
	// those among them that no observer at the point can distinguish from new ones: no byte of theirs and
	// none behind them had passed it, because the first copies were lost before it.
	Again, Unnoticeable uint64
	// Overtaken were sent once and passed after a segment that was sent later.
	Overtaken uint64

	// AgainLost were sent again and lost before the point. The sender's own count of
	// retransmissions (TcpRetransSegs) is Again + AgainLost.
	AgainLost uint64

	LostBefore, LostBehind uint64 // packets, whether sent again or not; LostBehind without the next
	QueueDrops             uint64 // by the bottleneck's queue
}

// ledger keeps the record of the sender's connections.
type ledger struct {
	Truth
	conns map[ports]*conn
}

type ports struct{ from, to uint16 }

// conn is the ledger's record of a connection. TCP sends new bytes in order and without gaps, so one
// mark covers what was sent.
type conn struct {
	sent    uint32 // everything before it was sent
	arrived bool   // a segment has passed the point
	reached uint32 // highest end that has passed the point, if any has
}

func newLedger() ledger { return ledger{conns: map[ports]*conn{}} }

// leaves notes a segment in the order of sending and reports whether some of it was sent before.
func (l *ledger) leaves(s *segment) (again bool) {
	if !s.ordered() {
		return false
	}
	key := ports{s.from, s.to}
	c := l.conns[key]
	if c == nil {
		l.conns[key] = &conn{sent: s.end}
		return false
	}
	again = before(s.seq, c.sent)
	if before(c.sent, s.end) {
		c.sent = s.end
	}
	return again
}

// passes notes a segment in the order in which the point sees them; again is the result of leaves.
func (l *ledger) passes(s *segment, again bool) {
	l.Packets++
	if !s.ordered() {
		return
	}
	c := l.conns[ports{s.from, s.to}]
	behind := c.arrived && before(s.seq, c.reached)
	switch {
	case again && !behind:
		l.Again++
		l.Unnoticeable++
	case again:
		l.Again++
	case behind:
		l.Overtaken++
	}
	if !c.arrived || before(c.reached, s.end) {
		c.arrived, c.reached = true, s.end
	}
}
