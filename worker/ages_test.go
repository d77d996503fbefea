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
