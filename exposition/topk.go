package exposition

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"

	"tcp-stream-exporter/stream"
)

// topK finds the k streams with the most bytes since the scrape before, whoever made that: all scrapers
// share one memory, which grows with the table of streams. It knows a stream by a 64-bit hash of its
// addresses, ports and origin. Two streams share one less often than once in a billion among 100,000 streams, and
// one of the two would then be ranked wrongly.
type topK struct {
	mu          sync.Mutex // held from begin to end
	k           int
	seed        maphash.Seed
	before, now seen
	best        []candidate // a heap: the least of them first
	chosen      []int
}

// candidate is a stream of a snapshot.
type candidate struct {
	fresh, bytes uint64 // payload since the scrape before, and of the stream's life
	index        int    // in Streams.Views
}

func newTopK(k int) topK { return topK{k: k, seed: maphash.MakeSeed()} }

// begin starts on a snapshot of n streams.
func (t *topK) begin(n int) {
	t.before, t.now = t.now, t.before
	t.now.clear(n)
	t.best = t.best[:0]
}

// note remembers a stream's bytes for the next scrape, and returns how many came since the scrape
// before. A connection that has come in the place of another one on the same ends counts from its own
// start if it has fewer bytes than the other one had.
func (t *topK) note(v *stream.View, wide []stream.Ends) uint64 {
	h := maphash.Comparable(t.seed, identityOf(v, wide))
	t.now.put(h, v.Bytes)
	if was := t.before.get(h); was <= v.Bytes {
		return v.Bytes - was
	}
	return v.Bytes
}

// offer takes c in among the best if it is one of them so far.
func (t *topK) offer(c candidate, s *Streams) {
	if len(t.best) < t.k {
		t.best = append(t.best, c)
		for i := len(t.best) - 1; i > 0; { // up
			up := (i - 1) / 2
			if !t.best[i].below(&t.best[up], s) {
				break
			}
			t.best[i], t.best[up] = t.best[up], t.best[i]
			i = up
		}
		return
	}
	if !t.best[0].below(&c, s) {
		return
	}
	t.best[0] = c
	for i := 0; ; { // down
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.best); child++ {
			if t.best[child].below(&t.best[least], s) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.best[i], t.best[least] = t.best[least], t.best[i]
		i = least
	}
}

// end returns the indexes of the best in the snapshot, in order.
func (t *topK) end() []int {
	t.chosen = t.chosen[:0]
	for _, c := range t.best {
		t.chosen = append(t.chosen, c.index)
	}
	t.best = t.best[:0]
	slices.Sort(t.chosen)
	return t.chosen
}

// below orders candidates: fewer bytes since the scrape before, fewer bytes at all, and then by
// addresses, ports and origins, so that of equal streams it is always the same ones.
func (c *candidate) below(d *candidate, s *Streams) bool {
	if c.fresh != d.fresh {
		return c.fresh < d.fresh
	}
	if c.bytes != d.bytes {
		return c.bytes < d.bytes
	}
	a, b := identityOf(&s.Views[c.index], s.Wide), identityOf(&s.Views[d.index], s.Wide)
	return cmp.Or(
		cmp.Compare(a.Src.Hi, b.Src.Hi), cmp.Compare(a.Src.Lo, b.Src.Lo), cmp.Compare(a.srcPort, b.srcPort),
		cmp.Compare(a.Dst.Hi, b.Dst.Hi), cmp.Compare(a.Dst.Lo, b.Dst.Lo), cmp.Compare(a.dstPort, b.dstPort),
		cmp.Compare(a.IfIndex, b.IfIndex), cmp.Compare(a.VLANs, b.VLANs),
	) < 0
}

// identity holds the addresses, ports and origin of a stream, which distinguish it from all others.
type identity struct {
	stream.Ends
	srcPort, dstPort uint16
}

func identityOf(v *stream.View, wide []stream.Ends) identity {
	return identity{v.Ends(wide), v.SrcPort, v.DstPort}
}

// seen is a table of bytes by hash, with open addressing. It takes 32 to 64 bytes for each stream of the
// snapshot that it was made for.
type seen struct {
	slots []struct{ hash, bytes uint64 } // hash 0: free
}

// clear empties the table, for n streams.
func (s *seen) clear(n int) {
	size := 1 << bits.Len(uint(2*n)) // at most half full
	if len(s.slots) == size {
		clear(s.slots)
		return
	}
	s.slots = make([]struct{ hash, bytes uint64 }, size)
}

func (s *seen) put(hash, bytes uint64) {
	i := s.find(hash)
	s.slots[i].hash, s.slots[i].bytes = hash|1, bytes
}

// get returns 0 for a hash that was not put.
func (s *seen) get(hash uint64) uint64 {
	if len(s.slots) == 0 {
		return 0
	}
	return s.slots[s.find(hash)].bytes
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
