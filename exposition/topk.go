package exposition

import (
	"cmp"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync"

	"tcp-stream-exporter/stream"
)

// topK finds the k streams that rank first, by what they had since the scrape before, whoever made that, where the figure
// is one that counts: all scrapers share one memory, which grows with the table of streams. It knows a stream by a 64-bit
// hash of its addresses, ports and origin. Two streams share one less often than once in a billion among 100,000 streams,
// and one of the two would then be ranked wrongly.
//
// A stream that was chosen stays until it ranks behind 2k, so that streams that change ranks at k do not come and go with
// each scrape: up to 2k are chosen.
type topK struct {
	mu          sync.Mutex // held from begin to end
	k           int
	order       Order
	seed        maphash.Seed
	before, now seen
	best        best[candidate] // 2k of them
	chosen      []int
	exported    seen // of the scrape before: the hashes of those that were chosen
}

// candidate is a stream of a snapshot.
type candidate struct {
	score, bytes uint64 // by the order; payload of the stream's life
	index        int    // in Streams.Views
}

func newTopK(k int, order Order) topK {
	return topK{k: min(k, math.MaxInt/2), order: order, seed: maphash.MakeSeed()}
}

// begin starts on a snapshot of n streams.
func (t *topK) begin(n int) {
	t.best.items = t.best.items[:0]
	if t.order.Counts() {
		t.before, t.now = t.now, t.before
		t.now.clear(n)
	}
}

func (t *topK) hash(v *stream.View, wide []stream.Ends) uint64 {
	return maphash.Comparable(t.seed, identityOf(v, wide))
}

// score returns by what a stream is ranked. A figure that counts is remembered for the next scrape, and what came since
// the scrape before is returned. A connection that has come in the place of another one on the same ends counts from its
// own start if it has less than the other one had.
func (t *topK) score(v *stream.View, wide []stream.Ends) uint64 {
	score := t.order.Score(v)
	if !t.order.Counts() {
		return score
	}
	h := t.hash(v, wide)
	t.now.put(h, score)
	if was := t.before.get(h); was <= score {
		return score - was
	}
	return score
}

// offer takes c in among the best if it is one of them so far.
func (t *topK) offer(c candidate, s *Streams) {
	t.best.offer(c, 2*t.k, func(a, b *candidate) bool { return a.below(b, s) })
}

// end returns the indexes of the chosen streams in the snapshot, in order.
func (t *topK) end(s *Streams) []int {
	all := t.best.items
	slices.SortFunc(all, func(a, b candidate) int {
		switch {
		case b.below(&a, s):
			return -1
		case a.below(&b, s):
			return 1
		}
		return 0
	})
	t.chosen = t.chosen[:0]
	for rank := range all {
		v := &s.Views[all[rank].index]
		if rank < t.k || t.exported.get(t.hash(v, s.Wide)) != 0 {
			t.chosen = append(t.chosen, all[rank].index)
		}
	}
	t.exported.clear(len(t.chosen))
	for _, i := range t.chosen {
		t.exported.put(t.hash(&s.Views[i], s.Wide), 1)
	}
	slices.Sort(t.chosen)
	return t.chosen
}

// below orders candidates: the lower score, fewer bytes at all, and then by addresses, ports and origins, so that of equal
// streams it is always the same ones.
func (c *candidate) below(d *candidate, s *Streams) bool {
	if c.score != d.score {
		return c.score < d.score
	}
	if c.bytes != d.bytes {
		return c.bytes < d.bytes
	}
	a, b := identityOf(&s.Views[c.index], s.Wide), identityOf(&s.Views[d.index], s.Wide)
	return a.compare(&b) < 0
}

// identity holds the addresses, ports and origin of a stream, which distinguish it from all others.
type identity struct {
	stream.Ends
	srcPort, dstPort uint16
}

func identityOf(v *stream.View, wide []stream.Ends) identity {
	return identity{v.Ends(wide), v.SrcPort, v.DstPort}
}

// compare orders identities by addresses, ports and origin.
func (a *identity) compare(b *identity) int {
	return cmp.Or(
		cmp.Compare(a.Src.Hi, b.Src.Hi), cmp.Compare(a.Src.Lo, b.Src.Lo), cmp.Compare(a.srcPort, b.srcPort),
		cmp.Compare(a.Dst.Hi, b.Dst.Hi), cmp.Compare(a.Dst.Lo, b.Dst.Lo), cmp.Compare(a.dstPort, b.dstPort),
		cmp.Compare(a.IfIndex, b.IfIndex), cmp.Compare(a.VLANs, b.VLANs),
	)
}

// seen is a table of figures by hash, with open addressing. It takes 32 to 64 bytes for each stream of the
// snapshot that it was made for.
type seen struct {
	slots []struct{ hash, figure uint64 } // hash 0: free
}

// clear empties the table, for n streams.
func (s *seen) clear(n int) {
	size := 1 << bits.Len(uint(2*n)) // at most half full
	if len(s.slots) == size {
		clear(s.slots)
		return
	}
	s.slots = make([]struct{ hash, figure uint64 }, size)
}

func (s *seen) put(hash, figure uint64) {
	i := s.find(hash)
	s.slots[i].hash, s.slots[i].figure = hash|1, figure
}

// get returns 0 for a hash that was not put.
func (s *seen) get(hash uint64) uint64 {
	if len(s.slots) == 0 {
		return 0
	}
	return s.slots[s.find(hash)].figure
}

// find returns the slot of hash, or the free one where it would be.
func (s *seen) find(hash uint64) int {
	mask := len(s.slots) - 1
	for i := int(hash>>1) & mask; ; i = (i + 1) & mask {
		if h := s.slots[i].hash; h == hash|1 || h == 0 {
			return i
		}
	}
}
