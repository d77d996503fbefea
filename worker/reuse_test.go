package worker

import (
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// A client that resets finalizes its own direction alone. The ports may come again once that one has
// expired and the other has not: that is a new connection too.
func TestPortsUsedAgainAfterOneDirectionExpired(t *testing.T) {
	w, err := New(Config{MaxConnections: 10, StreamAge: 3 * time.Second, FinalizedAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a, b := netip.MustParseAddrPort("10.0.0.1:1000"), netip.MustParseAddrPort("10.0.0.2:80")
	now := int64(1e12)
	send := func(p packet.TCP) {
		f := p.Ethernet()
		w.Frame(parse.LinkEthernet, f, uint32(len(f)), now)
		now += 1e6
	}
	conn := func(x, y uint32) {
		send(packet.TCP{Src: a, Dst: b, Seq: x, Flags: packet.SYN, Window: 500})
		send(packet.TCP{Src: b, Dst: a, Seq: y, Ack: x + 1, Flags: packet.SYN | packet.ACK, Window: 500})
		send(packet.TCP{Src: a, Dst: b, Seq: x + 1, Ack: y + 1, Flags: packet.ACK, Window: 500})
		send(packet.TCP{Src: b, Dst: a, Seq: y + 1, Ack: x + 1, Flags: packet.ACK, Window: 500, Payload: 100})
		send(packet.TCP{Src: a, Dst: b, Seq: x + 1, Ack: y + 101, Flags: packet.ACK | packet.RST, Window: 500})
	}
	conn(1000, 2000)
	now += 1.5e9
	w.Tick(now)
	w.Expire(100)
	conn(500000, 900000000)
	w.flush()
	if s := w.Stats(); s.Opened != 4 || s.Streams != 2 {
		t.Errorf("%d streams opened, %d there; want 4, 2", s.Opened, s.Streams)
	}
}
