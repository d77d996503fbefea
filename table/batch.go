package table

import (
	"math/bits"

	"tcp-stream-exporter/parse"
)

// BatchSize is how many segments FindAll takes at most: each has a bit in the words of Found.
const BatchSize = 32

// Found tells what FindAll has found of a batch. Bit i stands for segment i.
type Found struct {
	// Data are those with payload and Bare those without, of connections that were found. The others
	// are new to the table, or of the few whose slot only Find tells; all segments of a connection
	// are found, or none.
	Data, Bare uint32
	// After are those of Data whose connection has one of Bare before them in the batch.
	After uint32
}

// fewEntries are how many entries' groups stay in the second-level cache, so that loading them ahead of
// their use gains nothing: a quarter of a megabyte.
const fewEntries = 4096

// FindAll looks up a batch of segments, at most BatchSize, by their hashes, and sets the record indices of
// those that it finds. hashes and indices must not be shorter than segs.
//
// Three loops, so that the cache misses of all packets overlap, first those on the groups, then those
// on the records; in the first two nothing waits for a load and there is no branch.
//
// Not inlined, so that with the profile that the program is built with what it calls is.
//
//go:noinline
func (t *Table) FindAll(segs []parse.Segment, hashes []uint64, indices []uint32) Found {
	hashes, indices = hashes[:len(segs)], indices[:len(segs)]
	if t.Len() > fewEntries {
		t.touchGroups(hashes)
	}
	t.locate(hashes, indices)
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

// touchGroups loads the groups that the batch's look-ups begin with.
func (t *Table) touchGroups(hashes []uint64) {
	sum := uint64(0)
	for _, h := range hashes {
		sum += t.group(h).ctrl
	}
	t.touched += sum
}

// locate sets each index to the record behind the first slot whose control byte matches, or where
// none does behind the last slot, empty or not: most look-ups end there, and the keys tell the
// others apart. It loads the records that it comes to.
func (t *Table) locate(hashes []uint64, indices []uint32) {
	sum := uint64(0)
	indices = indices[:len(hashes)]
	for i, h := range hashes {
		g := t.group(h)
		index := g.slots[first(matchFirst(g.ctrl, h2(h)))]
		indices[i] = index
		sum += t.record(index).Touch()
	}
	t.touched += sum
}
