package capture

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// seenWalk is a walk for a worker that tells connections apart by where they are seen, or is to pass over frames of some
// interfaces. It has a loop of its own, so that walk's is as short as before. To have every frame decoded the slow way
// instead took 100 to 170 instructions more (BenchmarkWorker/streams=1000 with -by-interface and -by-vlan, callgrind).
type seenWalk walk

// source returns the Source for at's worker.
func (at *walk) source() worker.Source {
	if at.interfaces != nil && at.worker.ByInterfaceAlone() {
		at.index = noIndex
		return (*interfaceWalk)(at)
	}
	if at.worker.Identifies() || at.interfaces != nil && at.interfaces.strict {
		return (*seenWalk)(at)
	}
	return at
}

// Gather is walk's, and gives every flow its identity.
//
//go:noinline
func (at *seenWalk) Gather(to *worker.Batch) (n uint) {
	w, b, off, left := at.worker, &at.blk, at.off, at.left
	for n < worker.BatchSize && left != 0 {
		f, next := b.At(off)
		if next == 0 {
			b.Stop()
			break
		}
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
		seen := worker.Sight{IfIndex: f.IfIndex(), Outer: outerVLAN(f)}
		if at.interfaces != nil {
			if seen.IfIndex = at.interfaces.number(seen.IfIndex); seen.IfIndex == 0 {
				w.Counters.Unselected++
				continue
			}
		}
		to.Times[n] = f.Time()
		seg := &to.Segs[n]
		if parse.Ordinary(at.link, f.Data, f.WireLen(), seg) { // which has no tag among its bytes
			to.Hashes[n] = w.Identify(&seg.Flow, seen)
			n++
		} else if w.DecodeSeen(at.link, f.Data, f.WireLen(), seen, to, n) {
			n++
		}
	}
	at.off, at.left = off, left
	return n
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
