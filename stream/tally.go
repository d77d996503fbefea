package stream

// Tally holds a worker's counts over all of its connections. Account keeps it in events only,
// never for an ordinary packet.
type Tally struct {
	Streams int64 // directions that have seen a packet and have not expired
	Active  int64 // of those, the ones that are not finalized

	Opened    uint64 // streams opened
	ClosedFin uint64 // streams finalized by a FIN
	ClosedRst uint64 // streams finalized by a RST
	Reopened  uint64 // finalized streams that went on with new data
	Replaced  uint64 // streams that gave way to a new connection on their four-tuple
	Expired   uint64 // streams dropped for their age
	Recycled  uint64 // streams dropped to make room
	OneSided  uint64 // of the expired ones, those that acknowledged data of a reverse stream never seen

	Gone *Gone // takes down what streams that are dropped had counted. May be nil

	CaptureGaps uint64 // sequence gaps across a loss of the capture, which are in no stream's
	LostUntil   int64  // ns on the worker's clock, all losses of the capture lie before it; 0: there was none
}

// Lost notes that the capture has lost packets, all of them before now, in ns. A sequence gap behind a packet of before
// that time is one of the capture from here on, and no stream's.
func (t *Tally) Lost(now int64) { t.LostUntil = max(t.LostUntil, now) }

// countGap counts a sequence gap of s, whose latest packet came before it.
func (t *Tally) countGap(s *Stream, d *Detail) {
	if t.LostUntil != 0 && s.lastTime < t.LostUntil {
		t.CaptureGaps++
		return
	}
	d.gaps++
}

// Add brings another worker's tally to t, but for Gone.
func (t *Tally) Add(o *Tally) {
	t.Streams += o.Streams
	t.Active += o.Active
	t.Opened += o.Opened
	t.ClosedFin += o.ClosedFin
	t.ClosedRst += o.ClosedRst
	t.Reopened += o.Reopened
	t.Replaced += o.Replaced
	t.Expired += o.Expired
	t.Recycled += o.Recycled
	t.OneSided += o.OneSided
	t.CaptureGaps += o.CaptureGaps
	t.LostUntil = max(t.LostUntil, o.LostUntil)
}

// Drop takes a connection's streams out of the gauges and returns how many there were.
func (t *Tally) Drop(c *Conn) uint64 {
	t.Gone.note(c, 0)
	t.Gone.note(c, 1)
	streams, active := c.Live()
	t.Streams -= int64(streams)
	t.Active -= int64(active)
	return uint64(streams)
}
