package capture

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/ring"
)

// BenchmarkFlood is a SYN flood from random sources on a full table: every packet looks for its
// connection in vain, recycles the oldest half-open one, and takes its place.
func BenchmarkFlood(b *testing.B) {
	for _, connections := range []int{1 << 16, 1 << 18, 1 << 20} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			const frames = 1500 // of 160 bytes in the block
			syn := packet.TCP{
				Src: netip.MustParseAddrPort("10.0.0.1:1"), Dst: netip.MustParseAddrPort("192.0.2.1:443"),
				Flags: packet.SYN, Window: 64240, Options: []byte{2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7},
			}.Ethernet()
			list := make([]fakekernel.Frame, frames)
			for i := range list {
				list[i] = fakekernel.Frame{Data: syn, Hatype: 1, IfIndex: 2}
			}
			mem, used := fakekernel.Block(loadBlock, list)
			if used != frames {
				b.Fatalf("%d of %d frames fit", used, frames)
			}
			random := rand.NewPCG(3, 4)
			now := int64(1_700_000_000_000_000_000)
			fill := func() {
				at := fakekernel.BlockHdrLen
				for range frames {
					f := mem[at:]
					r := random.Uint64()
					binary.NativeEndian.PutUint32(f[fakekernel.Sec:], uint32(now/1e9))
					binary.NativeEndian.PutUint32(f[fakekernel.Nsec:], uint32(now%1e9))
					now += loadGap
					const ip = loadMac + 14
					binary.BigEndian.PutUint32(f[ip+12:], uint32(r))
					binary.BigEndian.PutUint16(f[ip+20:], uint16(r>>32))
					binary.BigEndian.PutUint32(f[ip+24:], uint32(r>>16))
					at += int(fakekernel.U32(f, fakekernel.NextOffset))
				}
			}
			at := benchWorker(b, connections)
			w := at.worker
			walk := func() {
				block := ring.BlockOf(mem)
				at.block(&block, now, now)
				w.Expire(expireBudget)
			}
			for w.Stats().RecycledHalfOpen == 0 {
				fill()
				walk()
			}
			before := w.Stats()
			var spent time.Duration
			blocks := 0
			for b.Loop() {
				fill()
				start := threadTime()
				walk()
				spent += threadTime() - start
				blocks++
			}
			packets := float64(blocks * frames)
			after := w.Stats()
			if got := float64(after.RecycledHalfOpen - before.RecycledHalfOpen); got < 0.99*packets {
				b.Fatalf("%v of %v packets recycled a connection", got, packets)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/packets, "ns/packet")
			b.ReportMetric(0, "ns/op")
		})
	}
}
