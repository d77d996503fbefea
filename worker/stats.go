package worker

import (
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// Counters are a worker's totals besides the table's.
type Counters struct {
	Packets    uint64 // frames taken out of the ring
	Copies     uint64 // of those, outgoing copies of loopback frames, which come a second time
	Unselected uint64 // of those, frames of interfaces that are not captured, which the filter let through
	NoRoom     uint64 // segments of new connections that found the table full of live ones
	Blocks     uint64 // ring blocks walked
	TimedOut   uint64 // of those, the ones that the kernel retired before they were full
	BadBlocks  uint64 // of those, the ones that ended at an offset or count outside the block
	Skipped    [parse.NumReasons]uint64
	Hidden     uint64 // of those skipped as IPv6, segments of hidden connections: accounted all the same (Config.IPv6)

	SuperPackets  uint64 // frames with more payload than one segment holds: several in one
	SuperSegments uint64 // that those hold together
	SharedOrigin  uint64 // segments of an interface and VLANs that no number was left for (Config.ByInterface)

	RecycledHalfOpen  uint64 // connections with nothing but SYNs that made room for a new one
	RecycledFinalized uint64 // connections that were over and made room for a new one
}

// Stats are the totals of a capture.
type Stats struct {
	Counters
	stream.Tally              // of all connections that are not hidden
	HiddenTally  stream.Tally // of the hidden ones
	Dropped      uint64       // frames that the kernel dropped for want of room in the ring
	Freezes      uint64       // times that the kernel found the whole ring taken
	Connections  int          // in the table
	Capacity     int          // of the table
	Reopened     uint64       // times that the ring was opened again
	Holds        Holds
	RingBlocks   int // of the ring; 0: there is none at the moment
	RingWaiting  int // of those, the blocks that the kernel had handed over and the worker had not walked yet, at the last look
	InterfaceUp  bool
	IfIndex      int // of the captured interface; 0: all, NoInterface: it is away

	// The largest of the last capture.PeakAge.
	MaxTurn      time.Duration // between two visits to the ring, waits for frames left out
	MaxTurnWork  time.Duration // processor time that the worker spent between two visits to the ring
	MaxFrameAge  time.Duration // that the oldest frame of a block had lain in the ring when it was walked
	MaxExpiryLag time.Duration // that streams were expired after their time, in steps of 0.1 s
}

// NoInterface is the index of an interface that is away.
const NoInterface = -1

// Lost returns the number of events since the start that make figures wrong: frames dropped, queue
// freezes, packets without room in the table, blocks that could not be walked, times that the
// interface was away, and segments that were accounted to one connection although they may be of several.
func (s *Stats) Lost() uint64 {
	return s.Dropped + s.Freezes + s.NoRoom + s.BadBlocks + s.Reopened + s.SharedOrigin
}

// Stats returns the worker's own totals.
func (w *Worker) Stats() Stats {
	w.flush()
	s := Stats{Counters: w.Counters, Tally: w.tally, HiddenTally: w.hidden, Connections: w.table.Len(), Capacity: w.table.Cap()}
	s.Gone, s.HiddenTally.Gone = nil, nil
	return s
}

// Add brings another worker's totals to s: sums of what is counted, the worst of the rest.
func (s *Stats) Add(o *Stats, first bool) {
	if first {
		*s = *o
		return
	}
	s.Counters.add(&o.Counters)
	s.Tally.Add(&o.Tally)
	s.HiddenTally.Add(&o.HiddenTally)
	s.Holds.add(&o.Holds)
	s.Dropped += o.Dropped
	s.Freezes += o.Freezes
	s.Connections += o.Connections
	s.Capacity += o.Capacity
	s.RingBlocks += o.RingBlocks
	s.RingWaiting += o.RingWaiting
	s.Reopened = max(s.Reopened, o.Reopened)
	s.InterfaceUp = s.InterfaceUp && o.InterfaceUp
	if !s.InterfaceUp {
		s.IfIndex = NoInterface
	}
	s.MaxTurn = max(s.MaxTurn, o.MaxTurn)
	s.MaxTurnWork = max(s.MaxTurnWork, o.MaxTurnWork)
	s.MaxFrameAge = max(s.MaxFrameAge, o.MaxFrameAge)
	s.MaxExpiryLag = max(s.MaxExpiryLag, o.MaxExpiryLag)
}

func (c *Counters) add(o *Counters) {
	c.Packets += o.Packets
	c.Copies += o.Copies
	c.Unselected += o.Unselected
	c.NoRoom += o.NoRoom
	c.Blocks += o.Blocks
	c.TimedOut += o.TimedOut
	c.BadBlocks += o.BadBlocks
	for i := range c.Skipped {
		c.Skipped[i] += o.Skipped[i]
	}
	c.Hidden += o.Hidden
	c.SuperPackets += o.SuperPackets
	c.SuperSegments += o.SuperSegments
	c.SharedOrigin += o.SharedOrigin
	c.RecycledHalfOpen += o.RecycledHalfOpen
	c.RecycledFinalized += o.RecycledFinalized
}
