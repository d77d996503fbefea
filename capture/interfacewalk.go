package capture

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/worker"
)

// interfaceWalk is a walk for a worker that tells connections apart by interfaces, which are numbered, and by nothing
// else: the usual capture on several. Frames of one interface often come one behind another, and what is known of it is
// asked for at the first of them.
type interfaceWalk walk

// noIndex is the index of no interface.
const noIndex = -1

// Gather is walk's, gives every flow its identity, and passes over frames of interfaces without a number.
//
//go:noinline
func (at *interfaceWalk) Gather(to *worker.Batch) (n uint) {
	w, b, off, left := at.worker, &at.blk, at.off, at.left
	for n < worker.BatchSize && left != 0 {
		f, next := b.At(off)
		if next == 0 {
			b.Stop()
			break
		}
		this := off
		off = next
		left--
		if index := f.IfIndex(); index != at.index {
			at.begin(index, f.Hatype())
		}
		if at.number == 0 || f.PktType() == packetOutgoing && at.hatype == arphrdLoopback {
			at.passOver()
			continue
		}
		to.Times[n] = f.Time()
		seg := &to.Segs[n]
		if parse.Ordinary(at.link, f.Data, f.WireLen(), seg) {
			seg.Identify(at.number)
			to.Hashes[n] = w.HashIdentified(&seg.Flow)
			n++
		} else if at.decode(this, to, n) {
			n++
		}
	}
	at.off, at.left = off, left
	return n
}

// begin notes the interface of the frames that come.
//
//go:noinline
func (at *interfaceWalk) begin(index int32, hatype uint16) {
	at.index, at.hatype = index, hatype
	at.number, at.link = uint32(at.interfaces.number(index)), parse.LinkFromARPHRD(hatype)
}

// passOver counts a frame that is not accounted.
//
//go:noinline
func (at *interfaceWalk) passOver() {
	if at.number == 0 {
		at.worker.Counters.Unselected++
	} else {
		at.worker.Counters.Copies++
	}
}

// decode has the worker decode the frame at off, where there must be one.
//
//go:noinline
func (at *interfaceWalk) decode(off uint64, to *worker.Batch, n uint) bool {
	f, _ := at.blk.At(off)
	return at.worker.DecodeSeen(at.link, f.Data, f.WireLen(), worker.Sight{IfIndex: int32(at.number)}, to, n)
}
