package table

import "tcp-stream-exporter/parse"

// Lookup is one packet's way to its record.
type Lookup struct {
	Key   Key
	Hash  uint64
	Dir   uint32 // the packet's direction, 0 or 1
	Index uint32 // of the connection's record, or Absent
}

// Absent is the Lookup.Index of a connection that is not in the table.
const Absent = ^uint32(0)

// Prepare fills in the key, hash and direction of each segment's look-up, and loads the group
// where it starts. Doing so for a batch of packets before looking any of them up lets their cache
// misses overlap. l must not be shorter than segs.
func (t *Table) Prepare(segs []parse.Segment, l []Lookup) {
	sum := uint64(0)
	l = l[:len(segs)]
	seeds, groups, mask := t.seeds, t.groups, t.mask
	for i := range segs {
		p, seg := &l[i], &segs[i]
		if src, dst, ok := narrow(seg); ok {
			p.Dir = p.Key.set(src, dst)
			p.Hash = seeds.narrow(min(src, dst), max(src, dst))
		} else {
			p.Dir = keyOf6(seg, &p.Key)
			p.Hash = seeds.hash(&p.Key)
		}
		sum += groups[p.Hash&mask].ctrl
	}
	t.touched += sum
}

// FindAll finds the records of a prepared batch.
func (t *Table) FindAll(l []Lookup) {
	// First load what most look-ups will need, the whole record behind the first slot whose control
	// byte matches, without waiting for any of it: no comparison, no branch. Where none matches it
	// is the first slot's, empty or not, which the keys tell apart below.
	sum := uint64(0)
	groups, mask, records := t.groups, t.mask, t.records
	for i := range l {
		p := &l[i]
		g := &groups[p.Hash&mask]
		p.Index = g.slots[first(match(g.ctrl, h2(p.Hash)))]
		r := &records[p.Index]
		sum += uint64(r.Key.Ports) + r.Touch()
	}
	t.touched += sum
	for i := range l {
		p := &l[i]
		if !records[p.Index].Key.same(&p.Key) {
			var ok bool
			if p.Index, ok = t.Find(&p.Key, p.Hash); !ok {
				p.Index = Absent
			}
		}
	}
}
