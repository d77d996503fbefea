package table

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dolthub/swiss"

	"tcp-stream-exporter/parse"
)

func newTable(tb testing.TB, n int) *Table {
	tb.Helper()
	t, err := New(n)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { t.Close() })
	return t
}

// numbered returns the n-th of a family of different keys.
func numbered(n uint32) Key {
	return parse.FlowOf(parse.AddrFrom4(0x0a000000|n&0xffff), parse.AddrFrom4(0xc0000201), uint16(n>>16), 443)
}

// check verifies that the table holds these entries and does not contradict itself.
func check(tb testing.TB, t *Table, want map[Key]uint32) {
	tb.Helper()
	if t.Len() != len(want) {
		tb.Fatalf("%d entries, want %d", t.Len(), len(want))
	}
	for k, i := range want {
		if got, ok := t.Find(&k, t.Hash(&k)); !ok || got != i {
			tb.Fatalf("key %+v: record %d (%v), want %d", k, got, ok, i)
		}
	}
	if err := t.invariants(); err != nil {
		tb.Fatal(err)
	}
}

// The same random operations on the table, on a Go map and on dolthub's swiss map must give the
// same answers, with sound seeds and with ones that send every key to few groups.
func TestAgainstMaps(t *testing.T) {
	for name, seeds := range map[string]Seeds{
		"random seeds": randomSeeds(),
		"weak seeds":   {}, // the last multiplication is by 0: every key has the hash 0
	} {
		t.Run(name, func(t *testing.T) {
			const capacity = 600
			tab, err := newSeeded(capacity, seeds)
			if err != nil {
				t.Fatal(err)
			}
			defer tab.Close()
			want := map[Key]uint32{}
			other := swiss.NewMap[Key, uint32](capacity)
			r := rand.New(rand.NewPCG(3, 4))
			for op := range 200_000 {
				k := identified(numbered(uint32(r.IntN(500))|uint32(r.IntN(2))<<16), r.IntN(2))
				h := tab.Hash(&k)
				got, ok := tab.Find(&k, h)
				i, known := want[k]
				if j, has := other.Get(k); has != known || j != i {
					t.Fatalf("swiss: %d %v, map: %d %v", j, has, i, known)
				}
				if ok != known || ok && got != i {
					t.Fatalf("operation %d: found %d %v, want %d %v", op, got, ok, i, known)
				}
				switch {
				case known && r.IntN(2) == 0:
					tab.Remove(i)
					delete(want, k)
					other.Delete(k)
				case !known:
					i, ok := tab.Insert(&k, h)
					if ok != (len(want) < capacity) {
						t.Fatalf("insert into %d of %d entries: %v", len(want), capacity, ok)
					}
					if ok {
						want[k] = i
						other.Put(k, i)
					}
				}
				if op%5000 == 0 {
					check(t, tab, want)
				}
			}
			check(t, tab, want)
		})
	}
}

// The batch finds the same as Find, also for keys that were removed and for the key of all
// zeros, which fresh memory looks like; and it finds nearly all that there is.
func TestFindAllAgreesWithFind(t *testing.T) {
	known, found, after, byChance := 0, 0, 0, 0
	tab := newTable(t, 500)
	r := rand.New(rand.NewPCG(8, 9))
	zero := parse.Segment{}
	for range 2000 {
		segs := make([]parse.Segment, 1+r.IntN(32))
		hashes, indices := make([]uint64, 32), make([]uint32, 32)
		for i := range segs {
			k := numbered(uint32(r.IntN(1000)))
			segs[i].Flow = parse.FlowOf(k.Endpoints(r.IntN(2)))
			if r.IntN(100) == 0 {
				segs[i] = zero
			}
		}
		for i := range segs {
			hashes[i] = tab.Hash(&segs[i].Flow)
		}
		for i := range segs {
			segs[i].Len = uint32(r.IntN(2))
		}
		got := tab.FindAll(segs, hashes, indices)
		var want Found
		var bare []uint32 // records
		for i := range segs {
			k, bit := &segs[i].Flow, uint32(1)<<i
			record, ok := tab.Find(k, tab.Hash(k))
			if ok {
				known++
			}
			if (got.Data|got.Bare)&bit == 0 {
				continue
			}
			found++
			if !ok || indices[i] != record {
				t.Fatalf("%+v: record %d, want %d (%v)", *k, indices[i], record, ok)
			}
			if segs[i].Len == 0 {
				want.Bare |= bit
				bare = append(bare, record)
				continue
			}
			want.Data |= bit
			if slices.Contains(bare, record) {
				want.After |= bit
			}
		}
		if got.Data != want.Data || got.Bare != want.Bare || want.After&^got.After != 0 || got.After&^got.Data != 0 {
			t.Fatalf("found %+v, want %+v", got, want)
		}
		after += bits.OnesCount32(want.After)
		byChance += bits.OnesCount32(got.After &^ want.After)
		for i := range segs {
			k, h := &segs[i].Flow, hashes[i]
			if j, ok := tab.Find(k, h); ok {
				tab.Remove(j)
			} else {
				tab.Insert(k, h)
			}
		}
	}
	if known < 10000 || found*100 < known*94 {
		t.Errorf("%d of %d found", found, known)
	}
	if after == 0 || byChance*200 > found {
		t.Errorf("%d of %d behind one without payload of the same connection, %d more by chance", after, found, byChance)
	}
}

// What was located before connections came, went and took one another's records is matched with the
// table as it is then: nothing is found that Find does not find in that place.
func TestMatchSeesWhatChangedSinceLocate(t *testing.T) {
	tab := newTable(t, 500)
	r := rand.New(rand.NewPCG(8, 10))
	found, gone, come := 0, 0, 0
	for range 2000 {
		segs := make([]parse.Segment, 1+r.IntN(32))
		hashes, indices := make([]uint64, len(segs)), make([]uint32, len(segs))
		before := make([]bool, len(segs))
		for i := range segs {
			k := numbered(uint32(r.IntN(1000)))
			segs[i].Flow = parse.FlowOf(k.Endpoints(r.IntN(2)))
			hashes[i] = tab.Hash(&k)
			_, before[i] = tab.Find(&k, hashes[i])
		}
		tab.PrefetchGroups(hashes)
		tab.Locate(hashes, indices)
		tab.PrefetchHeads(indices)
		for range r.IntN(20) {
			k := numbered(uint32(r.IntN(1000)))
			if i, ok := tab.Find(&k, tab.Hash(&k)); ok {
				tab.Remove(i)
			} else {
				tab.Insert(&k, tab.Hash(&k))
			}
		}
		for _, i := range indices {
			tab.Prefetch(i)
		}
		got := tab.Match(segs, indices)
		for i := range segs {
			at, ok := tab.Find(&segs[i].Flow, hashes[i])
			switch {
			case got.Bare>>i&1 == 0:
				if ok && !before[i] {
					come++
				}
			case !ok || indices[i] != at:
				t.Fatalf("%+v: record %d, want %d (%v)", segs[i].Flow, indices[i], at, ok)
			default:
				found++
			}
			if before[i] && !ok {
				gone++
			}
		}
	}
	if found < 1000 || gone < 100 || come < 100 {
		t.Errorf("%d found, %d gone and %d come meanwhile", found, gone, come)
	}
}

func TestSizes(t *testing.T) {
	for _, n := range []int{0, -1, MaxConnections + 1} {
		if _, err := New(n); err == nil {
			t.Errorf("a table of %d connections", n)
		}
	}
	one := newTable(t, 1)
	k := numbered(1)
	i, ok := one.Insert(&k, one.Hash(&k))
	if !ok {
		t.Fatal("no room for one")
	}
	one.Remove(i)
	one.Remove(i) // already gone: nothing happens
	if one.Len() != 0 {
		t.Fatalf("%d entries", one.Len())
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := one.Close(); err != nil {
		t.Fatal("closing twice:", err)
	}
}

// Churn must leave nothing behind: after any number of insertions and removals the groups' counts
// are those of the entries that are there. The long form is BenchmarkChurn.
func TestChurnLeavesNoTrace(t *testing.T) {
	tab := newTable(t, 1000)
	want := map[Key]uint32{}
	var live []Key
	r := rand.New(rand.NewPCG(5, 6))
	for n := range uint32(300_000) {
		if len(live) == 1000 {
			at := r.IntN(len(live))
			k := live[at]
			live[at] = live[len(live)-1]
			live = live[:len(live)-1]
			tab.Remove(want[k])
			delete(want, k)
		}
		k := numbered(n)
		i, ok := tab.Insert(&k, tab.Hash(&k))
		if !ok {
			t.Fatal("full")
		}
		want[k] = i
		live = append(live, k)
	}
	check(t, tab, want)
	for _, i := range want {
		tab.Remove(i)
	}
	check(t, tab, nil)
	if p := tab.Probes(); p.Passed != 0 {
		t.Fatalf("%d groups still have an overflow", p.Passed)
	}
}

func TestNoAllocation(t *testing.T) {
	tab := newTable(t, 1000)
	n := uint32(0)
	if a := testing.AllocsPerRun(5000, func() {
		k := numbered(n)
		n++
		h := tab.Hash(&k)
		if i, ok := tab.Find(&k, h); ok {
			tab.Remove(i)
		} else if i, ok := tab.Insert(&k, h); ok {
			tab.At(i)
			tab.Remove(i)
		}
	}); a != 0 {
		t.Fatalf("%v allocations, want 0", a)
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1, 2, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		tab := newTable(t, 24)
		want := map[Key]uint32{}
		for ; len(ops) >= 2; ops = ops[2:] {
			k := numbered(uint32(binary.LittleEndian.Uint16(ops)) & 0x3f)
			h := tab.Hash(&k)
			i, ok := tab.Find(&k, h)
			if j, known := want[k]; ok != known || ok && i != j {
				t.Fatalf("found %d %v, want %d %v", i, ok, j, known)
			}
			if ok {
				tab.Remove(i)
				delete(want, k)
			} else if i, ok := tab.Insert(&k, h); ok {
				want[k] = i
			} else if len(want) < 24 {
				t.Fatal("full too early")
			}
		}
		check(t, tab, want)
	})
}

var sink uint32

// BenchmarkFind looks up known keys in random order: the table with its records, dolthub's swiss
// map and Go's built-in map from the same key to an index.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 17, 1 << 20} {
		keys := make([]Key, n)
		for i := range keys {
			keys[i] = numbered(uint32(i))
		}
		rand.New(rand.NewPCG(7, 8)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		b.Run(fmt.Sprintf("impl=table/len=%d", n), func(b *testing.B) {
			t := newTable(b, n)
			for i := range keys {
				t.Insert(&keys[i], t.Hash(&keys[i]))
			}
			at := 0
			for b.Loop() {
				k := &keys[at&(n-1)]
				i, _ := t.Find(k, t.Hash(k))
				sink += i
				at++
			}
		})
		b.Run(fmt.Sprintf("impl=dolthub/len=%d", n), func(b *testing.B) {
			m := swiss.NewMap[Key, uint32](uint32(n))
			for i := range keys {
				m.Put(keys[i], uint32(i))
			}
			at := 0
			for b.Loop() {
				i, _ := m.Get(keys[at&(n-1)])
				sink += i
				at++
			}
		})
		b.Run(fmt.Sprintf("impl=builtin/len=%d", n), func(b *testing.B) {
			m := make(map[Key]uint32, n)
			for i := range keys {
				m[keys[i]] = uint32(i)
			}
			at := 0
			for b.Loop() {
				sink += m[keys[at&(n-1)]]
				at++
			}
		})
	}
}

// BenchmarkChurn removes the oldest of a full table's entries and inserts a new one. The longest
// probe and the groups passed must not depend on how long it runs.
func BenchmarkChurn(b *testing.B) {
	const n = 1 << 17
	b.Run("impl=table", func(b *testing.B) {
		t := newTable(b, n)
		order := make([]uint32, n)
		next := uint32(0)
		add := func() uint32 {
			k := numbered(next)
			next++
			i, _ := t.Insert(&k, t.Hash(&k))
			return i
		}
		for i := range order {
			order[i] = add()
		}
		before := t.Probes()
		at := 0
		for b.Loop() {
			t.Remove(order[at])
			order[at] = add()
			at = (at + 1) & (n - 1)
		}
		after := t.Probes()
		b.ReportMetric(float64(before.Longest), "longest-probe-before")
		b.ReportMetric(float64(after.Longest), "longest-probe-after")
		b.ReportMetric(float64(before.Passed), "passed-before")
		b.ReportMetric(float64(after.Passed), "passed-after")
	})
	b.Run("impl=dolthub", func(b *testing.B) {
		m := swiss.NewMap[Key, uint32](n)
		for i := range uint32(n) {
			m.Put(numbered(i), i)
		}
		next := uint32(n)
		for b.Loop() {
			m.Delete(numbered(next - n))
			m.Put(numbered(next), next)
			next++
		}
	})
}

func randomSeeds() (s Seeds) {
	for i := range s {
		s[i] = rand.Uint64()
	}
	return s
}
