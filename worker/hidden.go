package worker

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// isHidden reports whether connections with key k are hidden. A packet in IPv6 whose addresses both map IPv4 ones has the
// key of an IPv4 connection, and is none of them.
func (w *Worker) isHidden(k *table.Key) bool { return k.Wide() && w.hides }

// tallyOf returns where the events of connections with key k are counted.
func (w *Worker) tallyOf(k *table.Key) *stream.Tally {
	if w.isHidden(k) != w.swapped {
		return &w.hidden
	}
	return &w.tally
}

// hide notes that segment n of a batch is one of a hidden connection.
func (w *Worker) hide(to *Batch, n uint) {
	to.hidden |= 1 << (n % BatchSize)
	w.Counters.Skipped[parse.IPv6]++
	w.Counters.Hidden++
}

// skipFragment counts a fragment that opens no connection. One that would be of a hidden connection counts as skipped
// already.
func (w *Worker) skipFragment(seg *parse.Segment) {
	if !w.isHidden(&seg.Flow) {
		w.Counters.Skipped[parse.Fragment]++
	}
}

// accountFoundHidden accounts the segments of a batch that are of hidden connections and were found, as account does the
// others, and returns the found ones that are left. All of a connection's are hidden or none, so that they keep their order.
//
// The two tallies change places meanwhile. A loop that is handed its tally takes an instruction more for every packet.
//
//go:noinline
func (w *Worker) accountFoundHidden(x *Batch, found table.Found, next *[]uint32, bound *bounds) (left uint32) {
	known, hidden := found.Data|found.Bare, x.hidden
	x.hidden = 0
	w.swapTallies()
	for rest := known & hidden; rest != 0; {
		run := rest
		if after := found.After & rest &^ (run & -run); after != 0 {
			run = rest & (after&-after - 1)
		}
		rest &^= run
		w.accountFound(x, run&found.Data, next, bound)
		w.accountFound(x, run&found.Bare, next, bound)
	}
	w.swapTallies()
	return known &^ hidden
}

func (w *Worker) swapTallies() {
	w.tally, w.hidden, w.swapped = w.hidden, w.tally, !w.swapped
}
