package capture

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// walk hands the frames of ring blocks to a worker. It is the worker.Source of the block that is walked: where in it
// the next frame is, and how many are left. A worker that tells connections apart by where they are seen has another
// Source for it, seenWalk.
type walk struct {
	worker *worker.Worker
	blk    ring.Block // a copy: a pointer would put each block on the heap
	off    uint64
	left   uint32

	hatype uint16     // hardware type of the latest frame's interface
	link   parse.Link // what its frames start with

	interfaces *Interfaces // of a capture on several; nil: one is captured
	index      int32       // of the latest frame's interface, for interfaceWalk
	number     uint32      // that it has among interfaces; 0: none

	ahead aheadWalk // hands the frames on where batches overlap
}

// block accounts every frame of b. mono and real are as in worker.Account.
func (at *walk) block(b *ring.Block, mono, real int64) {
	at.blk = *b
	if at.blk.Losing() {
		at.worker.Lost()
	}
	at.off, at.left = at.blk.Start()
	frames := at.left
	from := at.source()
	if at.worker.Overlaps() {
		at.ahead = aheadWalk{walk: at, from: from, end: at.off}
		from = &at.ahead
	}
	at.worker.Account(from, mono, real)
	count := &at.worker.Counters
	count.Packets += uint64(frames - at.left)
	count.Blocks++
	if at.blk.TimedOut() {
		count.TimedOut++
	}
	if at.blk.Bad() {
		count.BadBlocks++
		at.worker.Lost()
	}
}

// Gather decodes frames into a batch until it is full or the block is at its end, or at an offset that
// cannot be right. It returns the number of segments, with the frames' own times.
//
// The way of a packet is some short loops, each in a function of its own: here, in package table and in
// package worker. What a loop needs fits the registers then, and with the profile that the program is
// built with the compiler puts what they call into them.
//
//go:noinline
func (at *walk) Gather(to *worker.Batch) (n uint) {
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
		hatype := f.Hatype()
		if hatype != at.hatype {
			at.hatype, at.link = hatype, parse.LinkFromARPHRD(hatype)
		}
		if f.PktType() == packetOutgoing && hatype == arphrdLoopback {
			w.Counters.Copies++
			continue
		}
		to.Times[n] = f.Time()
		seg := &to.Segs[n]
		if parse.Ordinary(at.link, f.Data, f.WireLen(), seg) {
			to.Hashes[n] = w.HashNarrow(&seg.Flow)
			n++
		} else if at.decode(this, to, n) {
			n++
		}
	}
	at.off, at.left = off, left
	return n
}

const (
	packetOutgoing = 4   // PACKET_OUTGOING, linux/if_packet.h
	arphrdLoopback = 772 // ARPHRD_LOOPBACK, linux/if_arp.h
)

// decode has the worker decode the frame at off, where there must be one.
//
//go:noinline
func (at *walk) decode(off uint64, to *worker.Batch, n uint) bool {
	f, _ := at.blk.At(off)
	return at.worker.Decode(at.link, f.Data, f.WireLen(), to, n)
}
