package worker

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// MaxOrigins is how many combinations of an interface and VLANs are told apart at a time, in 0.3 MB of memory.
const MaxOrigins = 1<<14 - 1

// sweepEvery is how far apart two sweeps are at least, in ns: each looks at all numbers, some 0.1 ms of work.
const sweepEvery = int64(time.Second)

// origins numbers combinations of an interface's index and VLANs, because both together do not fit the 30 bits of an
// identity. It is a hash table of fixed size with linear probing, at most half full.
//
// Interfaces come and go, and so do VLANs: a number is taken back when no connection of the table has it. Frames on
// their way to the table have theirs from the same turn, which a sweep leaves alone. What finds no number has
// sharedIdentity.
//
// A nil *origins is that of a worker that needs no numbers. Not safe for concurrent use.
type origins struct {
	keys  []uint64 // by number: what it stands for; 0: nothing. Number 0 is that of key 0
	uses  []uint32 // by number: connections in the table
	turns []uint32 // by number: the turn in which it was last asked for
	free  []uint16 // numbers to give out, the last one first
	slots []uint16 // the hash table, of numbers; 0: empty
	seeds [2]uint64

	turn         uint32
	now, sweptAt int64 // ns
}

// newOrigins returns origins with n numbers, from 1 to n, below 2^16.
func newOrigins(n int) (*origins, error) {
	var b [16]byte
	if _, err := crand.Read(b[:]); err != nil { // secret, or a sender of VLAN tags could choose long probes
		return nil, fmt.Errorf("drawing hash seeds: %w", err)
	}
	o := &origins{
		keys: make([]uint64, n+1), uses: make([]uint32, n+1), turns: make([]uint32, n+1), free: make([]uint16, 0, n),
		slots: make([]uint16, 1<<bits.Len(uint(2*n-1))),
		seeds: [2]uint64{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])},
		now:   math.MinInt64, sweptAt: math.MinInt64,
	}
	for i := n; i > 0; i-- {
		o.free = append(o.free, uint16(i))
	}
	return o, nil
}

// turnBegins tells that no frame is on its way to the table. now is the time in ns.
func (o *origins) turnBegins(now int64) {
	if o != nil {
		o.turn++
		o.now = now
	}
}

// number returns the number of key, which has one from now on, or sharedIdentity if none is left.
func (o *origins) number(key uint64) uint32 {
	if key == 0 {
		return 0
	}
	at := o.find(key)
	n := o.slots[at]
	if n == 0 {
		if len(o.free) <= len(o.keys)/4 && (o.sweptAt == math.MinInt64 || o.now-o.sweptAt >= sweepEvery) {
			o.sweep()
			at = o.find(key)
		}
		if len(o.free) == 0 {
			return sharedIdentity
		}
		n = o.free[len(o.free)-1]
		o.free = o.free[:len(o.free)-1]
		o.slots[at], o.keys[n] = n, key
	}
	o.turns[n] = o.turn
	return uint32(n)
}

// find returns the slot that has key's number, or the empty one where it would be.
func (o *origins) find(key uint64) uint64 {
	mask := uint64(len(o.slots) - 1)
	hi, lo := bits.Mul64(key^o.seeds[0], o.seeds[1]|1)
	for at := (hi ^ lo) & mask; ; at = (at + 1) & mask {
		if n := o.slots[at]; n == 0 || o.keys[n] == key {
			return at
		}
	}
}

// sweep takes back the numbers that nothing has.
func (o *origins) sweep() {
	o.sweptAt = o.now
	clear(o.slots)
	for n := 1; n < len(o.keys); n++ {
		switch key := o.keys[n]; {
		case key == 0:
		case o.uses[n] == 0 && o.turns[n] != o.turn:
			o.keys[n] = 0
			o.free = append(o.free, uint16(n)) // which has room for all
		default:
			o.slots[o.find(key)] = uint16(n)
		}
	}
}

// hold tells of a connection that came into the table with identity id, release of one that left it.
func (o *origins) hold(id uint32) {
	if o != nil && id != sharedIdentity {
		o.uses[id]++
	}
}

func (o *origins) release(id uint32) {
	if o != nil && id != sharedIdentity {
		o.uses[id]--
	}
}
