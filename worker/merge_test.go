package worker

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

// Two captures with different streams, merged in the order of their times, give what each gives
// alone.
func TestMergedCapturesGiveTheSums(t *testing.T) {
	draw := func(seed uint64, net byte) (all []frame) {
		r := rand.New(rand.NewPCG(seed, 1))
		at := sec
		seq := map[int]uint32{}
		for range 3000 {
			at += int64(r.IntN(2e6))
			conn := r.IntN(50)
			src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, net, 0, byte(conn)}), 1000)
			p := packet.TCP{Src: src, Dst: server, Seq: seq[conn] - uint32(r.IntN(3))*100, Ack: 1, Flags: packet.ACK, Window: 100, Payload: r.IntN(3) * 100}
			if r.IntN(4) == 0 {
				p.Src, p.Dst, p.Seq, p.Ack, p.Payload = server, src, 1, seq[conn], 0
			} else if end := p.Seq + uint32(p.Payload); int32(end-seq[conn]) > 0 {
				seq[conn] = end
			}
			all = append(all, frame{p, at})
		}
		return all
	}
	figures := func(packets []frame, end int64) map[shown]int {
		w := newWorker(t, Config{StreamAge: 1e15, FinalizedAge: 1e15})
		for _, p := range packets {
			send(w, p.p, p.at)
		}
		w.Tick(end)
		out := map[shown]int{}
		for _, v := range viewsOf(w) {
			out[v]++
		}
		return out
	}
	a, b := draw(1, 1), draw(2, 2)
	var merged []frame
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if j == len(b) || i < len(a) && a[i].at <= b[j].at {
			merged = append(merged, a[i])
			i++
		} else {
			merged = append(merged, b[j])
			j++
		}
	}
	end := merged[len(merged)-1].at
	want := figures(a, end)
	for v, n := range figures(b, end) {
		want[v] += n
	}
	got := figures(merged, end)
	if len(got) != len(want) {
		t.Fatalf("%d streams, want %d", len(got), len(want))
	}
	for v, n := range want {
		if got[v] != n {
			t.Errorf("%+v is there %d times, want %d", v, got[v], n)
		}
	}
}
