package capture

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
)

var stageSink uint64

// BenchmarkStage shows what each stage of a packet's way adds: every row does what the row before
// does and one thing more. The last one is BenchmarkWorker's.
func BenchmarkStage(b *testing.B) {
	type walk func(w *Worker, mem []byte)
	each := func(do func(w *Worker, f *ring.Frame)) walk {
		return func(w *Worker, mem []byte) {
			b := ring.BlockOf(mem)
			for f, ok := b.Next(); ok; f, ok = b.Next() {
				do(w, &f)
			}
		}
	}
	var segs [1]parse.Segment
	var hashes [1]uint64
	var records [1]uint32
	decode := func(f *ring.Frame) {
		parse.Frame(parse.LinkFromARPHRD(f.Hatype()), f.Data, f.WireLen(), &segs[0])
	}
	stages := []struct {
		name string
		walk walk
	}{
		{"walk", each(func(_ *Worker, f *ring.Frame) { stageSink += uint64(f.Data[20]) })},
		{"parse", each(func(_ *Worker, f *ring.Frame) { decode(f) })},
		{"find", each(func(w *Worker, f *ring.Frame) {
			decode(f)
			hashes[0] = w.table.Hash(&segs[0].Flow)
			w.table.FindAll(segs[:], hashes[:], records[:])
		})},
		{"account", func(w *Worker, mem []byte) {
			blk := ring.BlockOf(mem)
			w.Block(&blk, w.now+1, w.now+1)
		}},
	}
	for _, streams := range []int{1000, 100_000, 1_000_000} {
		l := newLoad(streams, 1<<16)
		for _, st := range stages {
			b.Run(fmt.Sprintf("stage=%s/streams=%d", st.name, streams), func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				w := benchWorker(b, max(streams/2, 1<<18))
				l.open(w)
				w.setNow(l.now)
				var spent time.Duration
				passes := 0
				for b.Loop() {
					w.setNow(l.now)
					spent += l.timed(func(i int) { st.walk(w, l.blocks[i]) })
					passes++
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(passes*l.packets), "ns/packet")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
