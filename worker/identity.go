package worker

import (
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

// Sight says where a frame was seen, beside what stands in it.
type Sight struct {
	IfIndex int32       // of the interface (sll_ifindex, packet(7)); 0: of none
	Outer   parse.VLANs // the tag that the kernel handed over beside the frame
}

// sharedIdentity is the identity of all flows whose origin has no number. No interface index, no VLANs and no number of
// an origin is as large.
const sharedIdentity = parse.MaxIdentity

// Identifies reports whether the worker tells connections apart by where they are seen: Config.ByInterface or
// Config.ByVLAN. Flows have an identity then, and segments come from DecodeSeen alone.
func (w *Worker) Identifies() bool { return w.byInterface || w.byVLAN }

// ByInterfaceAlone reports whether interfaces are all that it tells connections apart by. The identity of a flow is then
// the interface's number.
func (w *Worker) ByInterfaceAlone() bool { return w.byInterface && !w.byVLAN }

// HashIdentified returns the hash of a flow that is not wide and has an identity, for Batch.Hashes.
func (w *Worker) HashIdentified(f *parse.Flow) uint64 { return w.table.HashIdentified(f) }

// Identify gives a flow as parse.Ordinary leaves it, of a frame without a tag among its bytes, its identity, and returns
// its hash, for Batch.Hashes. It is for a worker that Identifies.
func (w *Worker) Identify(f *parse.Flow, seen Sight) (hash uint64) {
	vlans := parse.VLANs(0)
	if w.byVLAN {
		vlans = seen.Outer
	}
	id := w.identity(seen.IfIndex, vlans)
	if id == 0 {
		return w.table.HashNarrow(f)
	}
	f.SetIdentity(id)
	return w.table.HashIdentified(f)
}

// DecodeSeen is Decode for a worker that Identifies. VLAN tags count only before the outermost IP packet, not in an
// encapsulation.
//
//go:noinline
func (w *Worker) DecodeSeen(link parse.Link, data []byte, wireLen uint32, seen Sight, to *Batch, n uint) bool {
	seg := &to.Segs[n%BatchSize]
	if why := w.decoder.Frame(link, data, wireLen, seg); why != parse.OK {
		w.Counters.Skipped[why%parse.NumReasons]++
		return false
	}
	vlans := parse.VLANs(0)
	if w.byVLAN {
		vlans = parse.FrameVLANs(link, data, seen.Outer)
	}
	seg.SetIdentity(w.identity(seen.IfIndex, vlans))
	to.Hashes[n%BatchSize] = w.table.Hash(&seg.Flow)
	if w.isHidden(&seg.Flow) {
		w.hide(to, n)
	}
	return true
}

// identity returns what flows seen there have beside their addresses and ports:
//
//	by interface         the interface's index
//	by VLAN              the VLANs
//	by both              the number of the two together
//	without a VLAN tag,
//	seen nowhere         0
func (w *Worker) identity(ifIndex int32, vlans parse.VLANs) (id uint32) {
	switch {
	case !w.byInterface:
		return uint32(vlans) // below sharedIdentity
	case !w.byVLAN:
		id = min(uint32(max(ifIndex, 0)), sharedIdentity)
	default:
		id = w.origins.number(uint64(max(ifIndex, 0))<<parse.VLANBits | uint64(vlans))
	}
	if id == sharedIdentity {
		w.Counters.SharedOrigin++
	}
	return id
}

// originOf returns what an identity stands for. One of interface and VLANs together keeps its meaning for as long as
// the table has a connection of it, or the frame that it was made for is not accounted.
func (w *Worker) originOf(id uint32) stream.Origin {
	switch {
	case !w.byInterface:
		return stream.Origin{VLANs: parse.VLANs(id)}
	case id == sharedIdentity:
		return stream.Origin{Shared: true}
	case !w.byVLAN:
		return stream.Origin{IfIndex: id}
	}
	key := w.origins.keys[id]
	return stream.Origin{IfIndex: uint32(key >> parse.VLANBits), VLANs: parse.VLANs(key & (1<<parse.VLANBits - 1))}
}
