package collector

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"

	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// ranking finds the streams with the most bytes since the scrape before, whoever made it: one memory
// for all scrapers, which is of one size with the table of streams. It knows a stream by a 64-bit hash
// of its ends: that two streams share one is less likely than one in a billion among 100,000 streams,
// and would put one of them in a wrong place.
type ranking struct {
	mu          sync.Mutex // held from begin to end
	most        int
	seed        maphash.Seed
	before, now seen
	best        []candidate // a heap: the least of them first
	chosen      []int
}

// candidate is a stream of a snapshot.
type candidate struct {
	fresh, bytes uint64 // payload since the scrape before, and of the stream's life
	index        int
}

func newRanking(most int) ranking { return ranking{most: most, seed: maphash.MakeSeed()} }

// begin starts with a snapshot of n streams.
func (r *ranking) begin(n int) {
	r.before, r.now = r.now, r.before
	r.now.clear(n)
	r.best = r.best[:0]
}

// note remembers a stream's bytes for the next scrape, and returns how many came since the scrape
// before. A connection that has come in the place of another one on the same ends counts from its own
// start if it has fewer bytes than the other one had.
func (r *ranking) note(v *stream.View, wide []stream.Ends) uint64 {
	h := maphash.Comparable(r.seed, endsOf(v, wide))
	r.now.put(h, v.Bytes)
	if was := r.before.get(h); was <= v.Bytes {
		return v.Bytes - was
	}
	return v.Bytes
}

// offer takes c among the best if it is one of them so far.
func (r *ranking) offer(c candidate, s *worker.Snapshot) {
	if len(r.best) < r.most {
		r.best = append(r.best, c)
		for i := len(r.best) - 1; i > 0; { // up
			up := (i - 1) / 2
			if !r.best[i].below(&r.best[up], s) {
				break
			}
			r.best[i], r.best[up] = r.best[up], r.best[i]
			i = up
		}
		return
	}
	if !r.best[0].below(&c, s) {
		return
	}
	r.best[0] = c
	for i := 0; ; { // down
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(r.best); child++ {
			if r.best[child].below(&r.best[least], s) {
				least = child
			}
		}
		if least == i {
			return
		}
		r.best[i], r.best[least] = r.best[least], r.best[i]
		i = least
	}
}

// end returns the places of the best in the snapshot, in order.
func (r *ranking) end() []int {
	r.chosen = r.chosen[:0]
	for _, c := range r.best {
		r.chosen = append(r.chosen, c.index)
	}
	r.best = r.best[:0]
	slices.Sort(r.chosen)
	return r.chosen
}

// below orders candidates: fewer bytes since the scrape before, fewer bytes at all, and then by
// addresses and ports, so that of equal streams it is always the same ones.
func (c *candidate) below(d *candidate, s *worker.Snapshot) bool {
	if c.fresh != d.fresh {
		return c.fresh < d.fresh
	}
	if c.bytes != d.bytes {
		return c.bytes < d.bytes
	}
	a, b := endsOf(&s.Views[c.index], s.Wide), endsOf(&s.Views[d.index], s.Wide)
	return cmp.Or(
		cmp.Compare(a.Src.Hi, b.Src.Hi), cmp.Compare(a.Src.Lo, b.Src.Lo), cmp.Compare(a.srcPort, b.srcPort),
		cmp.Compare(a.Dst.Hi, b.Dst.Hi), cmp.Compare(a.Dst.Lo, b.Dst.Lo), cmp.Compare(a.dstPort, b.dstPort),
	) < 0
}

// identity is what tells streams apart: addresses and ports.
type identity struct {
	stream.Ends
	srcPort, dstPort uint16
}

func endsOf(v *stream.View, wide []stream.Ends) identity {
	return identity{v.Ends(wide), v.SrcPort, v.DstPort}
}

// seen is a table of bytes by hash, with open addressing: 32 to 64 bytes for each stream of the
// snapshot that it was made for.
type seen struct {
	slots []struct{ hash, bytes uint64 } // hash 0: free
}

// clear makes room for n.
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

// get is 0 for what was not put.
func (s *seen) get(hash uint64) uint64 {
	if len(s.slots) == 0 {
		return 0
	}
	return s.slots[s.find(hash)].bytes
}

// find is the slot of hash, or the free one where it would be.
func (s *seen) find(hash uint64) int {
	mask := len(s.slots) - 1
	for i := int(hash>>1) & mask; ; i = (i + 1) & mask {
		if h := s.slots[i].hash; h == hash|1 || h == 0 {
			return i
		}
	}
}
