package table

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"tcp-stream-exporter/stream"
)

// MaxConnections is the largest capacity of a table: 2^26, and 2^20 where addresses have 32 bits. There
// the records, and what two readers copy of them, take 1.4 GB of the 3 that a process has.
const MaxConnections = 1 << (20 + 6*(^uint(0)>>63))

// Table maps connection keys to records. Not safe for concurrent use.
type Table struct {
	groups  []group
	mask    uint64 // len(groups)-1
	group0  *group // groups[0]
	record0 *Record
	records []Record
	free    []uint32 // indices to use again, last in, first out: their pages are warm
	used    uint32   // records 0 to used-1 have been used at least once
	seeds   Seeds
	slab    mapping
	index   mapping

	optionals   []stream.Optional // see KeepOptional
	optionalMem mapping

	checks checks // of builds with the tag invariants
	batch  uint8  // number of the latest Match
}

// New returns an empty table for n connections, 1 to MaxConnections, with random seeds.
func New(n int) (*Table, error) {
	var b [len(Seeds{}) * 8]byte
	if _, err := crand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("drawing hash seeds: %w", err)
	}
	var seeds Seeds
	for i := range seeds {
		seeds[i] = binary.NativeEndian.Uint64(b[i*8:])
	}
	return newSeeded(n, seeds)
}

// newSeeded is New with given seeds. A table with known seeds can be attacked.
func newSeeded(n int, seeds Seeds) (*Table, error) {
	if n < 1 || n > MaxConnections {
		return nil, fmt.Errorf("%d connections: want 1 to %d", n, MaxConnections)
	}
	// Between a third and two thirds of the slots are in use when the table is full: with eight
	// slots to a group few entries then move past their own group.
	groups := 1 << bits.Len(uint((n*3/2-1)/groupSlots))
	t := &Table{mask: uint64(groups - 1), free: make([]uint32, 0, n), seeds: seeds}
	var err error
	if t.records, t.slab, err = newSlab(n); err != nil {
		return nil, err
	}
	if t.groups, t.index, err = newGroups(groups); err != nil {
		t.Close()
		return nil, err
	}
	t.group0, t.record0 = &t.groups[0], &t.records[0]
	t.records[0].Key = noKey // what empty slots point to
	return t, nil
}

// Close unmaps the memory. The table and every *Record are unusable after it.
func (t *Table) Close() error {
	slab, index, optionals := t.slab, t.index, t.optionalMem
	t.slab, t.records, t.index, t.groups, t.group0, t.record0 = nil, nil, nil, nil, nil, nil
	t.optionalMem, t.optionals = nil, nil
	return errors.Join(slab.free(), index.free(), optionals.free())
}

// Len returns the number of connections in the table, Cap its capacity.
func (t *Table) Len() int { return int(t.used) - len(t.free) }
func (t *Table) Cap() int { return len(t.records) }

// Used returns a bound on indices: records from Used on were never in use, and are untouched memory.
func (t *Table) Used() int { return int(t.used) }

// At returns the record with index i, as Find or Insert has given it.
func (t *Table) At(i uint32) *Record { return &t.records[i] }

// AtUnchecked is At without the bounds check, for an index that FindAll or Match has found.
func (t *Table) AtUnchecked(i uint32) *Record { return t.record(i) }

// Hash returns k's hash for Find and Insert.
func (t *Table) Hash(k *Key) uint64 {
	switch {
	case k.Plain():
		return t.seeds.narrow(k)
	case !k.Wide():
		return t.seeds.identified(k)
	}
	return t.seeds.wide(k)
}

// HashIdentified is Hash for a key with an identity that is not wide.
func (t *Table) HashIdentified(k *Key) uint64 { return t.seeds.identified(k) }

// HashNarrow is Hash for a plain key, not wide and without an identity, which it does not check.
func (t *Table) HashNarrow(k *Key) uint64 { return t.seeds.narrow(k) }

// Find returns the index of k's record. h is k's hash.
func (t *Table) Find(k *Key, h uint64) (i uint32, ok bool) {
	want := h2(h)
	at := h
	// Triangular steps visit every group once, their number being a power of two.
	for step := uint64(1); step <= t.mask+1; step++ {
		g := &t.groups[at&t.mask]
		for m := match(g.ctrl, want); m != 0; m &= m - 1 {
			i := g.slots[first(m)]
			if t.records[i].Key.Same(k) {
				return i, true
			}
		}
		if g.overflow == 0 {
			return 0, false
		}
		at += step
	}
	return 0, false
}

// Insert adds k, which must not be in the table, with an empty record, and returns its index. h is k's
// hash. It reports false when every record is in use.
func (t *Table) Insert(k *Key, h uint64) (i uint32, ok bool) {
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else if int(t.used) < len(t.records) {
		i = t.used
		t.used++
	} else {
		return 0, false
	}
	at := h
	for step := uint64(1); ; step++ { // ends: there are more slots than records
		g := &t.groups[at&t.mask]
		if m := empties(g.ctrl); m != 0 {
			s := first(m)
			g.slots[s] = i
			g.ctrl |= (h>>57 | 0x80) << (8 * s)
			break
		}
		g.overflow++
		at += step
	}
	r := &t.records[i]
	r.Key = k.Conn()
	r.Reset()
	if checking {
		t.checkInvariants(i, h)
	}
	return i, true
}

// Remove takes the connection with record index i out of the table; its record must not be used again.
// It does nothing for an index that is not in the table.
func (t *Table) Remove(i uint32) {
	r := &t.records[i]
	h := t.Hash(&r.Key)
	want := h2(h)
	at := h
	for step := uint64(1); step <= t.mask+1; step++ {
		g := &t.groups[at&t.mask]
		for m := match(g.ctrl, want); m != 0; m &= m - 1 {
			if s := first(m); g.slots[s] == i {
				g.ctrl &^= 0xff << (8 * s)
				t.takeBack(h, step-1)
				r.Reset()
				r.Key = noKey
				t.free = append(t.free, i)
				if checking {
					t.checkInvariants(i, h)
				}
				return
			}
		}
		if g.overflow == 0 {
			return
		}
		at += step
	}
}

// takeBack takes back the overflow counts of the first n groups of h's probe sequence.
func (t *Table) takeBack(h, n uint64) {
	at := h
	for step := uint64(1); step <= n; step++ {
		t.groups[at&t.mask].overflow--
		at += step
	}
}

// Probes counts the groups that look-ups visit.
type Probes struct {
	Longest int     // groups visited to find the farthest entry; 1: the first of its probe sequence
	Mean    float64 // over all entries
	Passed  int     // groups with overflow
}

// Probes walks the whole table, for tests and benchmarks.
func (t *Table) Probes() (p Probes) {
	total, entries := 0, 0
	for i := range t.used {
		r := &t.records[i]
		if n := t.distance(i, t.Hash(&r.Key)); n > 0 {
			total, entries = total+n, entries+1
			p.Longest = max(p.Longest, n)
		}
	}
	for i := range t.groups {
		if t.groups[i].overflow != 0 {
			p.Passed++
		}
	}
	if entries > 0 {
		p.Mean = float64(total) / float64(entries)
	}
	return p
}

// distance returns the number of groups that a look-up of record i visits, 0 if i is not in the table.
func (t *Table) distance(i uint32, h uint64) int {
	at := h
	for step := uint64(1); step <= t.mask+1; step++ {
		g := &t.groups[at&t.mask]
		for m := match(g.ctrl, h2(h)); m != 0; m &= m - 1 {
			if g.slots[first(m)] == i {
				return int(step)
			}
		}
		if g.overflow == 0 {
			return 0
		}
		at += step
	}
	return 0
}
