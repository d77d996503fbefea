package worker

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// timestampsLen is what the timestamps option takes of each segment, in bytes, padding included (RFC 7323 appendix A).
const timestampsLen = 12

// superPackets counts those of a batch's segments that are several in one (GRO, GSO, TSO). The loops that account
// segments only note which: a call amid them took 6 instructions more for every packet.
//
//go:noinline
func (w *Worker) superPackets(x *Batch) {
	for ; w.supers != 0; w.supers &= w.supers - 1 {
		i := bits.TrailingZeros32(w.supers) % BatchSize
		w.superPacket(x.records[i], &x.Segs[i])
	}
}

// superPacket counts a segment of record i that is several segments in one. How many is a matter of the
// connection's maximum segment size: what the receiver announced with its SYN, where that is known, else what the MTU
// allows, less the timestamps that each has (RFC 9293 section 3.7.1).
func (w *Worker) superPacket(i uint32, seg *parse.Segment) {
	mss := w.superAbove
	if w.optional {
		if announced := w.table.Optional(i).MSS(seg.Dir() ^ 1); announced > timestampsLen {
			mss = min(mss, announced)
		}
	}
	if seg.Flags&parse.Timestamped != 0 && mss > timestampsLen {
		mss -= timestampsLen
	}
	w.Counters.SuperPackets++
	w.Counters.SuperSegments += (uint64(seg.Len) + uint64(mss) - 1) / uint64(max(mss, 1))
}
