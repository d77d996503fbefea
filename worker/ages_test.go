package worker

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
)

// An age that the wheel cannot hold is never: nothing expires, and nothing is looked at all the time.
func TestAgesBeyondTheWheel(t *testing.T) {
	const century = 100 * 365 * 24 * 3600 * sec
	for _, age := range []time.Duration{59652 * time.Hour, 59653 * time.Hour, 60000 * time.Hour, 1281024 * time.Hour, 2562047 * time.Hour, math.MaxInt64} {
		w := newWorker(t, Config{StreamAge: age, FinalizedAge: age, SynAge: age})
		at := 3600 * sec
		for n, flags := range []uint8{packet.SYN, packet.ACK, packet.ACK | packet.FIN} {
			send(w, packet.TCP{Src: netip.AddrPortFrom(client.Addr(), uint16(n)), Dst: server, Seq: 1, Flags: flags}, at)
		}
		for w.Expire(100) {
		}
		if ahead := w.NextDue() - at; ahead < 100*3600*sec {
			t.Errorf("%v: streams are looked at again after %v", age, time.Duration(ahead))
		}
		if age < 59653*time.Hour {
			continue
		}
		for _, later := range []int64{sec, 24 * 3600 * sec, century} {
			w.Tick(at + later)
			for w.Expire(100) {
			}
			if n := len(viewsOf(w)); n != 3 {
				t.Errorf("%v: %d streams of 3 are left after %v", age, n, time.Duration(later))
			}
		}
	}
}

// A connection that was armed for an endless SYN age takes the stream age once it is established.
func TestAnEstablishedConnectionLeavesALongerSynAge(t *testing.T) {
	w := newWorker(t, Config{StreamAge: 5 * time.Second, FinalizedAge: time.Second, SynAge: math.MaxInt64})
	send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Flags: packet.SYN}, 100*sec)
	send(w, packet.TCP{Src: client, Dst: server, Seq: 2, Flags: packet.ACK}, 101*sec)
	other := netip.AddrPortFrom(client.Addr(), 1)
	send(w, packet.TCP{Src: other, Dst: server, Seq: 1, Flags: packet.SYN}, 101*sec)
	for _, c := range []struct {
		at   int64
		want int
	}{{105 * sec, 2}, {107 * sec, 1}, {1000 * sec, 1}} {
		w.Tick(c.at)
		for w.Expire(100) {
		}
		if n := len(viewsOf(w)); n != c.want {
			t.Errorf("after %v: %d streams, want %d", time.Duration(c.at-100*sec), n, c.want)
		}
	}
}

// TestTheTimerFollowsTheConnection has connections whose deadline comes nearer by something else than a FIN or RST: they begin
// anew, or what was finalized goes on. Nothing of what was armed for before may hold them back, or end them.
func TestTheTimerFollowsTheConnection(t *testing.T) {
	const s = time.Second
	ages := func(stream, finalized, syn time.Duration) Config {
		return Config{StreamAge: stream, FinalizedAge: finalized, SynAge: syn}
	}
	type at struct {
		time    time.Duration
		packets []sent
	}
	type left struct {
		time    time.Duration
		streams int64
	}
	fins := then(opening, sent{0, 101, 501, fFIN, 0}, sent{1, 501, 102, fFIN, 0})
	again := []sent{{0, 1 << 30, 0, fSYN, 0}, {1, 1 << 29, 1<<30 + 1, fSYNACK, 0}, {0, 1<<30 + 1, 1<<29 + 1, fACK, 0}}
	for _, x := range []struct {
		name    string
		ages    Config
		packets []at
		left    []left
	}{
		{"a SYN that waited", ages(60*s, 4*s, 7*s), []at{{0, opening}, {6900 * time.Millisecond, []sent{{1, 501, 101, fACK, 10}}}, {8 * s, again[:1]}, {9 * s, again[1:2]}},
			[]left{{14 * s, 2}, {15500 * time.Millisecond, 1}, {17 * s, 0}}},
		{"a SYN that waited and came twice", ages(60*s, 4*s, 7*s), []at{{0, opening}, {1 * s, again[:1]}, {7500 * time.Millisecond, again[:1]}, {9 * s, again[1:2]}},
			[]left{{14 * s, 2}, {15 * s, 1}, {17 * s, 0}}},
		{"the other side's RST for a SYN that waited", ages(60*s, 4*s, 60*s), []at{{0, opening}, {8 * s, again[:1]}, {9 * s, []sent{{1, 0, 1<<30 + 1, fRST | fACK, 0}}}},
			[]left{{11 * s, 2}, {12500 * time.Millisecond, 1}, {14 * s, 0}}},
		{"another attempt", ages(60*s, 4*s, 7*s), []at{{0, opening[:1]}, {5 * s, again[:1]}}, []left{{11 * s, 1}, {13 * s, 0}}},
		{"an attempt after FINs", ages(60*s, 60*s, 7*s), []at{{0, fins}, {2 * s, again[:1]}}, []left{{8 * s, 1}, {10 * s, 0}}},
		{"a connection after FINs", ages(60*s, math.MaxInt64, 60*s), []at{{0, fins}, {2 * s, again}}, []left{{61 * s, 2}, {63 * s, 0}}},
		{"a connection after FINs, in mid-stream", ages(20*s, 60*s, 20*s), []at{{0, fins}, {2 * s, []sent{{0, 102, 502, fACK, 10}, {1, 502, 112, fACK, 10}}}},
			[]left{{21 * s, 2}, {23 * s, 0}}},
		{"a side that comes after the other's FIN", ages(20*s, 60*s, 20*s), []at{{0, []sent{{0, 101, 501, fFIN, 0}}}, {2 * s, []sent{{1, 501, 102, fACK, 10}}}},
			[]left{{21 * s, 2}, {23 * s, 1}, {59 * s, 1}, {61 * s, 0}}},
	} {
		w := newWorker(t, x.ages)
		for now := time.Duration(0); len(x.left) > 0; now += 100 * time.Millisecond {
			w.Tick(100*sec + int64(now))
			for w.Expire(100) {
			}
			if len(x.packets) > 0 && x.packets[0].time == now {
				play(w, 100*sec+int64(now), x.packets[0].packets)
				x.packets = x.packets[1:]
			}
			if x.left[0].time == now {
				if got := w.tally.Streams; got != x.left[0].streams {
					t.Errorf("%s: after %v there are %d streams, want %d", x.name, now, got, x.left[0].streams)
				}
				x.left = x.left[1:]
			}
		}
		if n := w.table.Len(); n != 0 {
			t.Errorf("%s: %d connections are left", x.name, n)
		}
	}
}
