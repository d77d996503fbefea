package worker

import (
	"net/netip"
	"testing"

	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/parse"
)

// sendFirst accounts the first fragment of p at now.
func sendFirst(w *Worker, p packet.TCP, now int64) {
	first, _ := p.Fragments(48)
	w.Frame(parse.LinkEthernet, first, uint32(len(first)), now)
	w.flush()
}

// The kernel finds a fragment's worker by its addresses alone: one that began a connection would begin it
// beside the one that another worker has.
func TestAFragmentOpensNoConnection(t *testing.T) {
	client6, server6 := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:443")
	for name, p := range map[string]packet.TCP{
		"IPv4": {Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 1000},
		"IPv6": {Src: client6, Dst: server6, Seq: 1, Ack: 1, Flags: packet.ACK, Payload: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			for _, optional := range []bool{false, true} {
				w := newWorker(t, Config{IPv6: true, Optional: optional})
				fragments := func(want uint64) {
					t.Helper()
					if n := w.Stats().Skipped[parse.Fragment]; n != want {
						t.Errorf("%d fragments skipped, want %d", n, want)
					}
				}
				sendFirst(w, p, sec)
				if st := w.Stats(); st.Connections != 0 || st.Streams != 0 || st.Opened != 0 {
					t.Errorf("a fragment alone: %d connections, %d streams", st.Connections, st.Streams)
				}
				fragments(1)

				whole := p
				whole.Payload = 100
				send(w, whole, 2*sec)
				sendFirst(w, p, 3*sec)
				if v := from(t, w, p.Src); v.Packets != 2 || v.Bytes != 100 {
					t.Errorf("%d packets, %d bytes: want the fragment counted as a packet without bytes", v.Packets, v.Bytes)
				}
				fragments(1)

				sendFirst(w, p, 9*sec) // the age has passed, the wheel has not come to it
				if st := w.Stats(); st.Streams != 0 || st.Opened != 1 {
					t.Errorf("a fragment after the age: %d streams, %d opened", st.Streams, st.Opened)
				}
				fragments(2)
				for w.Expire(10) {
				}
				if n := w.Stats().Connections; n != 0 {
					t.Errorf("%d connections left", n)
				}
			}
		})
	}
}

// A header that makes no sense is no fragment: its connection is known.
func TestASegmentOfUnknownLengthOpensAConnection(t *testing.T) {
	w := newWorker(t, Config{})
	b := packet.TCP{Src: client, Dst: server, Seq: 1, Ack: 1, Flags: packet.ACK}.Ethernet()
	b[14+20+12] = 0xf0 // data offset beyond the segment
	w.Frame(parse.LinkEthernet, b, uint32(len(b)), sec)
	w.flush()
	if st := w.Stats(); st.Streams != 1 || st.Skipped[parse.Fragment] != 0 {
		t.Errorf("%d streams, skipped %v", st.Streams, st.Skipped)
	}
}
