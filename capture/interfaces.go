package capture

import "math/bits"

// Interfaces numbers the interfaces of a capture on several, by their indices. It is a hash table with linear probing,
// at most half full, made once and read by all workers: indices are dense enough for no key to be far from its place,
// and the kernel alone gives them out.
type Interfaces struct {
	entries []entry
	shift   int
	strict  bool
}

type entry struct {
	index  int32 // 0: none
	number int32
}

// NewInterfaces returns what has the given numbers, above 0, by index. Strict has frames of all other interfaces passed
// over: for a kernel filter that lets them through. Where workers tell connections apart by interface they are passed
// over anyway, as they have no number.
func NewInterfaces(numbers map[int]int32, strict bool) *Interfaces {
	size := bits.Len(uint(2*len(numbers)) | 1)
	s := &Interfaces{entries: make([]entry, 1<<size), shift: 64 - size, strict: strict}
	for index, number := range numbers {
		at := s.find(int32(index))
		s.entries[at] = entry{int32(index), number}
	}
	return s
}

// number returns an interface's number, 0 if it has none.
func (s *Interfaces) number(index int32) int32 { return s.entries[s.find(index)].number }

// find returns where index is, or would be.
func (s *Interfaces) find(index int32) uint64 {
	const golden = 0x9e3779b97f4a7c15 // Knuth's multiplicative hash: neighbours are far apart
	mask := uint64(len(s.entries) - 1)
	at := uint64(uint32(index)) * golden >> s.shift
	for s.entries[at&mask].index != 0 && s.entries[at&mask].index != index {
		at++
	}
	return at & mask
}
