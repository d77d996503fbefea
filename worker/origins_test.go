package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
)

func newTestOrigins(t *testing.T, n int) *origins {
	t.Helper()
	o, err := newOrigins(n)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Against a map: a key keeps its number for as long as it is in use or was asked for in the same turn, no two keys that
// do have the same one, and a number is refused only if all are taken or the last sweep was too short a time ago.
func TestOriginsAgainstAMap(t *testing.T) {
	const numbers, keys = 100, 300
	o := newTestOrigins(t, numbers)
	r := rand.New(rand.NewPCG(1, 2))
	type held struct{ number, uses, turn uint32 }
	known := map[uint64]held{}
	turn, now, refused, moved := uint32(0), int64(0), 0, 0
	for range 200_000 {
		if r.IntN(20) == 0 {
			turn++
			now += r.Int64N(sweepEvery / 2)
			o.turnBegins(now)
		}
		key := uint64(1 + r.IntN(keys))
		n := o.number(key)
		h, was := known[key]
		safe := was && (h.uses > 0 || h.turn == turn)
		switch {
		case n == sharedIdentity:
			if safe {
				t.Fatalf("key %d has number %d and gets none", key, h.number)
			}
			refused++
			continue
		case safe && n != h.number:
			t.Fatalf("key %d had number %d and gets %d", key, h.number, n)
		case was && n != h.number:
			moved++
		}
		if n == 0 || n > numbers || o.keys[n] != key {
			t.Fatalf("key %d has number %d, which is of %d", key, n, o.keys[min(n, numbers)])
		}
		for other, h := range known {
			if other != key && h.number == n && (h.uses > 0 || h.turn == turn) {
				t.Fatalf("keys %d and %d have number %d", key, other, n)
			}
		}
		h.number, h.turn = n, turn
		switch {
		case h.uses > 0 && r.IntN(2) == 0:
			h.uses--
			o.release(n)
		case r.IntN(3) == 0:
			h.uses++
			o.hold(n)
		}
		known[key] = h
	}
	if refused == 0 || moved == 0 {
		t.Errorf("%d keys were refused, %d have moved: the test does not show what it should", refused, moved)
	}
}

// All numbers can be given out, and the next keys share an identity until others are free and a second has passed.
func TestOriginsRunOut(t *testing.T) {
	const numbers = MaxOrigins
	o := newTestOrigins(t, numbers)
	o.turnBegins(sec)
	seen := map[uint32]bool{0: true, sharedIdentity: true}
	for key := range uint64(numbers) {
		n := o.number(key + 1)
		if seen[n] {
			t.Fatalf("the key %d has number %d", key+1, n)
		}
		seen[n] = true
		if key%2 == 0 {
			o.hold(n)
		}
	}
	if n := o.number(numbers + 1); n != sharedIdentity {
		t.Errorf("one too many has number %d", n)
	}
	o.turnBegins(sec + sweepEvery - 1)
	if n := o.number(numbers + 1); n != sharedIdentity {
		t.Errorf("before the next sweep it has number %d", n)
	}
	o.turnBegins(sec + sweepEvery)
	if n := o.number(numbers + 1); n == sharedIdentity || n == 0 {
		t.Errorf("after the next sweep it has number %d", n)
	}
	if n := o.number(0); n != 0 {
		t.Errorf("no origin has number %d", n)
	}
}

// Numbers go back with their connections, however those end, and a reader finds what they stand for.
func TestOriginsComeAndGo(t *testing.T) {
	w := newWorker(t, Config{ByInterface: true, ByVLAN: true, MaxConnections: 10})
	now := sec
	for index := range int32(1000) {
		b := packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.SYN}.Ethernet()
		to := &w.batches[0]
		if !w.DecodeSeen(parse.LinkEthernet, b, uint32(len(b)), Sight{IfIndex: index + 1, Outer: parse.VLANs(0).Push(7)}, to, w.gathered) {
			t.Fatal("not decoded")
		}
		w.setNow(now)
		to.Times[w.gathered] = now
		w.gathered++
		w.flush()
		now += 10 * ms
		if index%100 != 99 {
			continue // the table is full: the oldest connection is recycled
		}
		seen := map[uint32]bool{}
		for _, v := range viewsOf(w) {
			if v.IfIndex <= uint32(index)-9 || v.IfIndex > uint32(index)+1 || seen[v.IfIndex] || v.VLANs != parse.VLANs(0).Push(7) {
				t.Errorf("a stream of %+v after interface %d", v.Origin, index+1)
			}
			seen[v.IfIndex] = true
		}
		if len(seen) != 10 {
			t.Errorf("%d streams, want 10", len(seen))
		}
	}
	w.Tick(now + int64(time.Hour))
	for w.Expire(10) {
	}
	for n, uses := range w.origins.uses {
		if uses != 0 && n != 0 {
			t.Errorf("number %d has %d connections of an empty table", n, uses)
		}
	}
	w.origins.sweep()
	if free := len(w.origins.free); free != MaxOrigins {
		t.Errorf("%d numbers are free, want all of %d", free, MaxOrigins)
	}
}

// Frames of a file have their tags among their bytes, and no interface.
func TestFramesOfAFileHaveVLANs(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want stream.Origin
	}{
		{Config{}, stream.Origin{}},
		{Config{ByInterface: true}, stream.Origin{}},
		{Config{ByVLAN: true}, stream.Origin{VLANs: parse.VLANs(0).Push(10).Push(20)}},
		{Config{ByVLAN: true, ByInterface: true}, stream.Origin{VLANs: parse.VLANs(0).Push(10).Push(20)}},
	} {
		w := newWorker(t, c.cfg)
		b := packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 10}.Ethernet(0x88a8_000a, 0x8100_0014)
		w.Frame(parse.LinkEthernet, b, uint32(len(b)), sec)
		if v := viewsOf(w); len(v) != 1 || v[0].Origin != c.want {
			t.Errorf("%+v: %+v, want one of %+v", c.cfg, v, c.want)
		}
	}
}
