package capture

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// bytesByOrigin returns the payload that a worker has seen from the client, by origin.
func bytesByOrigin(t *testing.T, w *worker.Worker) map[stream.Origin]uint64 {
	t.Helper()
	var s worker.Snapshot
	if err := w.Snapshot(&s); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[stream.Origin]uint64{}
	for i := range s.Views {
		v := &s.Views[i]
		e := v.Ends(s.Wide)
		if e.Src != parse.AddrFrom(client.Addr()) {
			continue
		}
		if _, twice := all[e.Origin]; twice {
			t.Errorf("two streams of %+v", e.Origin)
		}
		if v.Packets > 1 && v.Retransmits+v.OutOfOrder+v.Gaps != 0 {
			t.Errorf("%+v: its packets were not accounted in order: %+v", e.Origin, v)
		}
		all[e.Origin] = v.Bytes
	}
	return all
}

// Frames of the same addresses and ports belong to streams of their interface and VLANs, wherever the tags stand, on
// the fast path and on the slow one.
func TestOriginsOfFramesInABlock(t *testing.T) {
	vlans := func(tcis ...uint16) (v parse.VLANs) {
		for _, tci := range tcis {
			v = v.Push(tci)
		}
		return v
	}
	seen := []struct {
		index int32
		tci   uint16 // beside the frame
		in    []uint32
		vlans parse.VLANs
	}{
		{2, 0, nil, 0},
		{2, 10, nil, vlans(10)},
		{2, 20, nil, vlans(20)},
		{2, 0xe00a, nil, vlans(10)}, // with a priority
		{2, 0, []uint32{0x8100_000a}, vlans(10)},
		{2, 10, []uint32{0x8100_0014}, vlans(10, 20)},
		{2, 20, []uint32{0x8100_000a}, vlans(20, 10)},
		{2, 0, []uint32{0x88a8_000a, 0x8100_0014}, vlans(10, 20)},
		{2, 0xe000, nil, 0}, // a priority alone
		{3, 0, nil, 0},
		{3, 10, nil, vlans(10)},
		{1<<30 - 2, 10, nil, vlans(10)},
	}
	both := func(i int) stream.Origin {
		return stream.Origin{IfIndex: uint32(seen[i].index), VLANs: seen[i].vlans}
	}
	numbers := map[int]int32{2: 1002, 3: 7, 1<<30 - 2: 9}
	for _, c := range []struct {
		byInterface, byVLAN bool
		want                func(i int) stream.Origin
		numbers             map[int]int32 // of interfaces; nil: they go by their indices
	}{
		{true, false, func(i int) stream.Origin { return stream.Origin{IfIndex: uint32(numbers[int(seen[i].index)])} }, numbers},
		{true, true, func(i int) stream.Origin {
			return stream.Origin{IfIndex: uint32(numbers[int(seen[i].index)]), VLANs: seen[i].vlans}
		}, numbers},
		{false, false, func(int) stream.Origin { return stream.Origin{} }, nil},
		{true, false, func(i int) stream.Origin { return stream.Origin{IfIndex: uint32(seen[i].index)} }, nil},
		{false, true, func(i int) stream.Origin { return stream.Origin{VLANs: seen[i].vlans} }, nil},
		{true, true, both, nil},
		{false, false, func(int) stream.Origin { return stream.Origin{} }, numbers}, // which arrive alone
	} {
		for _, options := range []string{"fast path", "slow path", "both paths"} { // IP options lead to the slow one
			t.Run(fmt.Sprintf("interface=%v/VLAN=%v/numbers=%v/%s", c.byInterface, c.byVLAN, c.numbers != nil, options), func(t *testing.T) {
				at := walker(t, worker.Config{ByInterface: c.byInterface, ByVLAN: c.byVLAN})
				others := uint64(0) // frames of interfaces without a number
				if c.numbers != nil {
					at.interfaces = NewInterfaces(c.numbers, true)
				}
				want := map[stream.Origin]uint64{}
				next := map[stream.Origin]uint32{}
				var frames []fakekernel.Frame
				for round := range 10 {
					for i, f := range seen {
						o := c.want(i)
						p := packet.TCP{Src: client, Dst: server, Seq: 1 + next[o], Ack: 1, Flags: packet.ACK, Window: 500, Payload: 10 + i}
						if options == "slow path" || options == "both paths" && round%2 == 0 {
							p.IPOptions = make([]byte, 4)
						}
						next[o] += uint32(p.Payload)
						want[o] += uint64(p.Payload)
						k := fakekernel.Frame{Data: p.Ethernet(f.in...), Time: sec + int64(round)*ms, IfIndex: f.index, VLANTCI: f.tci}
						if f.tci != 0 {
							k.VLANTPID = 0x8100
						}
						frames = append(frames, k)
						back := packet.TCP{Src: server, Dst: client, Seq: 1, Ack: 1 + next[o], Flags: packet.ACK, Window: 500, IPOptions: p.IPOptions}
						k.Data = back.Ethernet(f.in...)
						frames = append(frames, k)
						if c.numbers != nil && i%3 == 0 {
							k.IfIndex = 4
							frames = append(frames, k)
							others++
						}
					}
				}
				at.block(block(t, frames...), sec, sec)
				if got := bytesByOrigin(t, at.worker); !maps.Equal(got, want) {
					t.Errorf("%v,\nwant %v", got, want)
				}
				if got := at.worker.Counters.Unselected; got != others {
					t.Errorf("%d frames of other interfaces are counted, there are %d", got, others)
				}
				if s := at.worker.Stats(); s.Connections != len(want) || s.Streams != 2*int64(len(want)) || s.SharedOrigin != 0 {
					t.Errorf("%d connections, %d streams, %d without a number; want %d connections", s.Connections, s.Streams, s.SharedOrigin, len(want))
				}
			})
		}
	}
}

// A tag that the kernel does not call valid is none, and an index that does not fit shares an identity.
func TestOriginsThatAreNotKnown(t *testing.T) {
	at := walker(t, worker.Config{ByInterface: true, ByVLAN: false})
	p := packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 10}.Ethernet()
	at.block(block(t, fakekernel.Frame{Data: p, Time: sec, IfIndex: 1<<31 - 1}), sec, sec)
	if got := bytesByOrigin(t, at.worker); !maps.Equal(got, map[stream.Origin]uint64{{Shared: true}: 10}) || at.worker.Stats().SharedOrigin != 1 {
		t.Errorf("an index of 31 bits: %v", got)
	}
	at = walker(t, worker.Config{ByVLAN: true})
	mem, _ := fakekernel.Block(1<<12, []fakekernel.Frame{{Data: p, Time: sec}})
	fakekernel.PutU32(mem, fakekernel.FrameAt(mem, 0)+fakekernel.VLANTCI, 10)
	b := ring.BlockOf(mem)
	at.block(&b, sec, sec)
	if got := bytesByOrigin(t, at.worker); !maps.Equal(got, map[stream.Origin]uint64{{}: 10}) {
		t.Errorf("a tag that is not valid: %v", got)
	}
}

// With identities nothing is allocated either, also where each pass comes from interfaces that were never seen.
func TestIdentitiesAllocateNothing(t *testing.T) {
	l := newLoad(2000, 1<<14)
	at := walker(t, worker.Config{ByInterface: true, ByVLAN: true, MaxConnections: 2000, StreamAge: 50 * time.Millisecond, FinalizedAge: 20 * time.Millisecond})
	w := at.worker
	index := uint32(1)
	n := testing.AllocsPerRun(10, func() {
		l.advance()
		for i, mem := range l.blocks {
			for _, f := range l.frames[i] {
				index++
				fakekernel.PutU32(mem[f.at:], fakekernel.SllIfindex, index/8)
			}
		}
		l.run(at)
		w.Tick(l.now + sec) // everything expires before the next pass
		for w.Expire(expireBudget) {
		}
		l.now += 2 * sec
	})
	if n != 0 {
		t.Errorf("%v allocations per pass of %d packets, want 0", n, l.packets)
	}
	if s := w.Stats(); s.SharedOrigin != 0 || s.Opened < 2000 {
		t.Errorf("%d segments without a number of their own, %d streams opened", s.SharedOrigin, s.Opened)
	}
}
