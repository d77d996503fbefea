package worker

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"tcp-stream-exporter/group"
)

// combinations numbers group.Keys, from 0 up, in the order in which they come. It is a hash table of fixed size with
// linear probing, at most half full. A number stays its key's: counters outlive the connections and the groups that they
// were of. Number 0 is that of the zero Key.
//
// Those of which a group is a subnet have room of their own, so that a scan of many subnets takes none of the others'.
type combinations struct {
	keys     []group.Key // by number
	slots    []uint32    // the hash table, of numbers plus 1; 0: empty
	seed     maphash.Seed
	used     [2]int // without and with subnets
	capacity [2]int
	count    atomic.Uint32 // len(keys), for readers on other goroutines
}

// newCombinations returns combinations with room for plain ones, at least 1, and for subnets more with subnets.
func newCombinations(plain, subnets int) *combinations {
	n := plain + subnets
	c := &combinations{
		keys: make([]group.Key, 0, n), slots: make([]uint32, 1<<bits.Len(uint(2*n-1))), seed: maphash.MakeSeed(),
		capacity: [2]int{plain, subnets},
	}
	c.number(group.Key{})
	return c
}

// find returns the slot that has k's number, or the empty one where it would be.
func (c *combinations) find(k group.Key) uint64 {
	mask := uint64(len(c.slots) - 1)
	for at := maphash.Comparable(c.seed, k) & mask; ; at = (at + 1) & mask {
		if n := c.slots[at]; n == 0 || c.keys[n-1] == k {
			return at
		}
	}
}

// number returns the number of k, which has one from now on. Where there is no room it reports false, with the number
// of the same service and interface between other groups, if that has one, and else 0.
func (c *combinations) number(k group.Key) (n uint32, ok bool) {
	at := c.find(k)
	if n := c.slots[at]; n != 0 {
		return n - 1, true
	}
	kind := 0
	if k.Client.Bits != 0 || k.Server.Bits != 0 {
		kind = 1
	}
	if c.used[kind] < c.capacity[kind] {
		c.used[kind]++
		c.keys = append(c.keys, k) // which has room for all
		c.slots[at] = uint32(len(c.keys))
		c.count.Store(uint32(len(c.keys)))
		return c.slots[at] - 1, true
	}
	if n := c.slots[c.find(group.Key{Service: k.Service, Interface: k.Interface})]; n != 0 {
		return n - 1, false
	}
	return 0, false
}
