package table

import "tcp-stream-exporter/parse"

// Lookup is one packet's way to its record.
type Lookup struct {
	Hash  uint64
	Index uint32 // of the connection's record, or Elsewhere
}

// Elsewhere is the Lookup.Index of a connection that is not in the first slot that it may be in:
// new to the table, or one of the few whose slot only Find tells.
const Elsewhere = ^uint32(0)

// fewRecords is how many records stay in the second-level cache, so that loading them ahead of
// their use gains nothing: half a megabyte.
const fewRecords = 1024

// FindAll looks up a batch of segments. l must not be shorter than segs, and hold their hashes.
//
// Not inlined, so that with the profile that the program is built with what it calls is.
//
//go:noinline
func (t *Table) FindAll(segs []parse.Segment, l []Lookup) {
	l = l[:len(segs)]
	if t.Len() > fewRecords {
		t.touchAll(l)
	}
	for i := range l {
		p, k := &l[i], &segs[i].Flow
		// The first slot whose control byte matches, or where none does the last slot, empty or
		// not: most look-ups end there, and the keys tell the others apart.
		g := t.group(p.Hash)
		index := g.slots[first(matchFirst(g.ctrl, h2(p.Hash)))]
		if !t.record(index).Key.Same(k) {
			index = Elsewhere
		}
		p.Index = index
	}
}

// touchAll loads what most look-ups and their accounting will need, without waiting for any of it:
// no comparison, no branch. The cache misses of all packets of a batch then overlap, first those on
// the groups, then those on the whole records behind the first slots that match.
func (t *Table) touchAll(l []Lookup) {
	sum := uint64(0)
	for i := range l {
		sum += t.group(l[i].Hash).ctrl
	}
	for i := range l {
		h := l[i].Hash
		g := t.group(h)
		r := t.record(g.slots[first(matchFirst(g.ctrl, h2(h)))])
		sum += r.Key.A.Lo + r.Touch()
	}
	t.touched += sum
}
