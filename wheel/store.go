package wheel

// chunkLen is the number of indices in a full chunk: with its header 128 bytes, two cache lines that the
// processor's adjacent-line prefetch brings in together.
const chunkLen = 30

// chunk holds a piece of a list of indices. Only the first chunk of a list may be partly filled.
type chunk struct {
	next  uint32 // the list's next chunk, or the next free one; 0 ends both
	list  uint16 // the list that this chunk belongs to
	count uint16 // indices in use, 1 to chunkLen while in a list
	index [chunkLen]uint32
}

// store holds indices in one list per place. Lists are made of chunks from one pool:
//
//	place ── listOf ──► list ── head ──► chunk ── next ──► chunk ── next ──► 0
//	place ◄─ placeOf ── list ◄─ list ─── each of its chunks
//	index ───────────── pos ───────────► its entry in a chunk
//
// pos leads from an index to its entry, so an entry is removed in O(1) and none is ever stale.
type store struct {
	chunks []chunk // chunk 0 is not used: 0 means none
	// pos holds the entry of each index: chunk<<5 | entry in the chunk. 0 means not armed.
	pos []uint32

	free  uint32 // first chunk of the free list, 0 if it is empty
	fresh uint32 // chunks from here on were never used, so their memory was never touched

	// A place refers to its list by number, so that a slot's list becomes a due list by swapping two
	// numbers; chunks name their list and need no change.
	listOf  [places]uint16 // place → list
	placeOf [places]uint16 // list → place
	head    [places]uint32 // list → its first chunk, 0 if it is empty
}

const (
	posShift = 5
	posMask  = 1<<posShift - 1
)

// newStore returns a store for n indices. Every list has at most one partly filled chunk, so n/30 full ones
// and one for each place always suffice.
func newStore(n int) store {
	s := store{
		chunks: make([]chunk, 1+n/chunkLen+places),
		pos:    make([]uint32, n),
		fresh:  1,
	}
	for p := range s.listOf {
		s.listOf[p], s.placeOf[p] = uint16(p), uint16(p)
	}
	return s
}

// clear removes every index, at the cost of popping them.
func (s *store) clear() {
	for l, c := range s.head {
		for c != 0 {
			ch := &s.chunks[c]
			for _, i := range ch.index[:ch.count] {
				s.pos[i] = 0
			}
			next := ch.next
			ch.next, s.free = s.free, c
			c = next
		}
		s.head[l] = 0
	}
}

// placeHolding returns the place of index i, which is in a list.
func (s *store) placeHolding(i uint32) uint32 {
	return uint32(s.placeOf[s.chunks[s.pos[i]>>posShift].list])
}

// put adds index i, which is in no list, to the list of a place.
func (s *store) put(i, place uint32) {
	l := s.listOf[place]
	c := s.head[l]
	if c == 0 || s.chunks[c].count == chunkLen {
		c = s.grow(l)
	}
	ch := &s.chunks[c]
	ch.index[ch.count] = i
	s.pos[i] = c<<posShift | uint32(ch.count)
	ch.count++
}

// grow puts an empty chunk before list l and returns it. It takes the chunk that was freed last, which is the
// likeliest to be in the cache.
func (s *store) grow(l uint16) uint32 {
	c := s.free
	if c != 0 {
		s.free = s.chunks[c].next
	} else {
		c = s.fresh
		s.fresh++
	}
	ch := &s.chunks[c]
	ch.next, ch.list, ch.count = s.head[l], l, 0
	s.head[l] = c
	return c
}

// shrink frees the first chunk of list l, which has become empty, and reports whether the list is empty now.
func (s *store) shrink(l uint16) (empty bool) {
	c := s.head[l]
	ch := &s.chunks[c]
	s.head[l] = ch.next
	ch.next, s.free = s.free, c
	return s.head[l] == 0
}

// take removes index i, which is in a list: the last entry of the list's first chunk fills its
// gap. It returns the place, and whether that is empty now.
func (s *store) take(i uint32) (place uint32, empty bool) {
	at := s.pos[i]
	c := at >> posShift
	l := s.chunks[c].list
	first := &s.chunks[s.head[l]]
	first.count--
	last := first.index[first.count]
	s.chunks[c].index[at&posMask] = last
	s.pos[last] = at
	s.pos[i] = 0 // after the line above: last may be i
	if first.count == 0 {
		empty = s.shrink(l)
	}
	return uint32(s.placeOf[l]), empty
}

// pop removes indices, last in first out, from the list of a place that is not empty, until that is empty or
// out is full. It returns the number of indices in out, and whether the place is empty now.
func (s *store) pop(place uint32, out []uint32) (n int, empty bool) {
	l := s.listOf[place]
	for n < len(out) {
		ch := &s.chunks[s.head[l]]
		left := ch.count - uint16(min(int(ch.count), len(out)-n))
		popped := ch.index[left:ch.count]
		for _, i := range popped {
			s.pos[i] = 0
		}
		n += copy(out[n:], popped)
		ch.count = left
		if left == 0 && s.shrink(l) {
			return n, true
		}
	}
	return n, false
}

// swapLists exchanges the lists of two places.
func (s *store) swapLists(a, b uint32) {
	la, lb := s.listOf[a], s.listOf[b]
	s.listOf[a], s.listOf[b] = lb, la
	s.placeOf[la], s.placeOf[lb] = uint16(b), uint16(a)
}
