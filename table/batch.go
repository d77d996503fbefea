package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// BatchSize is the most segments that FindAll and Match take: each has a bit in the words of Found.
const BatchSize = 32

// Found holds what FindAll or Match has found of a batch: bit i stands for segment i.
type Found struct {
	// Data has the segments with payload and Bare those without, of connections that were found. A
	// segment in neither is new to the table, or one of the few whose slot only Find returns. Of one
	// connection all segments are found, or none.
	Data, Bare uint32
	// After has the segments of Data that come behind one of Bare of the same connection, and by chance others of Data.
	After uint32
}

// fewEntries is the number of entries whose groups and hot lines stay near the processor: a quarter of a
// megabyte of groups.
const fewEntries = 4096

// Small reports whether the table has so few entries that to prefetch them gains nothing.
func (t *Table) Small() bool { return t.Len() <= fewEntries }

// FindAll looks up a batch of at most BatchSize segments by their hashes, and sets the record indices of
// those that it finds. hashes and indices must not be shorter than segs.
//
// It works in short loops so that the cache misses of all segments overlap, first those on the groups,
// then those on the records. No loop but the last waits for a load or branches. A caller that has the
// next batches at hand already gains more from prefetching for them and calling Locate and Match itself.
func (t *Table) FindAll(segs []parse.Segment, hashes []uint64, indices []uint32) Found {
	hashes, indices = hashes[:len(segs)], indices[:len(segs)]
	if !t.Small() {
		t.PrefetchGroups(hashes)
	}
	t.Locate(hashes, indices)
	t.prefetchAll(indices)
	return t.Match(segs, indices)
}

// Locate sets each index to the record of the first slot whose control byte matches, in the first group
// of the hash's probe sequence. Where none matches it takes the group's last slot, empty or not. Most
// look-ups end here; Match sorts out the others. indices must not be shorter than hashes.
//
// noinline: Locate and Match stay functions of their own, so that PGO inlines their callees into them.
//
//go:noinline
func (t *Table) Locate(hashes []uint64, indices []uint32) {
	indices = indices[:len(hashes)]
	for i, h := range hashes {
		g := t.group(h)
		indices[i] = g.slots[first(matchFirst(g.ctrl, h2(h)))]
	}
}

// Match returns which of at most BatchSize segments belong to the records that Locate has set for them.
// The table may have changed since then: connections that were inserted or removed meanwhile are not
// found.
//
//go:noinline
func (t *Table) Match(segs []parse.Segment, indices []uint32) Found {
	indices = indices[:len(segs)]
	t.batch++
	batch := t.batch
	// Bit 0 is the segment at hand, so that each word takes one instruction to go on. Without branches,
	// for which kind a segment is nothing foretells.
	var known, data, after uint32
	for i, index := range indices {
		seg, r := &segs[i], t.record(index)
		if !r.Key.Same(&seg.Flow) {
			known, data, after = known<<1, data<<1, after<<1
			continue
		}
		isData := -seg.Len >> 31 // 1, for no payload has 2^31 bytes
		known, data, after = known<<1+1, data<<1+isData, after<<1+r.Mark(batch, isData)
	}
	unused := BatchSize - uint(len(segs))
	known, data, after = bits.Reverse32(known)>>unused, bits.Reverse32(data)>>unused, bits.Reverse32(after)>>unused
	return Found{Data: data, Bare: known &^ data, After: after}
}
