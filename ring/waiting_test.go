package ring

import "testing"

// Wherever the ring stands, the blocks that wait are counted from the next one on.
func TestWaiting(t *testing.T) {
	const blocks, size = 7, 4096
	for cur := range blocks {
		for waiting := range blocks + 1 {
			r := &Ring{mem: make([]byte, blocks*size), blockSize: size, cur: cur * size}
			for i := range waiting {
				blockAt(r.mem[(cur+i)%blocks*size:]).blockStatus = tpStatusUser
			}
			if n := r.Waiting(); n != waiting {
				t.Errorf("%d blocks wait from block %d on: %d", waiting, cur, n)
			}
		}
	}
	if n := (&Ring{}).Waiting(); n != 0 {
		t.Errorf("a closed ring has %d", n)
	}
}
