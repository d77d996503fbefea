package worker

// HoldBounds are the upper bounds of Holds, ns.
var HoldBounds = [...]int64{10e3, 20e3, 50e3, 100e3, 200e3, 500e3, 1e6, 10e6}

// Holds is a histogram of the processor time that pieces of snapshots took from the worker. Packets that come meanwhile
// wait in the ring. Time that other threads had the processor during a piece is left out: no piece's
// size can help that, and Stats.MaxTurn has it.
type Holds struct {
	Counts [len(HoldBounds) + 1]uint64 // pieces up to each bound and above the one before; the last: above all
	Sum    uint64                      // ns
}

// NoteRun counts n pieces, 1 or more, that took ns together, each with the same share. A few comparisons.
func (h *Holds) NoteRun(ns int64, n int) {
	i, each := 0, ns/int64(n)
	for i < len(HoldBounds) && each > HoldBounds[i] {
		i++
	}
	h.Counts[i] += uint64(n)
	h.Sum += uint64(max(ns, 0))
}

func (h *Holds) add(o *Holds) {
	for i := range h.Counts {
		h.Counts[i] += o.Counts[i]
	}
	h.Sum += o.Sum
}
