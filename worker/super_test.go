package worker

import (
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// How many segments a super-packet holds is told by what the receiver announced, by the MTU, and by the timestamps.
func TestSegmentsOfSuperPackets(t *testing.T) {
	src, dst := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:80")
	stamps := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1}
	mss := func(n uint16) []byte { return []byte{2, 4, byte(n >> 8), byte(n)} }
	for _, row := range []struct {
		name     string
		optional bool
		receiver []byte // options of the receiver's SYN
		options  []byte // of the super-packet
		payload  int
		want     uint64
	}{
		{"by the MTU", false, mss(500), nil, 3000, 3},
		{"one byte more than one", false, nil, nil, 1461, 2},
		{"with timestamps", false, nil, stamps, 2896, 2},
		{"a byte more with timestamps", false, nil, stamps, 2897, 3},
		{"by what the receiver announced", true, mss(500), nil, 3000, 6},
		{"announced beyond the MTU", true, mss(9000), nil, 3000, 3},
		{"the receiver announced nothing", true, nil, nil, 3000, 3},
		{"announced, with timestamps", true, mss(512), stamps, 3000, 6},
		{"announced, but too little for timestamps", true, mss(12), stamps, 2896, 2},
	} {
		w, err := New(Config{MaxConnections: 16, StreamAge: time.Minute, FinalizedAge: time.Minute, Optional: row.optional})
		if err != nil {
			t.Fatal(err)
		}
		w.SetSuperAbove(1460)
		for _, p := range []packet.TCP{
			{Src: src, Dst: dst, Flags: packet.SYN, Options: mss(1460)},
			{Src: dst, Dst: src, Flags: packet.SYN | packet.ACK, Ack: 1, Options: row.receiver},
			{Src: src, Dst: dst, Seq: 1, Ack: 1, Flags: packet.ACK, Options: row.options, Payload: row.payload},
		} {
			b := p.Ethernet()
			w.Frame(parse.LinkEthernet, b, uint32(len(b)), int64(time.Second))
			w.Expire(0) // a batch of its own, in which the connection is known
		}
		s := w.Stats()
		if s.SuperPackets != 1 || s.SuperSegments != row.want {
			t.Errorf("%s: %d super-packets with %d segments, want 1 with %d", row.name, s.SuperPackets, s.SuperSegments, row.want)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
