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

// Prepare fills in the key, hash and direction of each segment's look-up. l must not be shorter
// than segs.
func (t *Table) Prepare(segs []parse.Segment, l []Lookup) {
	l = l[:len(segs)]
	seeds := t.seeds
	for i := range segs {
		p, seg := &l[i], &segs[i]
		if src, dst, ok := narrow(seg); ok {
			p.Dir = p.Key.set(src, dst)
			p.Hash = seeds.narrow(min(src, dst), max(src, dst))
		} else {
			p.Dir = keyOf6(seg, &p.Key)
			p.Hash = seeds.hash(&p.Key)
		}
	}
}

// fewRecords is how many records stay in the second-level cache, so that loading them ahead of
// their use gains nothing: half a megabyte.
const fewRecords = 1024

// FindAll finds the records of a prepared batch.
func (t *Table) FindAll(l []Lookup) {
	groups, mask, records := t.groups, t.mask, t.records
	if t.Len() > fewRecords {
		t.touchAll(l)
	}
	for i := range l {
		p := &l[i]
		// The first slot whose control byte matches, or where none does the first slot, empty or
		// not: most look-ups end there, and the keys tell the others apart.
		g := &groups[p.Hash&mask]
		index := g.slots[first(match(g.ctrl, h2(p.Hash)))]
		if !records[index].Key.same(&p.Key) {
			var ok bool
			if index, ok = t.Find(&p.Key, p.Hash); !ok {
				index = Absent
			}
		}
		p.Index = index
	}
}

// touchAll loads what most look-ups and their accounting will need, without waiting for any of it:
// no comparison, no branch. The cache misses of all packets of a batch then overlap, first those on
// the groups, then those on the whole records behind the first slots that match.
func (t *Table) touchAll(l []Lookup) {
	groups, mask, records := t.groups, t.mask, t.records
	sum := uint64(0)
	for i := range l {
		sum += groups[l[i].Hash&mask].ctrl
	}
	for i := range l {
		h := l[i].Hash
		g := &groups[h&mask]
		r := &records[g.slots[first(match(g.ctrl, h2(h)))]]
		sum += uint64(r.Key.Ports) + r.Touch()
	}
	t.touched += sum
}
