package capture

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// walk hands the frames of ring blocks to a worker. It is the worker.Source of the block that is walked: where in it
// the next frame is, and how many are left.
type walk struct {
	worker *worker.Worker
	blk    ring.Block // a copy: a pointer would put each block on the heap
	off    uint64
	left   uint32

	hatype uint16     // hardware type of the latest frame's interface
	link   parse.Link // what its frames start with
	fast   parse.Link // the same; LinkUnknown where decode has more to do than to decode

	interfaces *Interfaces // nil: one is captured
}

// use has frames of several interfaces told apart by s from here on.
func (at *walk) use(s *Interfaces) {
	if s != at.interfaces {
		at.interfaces = s
		at.begin(at.hatype)
	}
}

// block accounts every frame of b. mono and real are as in worker.Account.
func (at *walk) block(b *ring.Block, mono, real int64) {
	at.blk = *b
	at.off, at.left = at.blk.Start()
	frames := at.left
	at.worker.Account(at, mono, real)
	count := &at.worker.Counters
	count.Packets += uint64(frames - at.left)
	count.Blocks++
	if at.blk.TimedOut() {
		count.TimedOut++
	}
	if at.blk.Bad() {
		count.BadBlocks++
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
			at.begin(hatype)
		}
		if f.PktType() == packetOutgoing && hatype == arphrdLoopback {
			w.Counters.Copies++
			continue
		}
		to.Times[n] = f.Time()
		seg := &to.Segs[n]
		if parse.Ordinary(at.fast, f.Data, f.WireLen(), seg) {
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

// begin tells of the first frame from an interface of another hardware type. Where the interface of a frame matters no
// frame takes the fast path: so the others pay nothing for it.
//
//go:noinline
func (at *walk) begin(hatype uint16) {
	at.hatype, at.link = hatype, parse.LinkFromARPHRD(hatype)
	if at.fast = at.link; at.worker.Identifies() || at.interfaces != nil && at.interfaces.strict {
		at.fast = parse.LinkUnknown
	}
}

// decode has the worker decode the frame at off, where there must be one.
//
//go:noinline
func (at *walk) decode(off uint64, to *worker.Batch, n uint) bool {
	f, _ := at.blk.At(off)
	number := uint32(max(f.IfIndex(), 0)) // its index, where nobody has numbered them
	if at.interfaces != nil {
		if number = at.interfaces.number(f.IfIndex()); number == 0 && (at.interfaces.strict || at.worker.Identifies()) {
			at.worker.Counters.Unselected++
			return false
		}
	}
	if at.worker.Identifies() {
		return at.worker.DecodeSeen(at.link, f.Data, f.WireLen(), worker.Sight{IfIndex: int32(number), Outer: outerVLAN(f)}, to, n)
	}
	return at.worker.Decode(at.link, f.Data, f.WireLen(), to, n)
}

// outerVLAN returns what the kernel has taken off a frame: it hands the outer tag over in the frame's header (tp_vlan_tci
// in linux/if_packet.h, prb_fill_vlan_info in net/packet/af_packet.c). A frame that is sent by a card that does not
// insert tags has it among its bytes.
func outerVLAN(f ring.Frame) parse.VLANs {
	if f.Status()&ring.StatusVLANValid == 0 {
		return 0
	}
	tci, _ := f.VLAN()
	return parse.VLANs(0).Push(tci)
}
