package ring

import (
	"fmt"
	"testing"

	fk "tcp-stream-exporter/internal/fakekernel"
)

var sink int

// BenchmarkWalk walks prepared blocks and reads the first byte of the IP header of each frame.
// "data" is the captured length per frame, "ring" the memory that the blocks take together: the first
// stays in the L2 cache, the second does not fit L3, as a ring that a kernel fills does not.
func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{54, 96, 192, 1514} {
		for _, ring := range []struct {
			name   string
			blocks int
		}{{"256KiB", 1}, {"64MiB", 256}} {
			b.Run(fmt.Sprintf("data=%d/ring=%s", size, ring.name), func(b *testing.B) {
				mems := make([][]byte, ring.blocks)
				data := ether(1, size)
				fs := make([]fk.Frame, 256<<10/144)
				for i := range fs {
					fs[i] = fk.Frame{Data: data, Time: int64(i), Hatype: 1, IfIndex: 2}
				}
				perBlock := 0
				for i := range mems {
					mems[i], perBlock = fk.Block(256<<10, fs)
				}
				sum, walked, cur := 0, 0, 0
				for b.Loop() {
					blk := BlockOf(mems[cur])
					for f, ok := blk.Next(); ok; f, ok = blk.Next() {
						sum += int(f.Data[14]) + int(f.Time())
						walked++
					}
					if cur++; cur == len(mems) {
						cur = 0
					}
				}
				if walked != b.N*perBlock {
					b.Fatalf("walked %d frames, want %d", walked, b.N*perBlock)
				}
				sink += sum
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(walked), "ns/frame")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
