package worker

import (
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/stream"
)

// The optional figures are those of the stream in the snapshot, on every way that a segment takes, also
// when a record has had another connection.
func TestOptionalFigures(t *testing.T) {
	w := newWorker(t, Config{Optional: true, MaxConnections: 1, StreamAge: time.Minute, FinalizedAge: time.Minute})
	shake := func(at int64) {
		send(w, packet.TCP{Src: client, Dst: server, Seq: 0, Flags: packet.SYN, Window: 500}, at)
		send(w, packet.TCP{Src: server, Dst: client, Seq: 0, Ack: 1, Flags: packet.SYN | packet.ACK, Window: 500}, at+10*ms)
		send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 500}, at+30*ms)
	}
	frame := uint64(len(packet.TCP{Src: client, Dst: server, Flags: packet.ACK}.Ethernet()))
	check := func(says string, wantClient, wantServer stream.Extra) {
		t.Helper()
		s := Snapshot{WithExtras: true}
		defer s.Close()
		if err := w.Snapshot(&s); err != nil {
			t.Fatal(err)
		}
		if len(s.Views) != 2 {
			t.Fatalf("%s: %d streams", says, len(s.Views))
		}
		for i := range s.Views {
			want, got := wantServer, s.Extras[i]
			if s.Views[i].SrcPort == client.Port() {
				want = wantClient
			}
			got.First, got.Last, got.Syn, got.Handshake = 0, 0, 0, 0
			if got != want {
				t.Errorf("%s: the stream from port %d has %+v, want %+v", says, s.Views[i].SrcPort, got, want)
			}
		}
	}
	shaken := stream.Extra{RTTs: 1, RTTSum: uint64(10 * ms), Wire: 2 * frame, SYNs: 1}
	answered := stream.Extra{RTTs: 1, RTTSum: uint64(20 * ms), Wire: frame, SYNs: 1}
	shake(sec)
	check("a handshake", shaken, answered)

	for range 2 { // the second one repeats the first
		send(w, packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Window: 500, Payload: 100}, 2*sec)
	}
	with := shaken
	with.Wire, with.Repeated = 4*frame+200, 100
	check("data that is repeated", with, answered)

	// Past their age, and before the wheel has come to them.
	shake(100 * sec)
	check("another connection in the same record", shaken, answered)
}
