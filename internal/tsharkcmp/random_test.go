package tsharkcmp

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"tcp-stream-exporter/internal/packet"
)

// exchange is a random connection full of the cases that the rules distinguish: sequence numbers at,
// before and after the next one, acknowledgments repeated and of what was never sent, windows that
// close, pauses on both sides of every threshold, SYN and FIN again, RST in between.
type exchange struct {
	r          *rand.Rand
	ends       [2]netip.AddrPort
	options    [2][]byte // of SYN and SYN+ACK: a window scale, or none
	isn        [2]uint32
	nxt        [2]uint32
	lastAck    [2]uint32
	window     [2]uint16
	known      [2][]uint32 // sequence numbers that mean something
	sent       [2]int      // segments without RST
	probed     [2]bool     // the side's last segment was a keep-alive or a window probe
	syn        [2]bool     // it had SYN
	unanswered bool        // the handshake had no SYN+ACK
	now        int64       // µs
	frames     []captured
}

type captured struct {
	time  int64 // µs
	frame []byte
}

func (x *exchange) chance(percent int) bool { return x.r.IntN(100) < percent }

func pick[T any](x *exchange, of ...T) T { return of[x.r.IntN(len(of))] }

func (x *exchange) send(from int, flags uint8, seq, ack uint32, payload int, options []byte) {
	p := packet.TCP{
		Src: x.ends[from], Dst: x.ends[1-from], Flags: flags, Seq: seq, Ack: ack,
		Window: x.window[from], Payload: payload, Options: options,
	}
	x.frames = append(x.frames, captured{x.now, p.Ethernet()})
	if flags&packet.ACK != 0 {
		x.lastAck[from] = ack
	}
	if flags&packet.RST == 0 {
		x.sent[from]++
		x.syn[from] = flags&packet.SYN != 0
	}
}

func newExchange(r *rand.Rand, number int) *exchange {
	x := &exchange{r: r, window: [2]uint16{500, 600}, now: int64(r.IntN(5_000_000))}
	x.ends[0] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(number >> 8), byte(number)}), uint16(1024+number))
	x.ends[1] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, 1}), 80)
	// Not so near to the end of the sequence space that a number becomes 0, which tshark takes for
	// "none".
	x.isn = [2]uint32{1<<20 + r.Uint32N(1<<31), 1<<20 + r.Uint32N(1<<31)}
	x.nxt = x.isn
	for side := range 2 {
		x.lastAck[side] = x.isn[1-side]
		x.known[side] = []uint32{x.isn[side]}
	}
	if x.chance(70) {
		x.handshake()
	}
	for range 3 + r.IntN(40) {
		x.step()
		if x.chance(2) {
			x.reset(false)
		}
	}
	if x.chance(30) {
		x.reset(true)
	}
	return x
}

func (x *exchange) handshake() {
	x.options[0] = pick(x, nil, []byte{3, 3, 2, 1}, []byte{3, 3, 15, 1})
	x.options[1] = pick(x, x.options[0], x.options[0], nil)
	for again := true; again; again = x.chance(15) {
		x.send(0, packet.SYN, x.isn[0], 0, 0, x.options[0])
		x.now += pick[int64](x, 100, 10_000, 50_000, 500_000)
	}
	x.unanswered = true
	for again := x.chance(90); again; again = x.chance(10) {
		x.unanswered = false
		x.send(1, packet.SYN|packet.ACK, x.isn[1], x.isn[0]+1, 0, x.options[1])
		x.now += pick[int64](x, 100, 10_000, 200_000)
	}
	x.nxt[0]++
	x.nxt[1]++
	if x.chance(90) {
		x.send(0, packet.ACK, x.nxt[0], x.nxt[1], 0, nil)
		x.now += pick[int64](x, 100, 20_000)
	}
}

func (x *exchange) step() {
	from := x.r.IntN(2)
	n := pick(x, 0, 0, 0, 1, 1, 2, 10, 100, 100)
	seq := x.nxt[from]
	switch k := x.r.IntN(100); {
	case k < 10:
		seq--
	case k < 20:
		seq -= pick[uint32](x, 2, 10, 50, 100, 200)
	case k < 27:
		seq += pick[uint32](x, 1, 2, 10, 100)
	case k < 37:
		seq = pick(x, x.known[from]...)
	case k < 39:
		seq += x.r.Uint32N(1<<17) - 1<<16 // what lies farther off strays, which tshark does not know
	}
	if x.sent[from] == 0 {
		seq = x.nxt[from] // elsewhere it would make the other side's ACKs those of what was never sent
	}
	ack, other := x.lastAck[from], x.nxt[1-from]
	if x.chance(70) {
		ack = pick(x, other, other, other, other+1, other-1, other+10, pick(x, x.known[1-from]...))
	}
	if ack == other+1 && (x.probed[1-from] || x.sent[1-from] == 1) {
		ack = other // tshark does not know that the byte of a probe, or of a first keep-alive, can be accepted
	}
	if x.chance(12) {
		x.window[from] = pick[uint16](x, 0, 0, 1, 500, 600, 65535)
	}
	flags, options := uint8(packet.ACK), []byte(nil)
	switch k := x.r.IntN(100); {
	case k < 3:
		flags |= packet.FIN
	case k < 7:
		flags |= packet.PSH
	case k < 8 && from == 1 && !x.unanswered: // that would decide how windows before it are scaled, here
		flags, seq, options = flags|packet.SYN, x.isn[1], x.options[1]
	}
	control := flags&(packet.SYN|packet.FIN) != 0
	probe := n == 1 && seq == x.nxt[from] && x.sent[from] > 0 && x.sent[1-from] > 0 && x.window[1-from] == 0
	x.probed[from] = probe || !control && n <= 1 && seq == x.nxt[from]-1
	x.send(from, flags, seq, ack, n, options)
	end := seq + uint32(n)
	if control {
		end++
	}
	if probe {
		end = seq // no window takes its byte: tshark does not know that one can
	}
	x.known[from] = append(x.known[from], seq, end)
	if before(x.nxt[from], end) {
		x.nxt[from] = end
	}
	x.now += pick[int64](x, 0, 1, 500, 1000, 2900, 3100, 5000, 19_000, 21_000, 50_000, 300_000)
}

// reset sends a RST without data, which may be a retransmission for tshark. It takes part in nothing here, so
// that one in between repeats the acknowledgment and the window, does not lie ahead, and does not come between
// a probe, or the SYN, and its answer: tshark would judge what follows by what it moved. Nothing follows the
// last one.
func (x *exchange) reset(last bool) {
	from := x.r.IntN(2)
	if x.sent[from] == 0 {
		from = 1 - from
	}
	flags, seq := uint8(packet.RST|packet.ACK), x.nxt[from]
	switch {
	case x.sent[from] == 0 || !last && (x.probed[from] || x.syn[from]):
		return
	case x.syn[from] || last && x.chance(50):
		// In place, where it is accepted, and its window is the direction's.
		if last {
			x.window[from] = pick[uint16](x, 0, 0, 700)
			flags &= pick[uint8](x, packet.RST, packet.RST|packet.ACK)
		}
	case last:
		seq += pick[uint32](x, 1, 100) // tshark would have to go on from there
	default:
		seq -= pick[uint32](x, 0, 1, 10)
	}
	x.send(from, flags, seq, x.lastAck[from], 0, nil)
	x.now += pick[int64](x, 0, 500, 50_000)
}

// TestRandomExchangesAgainstTshark wants every count equal over connections that nobody would think of,
// but for what Compare explains. The traffic leaves out what differs by a rule that tshark's frames do not
// show to apply, as said where it does.
func TestRandomExchangesAgainstTshark(t *testing.T) {
	needTshark40(t)
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 40))
			var all []captured
			for i := range 1000 {
				all = append(all, newExchange(r, i).frames...)
			}
			path := filepath.Join(t.TempDir(), "random.pcap")
			if err := os.WriteFile(path, pcapOf(all), 0o644); err != nil {
				t.Fatal(err)
			}
			tshark, err := RunTshark(path)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := RunExporter(path)
			if err != nil {
				t.Fatal(err)
			}
			report := Compare(tshark, ours)
			theirs := &report.Totals[0]
			t.Logf("%d directions, %d explained, totals %+v", report.Directions, len(report.Explained), *theirs)
			if report.Directions < 1900 || theirs.Retransmissions < 500 || theirs.OutOfOrder < 100 ||
				theirs.MissedRepeats < 100 || theirs.MissedDuplicateACKs < 5 || theirs.EarlyACKs < 100 {
				t.Errorf("%d directions, %+v: too little to compare", report.Directions, *theirs)
			}
			for _, d := range report.Differences[:min(20, len(report.Differences))] {
				t.Error(d)
			}
		})
	}
}

// pcapOf writes a pcap file of Ethernet frames in the order of their times.
func pcapOf(frames []captured) []byte {
	slices.SortStableFunc(frames, func(a, b captured) int { return int(a.time - b.time) })
	order := binary.LittleEndian
	b := order.AppendUint32(nil, 0xa1b2c3d4)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), 1)
	for _, f := range frames {
		b = order.AppendUint32(b, uint32(1_700_000_000+f.time/1_000_000))
		b = order.AppendUint32(b, uint32(f.time%1_000_000))
		b = order.AppendUint32(b, uint32(len(f.frame)))
		b = order.AppendUint32(b, uint32(len(f.frame)))
		b = append(b, f.frame...)
	}
	return b
}
