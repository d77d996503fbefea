package wheel

import (
	"reflect"
	"testing"
)

func TestChunkIsTwoCacheLines(t *testing.T) {
	if size := reflect.TypeFor[chunk]().Size(); size != 128 {
		t.Errorf("a chunk is %d bytes, want 128", size)
	}
}

// checkInvariants fails the test if the wheel's storage contradicts itself.
func checkInvariants(t testing.TB, w *Wheel) {
	t.Helper()
	stored, inLists := 0, 0
	for place := range uint32(places) {
		l := w.listOf[place]
		if uint32(w.placeOf[l]) != place {
			t.Fatalf("place %d has list %d, but that list says place %d", place, l, w.placeOf[l])
		}
		first := w.head[l]
		if marked := w.occ[place>>slotBits]>>(place&(slots-1))&1 == 1; marked != (first != 0) {
			t.Fatalf("place %d: occupancy bit %v, first chunk %d", place, marked, first)
		}
		for c := first; c != 0; c = w.chunks[c].next {
			ch := &w.chunks[c]
			if inLists++; inLists >= len(w.chunks) {
				t.Fatalf("the list of place %d is a loop", place)
			}
			if ch.list != l {
				t.Fatalf("chunk %d hangs in list %d and says list %d", c, l, ch.list)
			}
			if ch.count == 0 || ch.count > chunkLen || c != first && ch.count != chunkLen {
				t.Fatalf("chunk %d of place %d (first is %d) holds %d", c, place, first, ch.count)
			}
			for k, i := range ch.index[:ch.count] {
				if w.pos[i] != c<<posShift|uint32(k) {
					t.Fatalf("index %d sits in chunk %d entry %d, pos says %d entry %d",
						i, c, k, w.pos[i]>>posShift, w.pos[i]&posMask)
				}
			}
			stored += int(ch.count)
		}
	}
	armed := 0
	for _, at := range w.pos {
		if at != 0 {
			armed++
		}
	}
	if stored != armed {
		t.Fatalf("the lists hold %d indices, %d are armed", stored, armed)
	}
	spare := 0
	for c := w.free; c != 0; c = w.chunks[c].next {
		if spare++; spare >= len(w.chunks) {
			t.Fatal("the free list is a loop")
		}
	}
	if inLists+spare != int(w.fresh)-1 || int(w.fresh) > len(w.chunks) {
		t.Fatalf("%d chunks in lists and %d free, but %d of %d were ever used",
			inLists, spare, w.fresh-1, len(w.chunks)-1)
	}
	if w.occ[levels]>>levels != 0 {
		t.Fatalf("due places %b: there are only %d", w.occ[levels], levels)
	}
}
