//go:build !invariants

package table

import "testing"

// All keys in one group: the whole table is one chain, and still every answer is right. The hashes are not
// those of the keys, which the build with the tag refuses; there TestAgainstMaps has such a table, with
// weak seeds.
func TestEveryKeyCollides(t *testing.T) {
	for _, h := range []uint64{0, ^uint64(0)} {
		tab := newTable(t, 100)
		index := map[Key]uint32{}
		for n := range uint32(100) {
			k := numbered(n)
			i, ok := tab.Insert(&k, h)
			if !ok {
				t.Fatal("full")
			}
			index[k] = i
		}
		for k, i := range index {
			if got, ok := tab.Find(&k, h); !ok || got != i {
				t.Fatalf("hash %#x: found %d %v, want %d", h, got, ok, i)
			}
		}
		k := numbered(1000)
		if _, ok := tab.Find(&k, h); ok {
			t.Fatal("found what was never inserted")
		}
		if _, ok := tab.Insert(&k, h); ok {
			t.Fatal("inserted into a full table")
		}
	}
}
