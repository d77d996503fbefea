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

// exchange is a random connection that dwells on what the rules tell apart: sequence numbers at,
// before and after the next one, acknowledgments repeated and of what was never sent, windows that
// close, pauses on both sides of every threshold, SYN and FIN again, RST in between.
type exchange struct {
	r       *rand.Rand
	ends    [2]netip.AddrPort
	options [2][]byte // of SYN and SYN+ACK: a window scale, or none
	isn     [2]uint32
	nxt     [2]uint32
	lastAck [2]uint32
	window  [2]uint16
	known   [2][]uint32 // sequence numbers that mean something
	now     int64       // µs
	frames  []captured
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
	for again := x.chance(90); again; again = x.chance(10) {
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
	ack := x.lastAck[from]
	if x.chance(70) {
		other := x.nxt[1-from]
		ack = pick(x, other, other, other, other+1, other-1, other+10, pick(x, x.known[1-from]...))
	}
	if x.chance(12) {
		x.window[from] = pick[uint16](x, 0, 0, 1, 500, 600, 65535)
	}
	flags, options := uint8(packet.ACK), []byte(nil)
	switch k := x.r.IntN(100); {
	case k < 3:
		flags |= packet.FIN
	case k < 5:
		flags |= packet.RST
	case k < 7:
		flags |= packet.PSH
	case k < 8 && from == 1:
		flags, seq, options = flags|packet.SYN, x.isn[1], x.options[1]
	}
	x.send(from, flags, seq, ack, n, options)
	x.lastAck[from] = ack
	end := seq + uint32(n)
	if flags&(packet.SYN|packet.FIN) != 0 {
		end++
	}
	x.known[from] = append(x.known[from], seq, end)
	if before(x.nxt[from], end) {
		x.nxt[from] = end
	}
	x.now += pick[int64](x, 0, 1, 500, 1000, 2900, 3100, 5000, 19_000, 21_000, 50_000, 300_000)
}

// TestRandomExchangesAgainstTshark wants every count equal over connections that nobody would
// think of.
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
			if report.Directions < 1900 || report.Totals[0].Retransmissions < 500 || report.Totals[0].OutOfOrder < 100 {
				t.Errorf("%d directions, %+v: too little to compare", report.Directions, report.Totals[0])
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
