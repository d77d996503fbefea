package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// BatchSize is how many segments FindAll takes at most: each has a bit in the words of Found.
const BatchSize = 32

// Found tells what FindAll or Match has found of a batch. Bit i stands for segment i.
type Found struct {
	// Data are those with payload and Bare those without, of connections that were found. The others
	// are new to the table, or of the few whose slot only Find tells; all segments of a connection
	// are found, or none.
	Data, Bare uint32
	// After are those of Data whose connection has one of Bare before them in the batch.
	After uint32
}

// fewEntries are how many entries' groups and hot lines stay near the processor: a quarter of a megabyte
// of groups.
const fewEntries = 4096

// Small says that the table has so few entries that fetching anything long before its use gains nothing.
func (t *Table) Small() bool { return t.Len() <= fewEntries }

// FindAll looks up a batch of segments, at most BatchSize, by their hashes, and sets the record indices of
// those that it finds. hashes and indices must not be shorter than segs.
//
// Short loops, so that the cache misses of all packets overlap, first those on the groups, then those
// on the records; in all but the last nothing waits for a load and there is no branch. Who has the next
// batches at hand already does better to prefetch for them, and to call Locate and Match himself.
func (t *Table) FindAll(segs []parse.Segment, hashes []uint64, indices []uint32) Found {
	hashes, indices = hashes[:len(segs)], indices[:len(segs)]
	if !t.Small() {
		t.PrefetchGroups(hashes)
	}
	t.Locate(hashes, indices)
	t.prefetchAll(indices)
	return t.Match(segs, indices)
}

// Locate sets each index to the record behind the first slot whose control byte matches, or where
// none does behind the last slot, empty or not: most look-ups end there, and Match tells the others
// apart. indices must not be shorter than hashes.
//
// Not inlined, as the next, so that with the profile that the program is built with what they call is.
//
//go:noinline
func (t *Table) Locate(hashes []uint64, indices []uint32) {
	indices = indices[:len(hashes)]
	for i, h := range hashes {
		g := t.group(h)
		indices[i] = g.slots[first(matchFirst(g.ctrl, h2(h)))]
	}
}

// Match tells which segments of a batch, at most BatchSize, belong to the records that Locate has given
// for them. The table may have changed since then: a connection that has come meanwhile is among those
// not found, and one that has gone is not found either.
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
