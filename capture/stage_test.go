package capture

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/table"
)

var stageSink uint64

// BenchmarkStage shows what each stage of a packet's way adds: every row does what the row before
// does and one thing more. The last one is BenchmarkWorker's.
func BenchmarkStage(b *testing.B) {
	type stage func(at *walk, mem []byte, now int64)
	each := func(do func(f *ring.Frame)) stage {
		return func(_ *walk, mem []byte, _ int64) {
			b := ring.BlockOf(mem)
			for f, ok := b.Next(); ok; f, ok = b.Next() {
				do(&f)
			}
		}
	}
	var segs [1]parse.Segment
	var hashes [1]uint64
	var records [1]uint32
	var index *table.Table
	decode := func(f *ring.Frame) {
		parse.Frame(parse.LinkFromARPHRD(f.Hatype()), f.Data, f.WireLen(), &segs[0])
	}
	stages := []struct {
		name string
		walk stage
	}{
		{"walk", each(func(f *ring.Frame) { stageSink += uint64(f.Data[20]) })},
		{"parse", each(func(f *ring.Frame) { decode(f) })},
		{"find", each(func(f *ring.Frame) {
			decode(f)
			hashes[0] = index.Hash(&segs[0].Flow)
			index.FindAll(segs[:], hashes[:], records[:])
		})},
		{"account", func(at *walk, mem []byte, now int64) {
			b := ring.BlockOf(mem)
			at.block(&b, now, now)
		}},
	}
	for _, streams := range []int{1000, 100_000, 1_000_000} {
		l := newLoad(streams, 1<<16)
		for _, st := range stages {
			b.Run(fmt.Sprintf("stage=%s/streams=%d", st.name, streams), func(b *testing.B) {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				at := benchWorker(b, max(streams/2, 1<<18))
				l.open(at)
				index = l.index(b)
				var spent time.Duration
				passes := 0
				for b.Loop() {
					spent += l.timed(func(i int) { st.walk(at, l.blocks[i], l.now) })
					passes++
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(passes*l.packets), "ns/packet")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// index returns a table of all connections of the load.
func (l *load) index(b *testing.B) *table.Table {
	t, err := table.New(max(len(l.sent), 1<<18))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { t.Close() })
	var seg parse.Segment
	for c := range l.sent {
		client, server := connAddrs(c)
		data := packet.TCP{Src: client, Dst: server, Flags: packet.SYN}.Ethernet()
		parse.Frame(parse.LinkEthernet, data, uint32(len(data)), &seg)
		if _, ok := t.Insert(&seg.Flow, t.Hash(&seg.Flow)); !ok {
			b.Fatal("the table is full")
		}
	}
	return t
}
