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
	for i := range segs {
		p := &l[i]
		p.Dir = KeyOf(&segs[i], &p.Key)
		p.Hash = t.seeds.hash(&p.Key)
		sum += t.groups[p.Hash&t.mask].ctrl
	}
	t.touched += sum
}

// FindAll finds the records of a prepared batch, and loads the cache lines that accounting will
// need, again so that the misses overlap.
func (t *Table) FindAll(l []Lookup) {
	sum := uint64(0)
	for i := range l {
		p := &l[i]
		// Most look-ups end at the first slot whose control byte matches.
		g := &t.groups[p.Hash&t.mask]
		m := match(g.ctrl, h2(p.Hash))
		index := g.slots[first(m)]
		if m == 0 || !t.records[index].Key.same(&p.Key) {
			var ok bool
			if index, ok = t.Find(&p.Key, p.Hash); !ok {
				p.Index = Absent
				continue
			}
		}
		p.Index = index
		sum += t.records[index].Touch(p.Dir)
	}
	t.touched += sum
}
