package stream

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"tcp-stream-exporter/parse"
)

const (
	a = 0 // the client's direction
	b = 1 // the server's
)

// step is one packet of a scenario: who sends what, at how many milliseconds.
type step struct {
	ms    float64
	dir   uint32
	flags parse.Flags
	seq   parse.Seq
	len   uint32
	ack   parse.Seq
	win   uint16
	ws    int8 // window scale option of a SYN plus 1; 0: none
}

const (
	ack = parse.ACK
	syn = parse.SYN
	fin = parse.FIN
	rst = parse.RST
)

// counts holds what a scenario expects of one direction.
type counts struct {
	packets, bytes                         uint64
	retrans, ooo, gaps, dups, zero, resets uint32
	window                                 uint32
	finalized                              bool
	rtt                                    uint32 // samples
}

func (s step) segment() *parse.Segment {
	g := &parse.Segment{Seq: s.seq, Ack: s.ack, Len: s.len, Window: s.win, Flags: s.flags}
	if s.flags&syn != 0 {
		g.Options = parse.SYNOptions(0, s.ws-1)
	}
	return g
}

func play(c *Conn, t *Tally, steps []step) {
	for _, s := range steps {
		c.Account(s.dir, s.segment(), int64(s.ms*1e6), t)
	}
}

func fresh() *Conn {
	c := &Conn{}
	c.Reset()
	return c
}

func countsOf(c *Conn, dir int) counts {
	s, d := &c.side[dir].hot, &c.side[dir].cold
	return counts{
		packets: s.packets, bytes: s.bytes, retrans: d.retransmits, ooo: d.outOfOrder, gaps: d.gaps,
		dups: d.duplicateAcks, zero: d.zeroWindows, resets: d.resets, window: s.window(d),
		finalized: s.flags&finalized != 0, rtt: uint32(d.delayN),
	}
}

// shake is a handshake at 0, 10 and 20 ms that leaves both sides at sequence number 1.
var shake = []step{
	{0, a, syn, 0, 0, 0, 1000, 1 + 7},
	{10, b, syn | ack, 0, 0, 1, 2000, 1 + 2},
	{20, a, ack, 1, 0, 1, 10, 0},
}

func after(first []step, more ...step) []step { return append(append([]step(nil), first...), more...) }

func TestScenarios(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
		a, b  counts
	}{
		{"a handshake is counted and timed on both sides", shake,
			counts{packets: 2, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"the window of a SYN is not scaled", shake[:1],
			counts{packets: 1, window: 1000}, counts{}},

		{"no scaling when the SYN+ACK comes without the option",
			[]step{{0, a, syn, 0, 0, 0, 1000, 8}, {1, b, syn | ack, 0, 0, 1, 2000, 0}, {2, a, ack, 1, 0, 1, 10, 0}},
			counts{packets: 2, window: 10, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a SYN repeated after such a SYN+ACK does not bring the scale back",
			[]step{{0, a, syn, 0, 0, 0, 1000, 8}, {1, b, syn | ack, 0, 0, 1, 2000, 0}, {2, a, syn, 0, 0, 0, 1000, 8}, {3, a, ack, 1, 0, 1, 10, 0}},
			counts{packets: 3, window: 10, retrans: 1, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"data and its ACK", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{45, b, ack, 1, 0, 101, 20, 0}),
			counts{packets: 3, bytes: 100, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"the longest round trip", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{30 + 137_438, b, ack, 1, 0, 101, 20, 0}),
			counts{packets: 3, bytes: 100, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"a clock that was set makes no round trip", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{30 + 137_439, b, ack, 1, 0, 101, 20, 0}),
			counts{packets: 3, bytes: 100, window: 10 << 7, rtt: 1}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"a clock that was set makes no handshake's round trip",
			[]step{{0, a, syn, 0, 0, 0, 1000, 1 + 7}, {10, b, syn | ack, 0, 0, 1, 2000, 1 + 2}, {10 + 137_439, a, ack, 1, 0, 1, 10, 0}},
			counts{packets: 2, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000}},

		{"data sent again after a timeout is one retransmission and gives no RTT sample", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{330, a, ack, 1, 100, 1, 10, 0}, step{345, b, ack, 1, 0, 101, 20, 0}),
			counts{packets: 4, bytes: 200, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"a segment that repeats some and brings new data is a retransmission", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{330, a, ack, 51, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 200, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"data that was acknowledged before is a spurious retransmission", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{40, b, ack, 1, 0, 101, 20, 0}, step{41, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 200, retrans: 1, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"a repeated SYN is a retransmission",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {1000, a, syn, 5, 0, 0, 1000, 0}},
			counts{packets: 2, retrans: 1, window: 1000}, counts{}},

		{"a stray RST between two SYNs does not hide the repetition",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {10, a, rst, 900, 0, 0, 0, 0}, {1000, a, syn, 5, 0, 0, 1000, 0}},
			counts{packets: 3, retrans: 1, resets: 1, window: 1000}, counts{}},

		{"a repeated FIN is a retransmission", after(shake,
			step{30, a, fin | ack, 1, 0, 1, 10, 0}, step{330, a, fin | ack, 1, 0, 1, 10, 0}),
			counts{packets: 4, retrans: 1, window: 10 << 7, finalized: true, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a hole that is filled at once is reordering", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{30.5, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 200, gaps: 1, ooo: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a hole that is filled after a round trip is a retransmission", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{60, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 200, gaps: 1, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"half the handshake's round trip decides, to 64 ns",
			[]step{{0, a, syn, 0, 0, 0, 1000, 8}, {10, b, syn | ack, 0, 0, 1, 2000, 3}, {20.00004, a, ack, 1, 1, 1, 10, 0},
				{30, a, ack, 102, 100, 1, 10, 0}, {39.999956, a, ack, 2, 50, 1, 10, 0}, {40.000084, a, ack, 52, 50, 1, 10, 0}},
			counts{packets: 5, bytes: 201, gaps: 1, ooo: 1, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a handshake of five seconds decides, too",
			[]step{{0, a, syn, 0, 0, 0, 1000, 8}, {5000, a, ack, 1, 0, 1, 10, 0},
				{5030, a, ack, 101, 100, 1, 10, 0}, {7529, a, ack, 1, 50, 1, 10, 0}, {7531, a, ack, 51, 50, 1, 10, 0}},
			counts{packets: 5, bytes: 200, gaps: 1, ooo: 1, retrans: 1, window: 10 << 7}, counts{}},

		{"half the round trips of both sides decide as soon as they are known", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{32, b, ack, 1, 0, 101, 20, 0}, step{33, b, ack, 1, 100, 101, 20, 0}, step{34, a, ack, 101, 0, 101, 10, 0},
			step{40, a, ack, 201, 100, 101, 10, 0}, step{41, a, ack, 101, 50, 101, 10, 0}, step{42, a, ack, 151, 50, 101, 10, 0}),
			counts{packets: 7, bytes: 300, gaps: 1, ooo: 1, retrans: 1, window: 10 << 7, rtt: 2}, counts{packets: 3, bytes: 100, window: 20 << 2, rtt: 2}},

		{"the hole's opening counts, not the newest byte", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{39.9, a, ack, 201, 100, 1, 10, 0}, step{40, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 300, gaps: 1, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"what was seen once cannot be late", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{30.1, a, ack, 101, 100, 1, 10, 0}, step{30.2, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 300, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"nor can what lies behind every hole", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{30.1, a, ack, 201, 100, 1, 10, 0}, step{30.2, a, ack, 101, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 300, gaps: 1, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"an ACK closes the holes before it", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{30.1, b, ack, 1, 0, 201, 20, 0}, step{30.2, a, ack, 201, 100, 1, 10, 0}, step{30.3, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 300, gaps: 1, retrans: 1, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"of two holes the one that is filled decides", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{39, a, ack, 301, 100, 1, 10, 0},
			step{41, a, ack, 201, 100, 1, 10, 0}, step{41, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 6, bytes: 400, gaps: 2, ooo: 1, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"data that is captured just after its ACK is new", after(shake,
			step{30, b, ack, 1, 0, 101, 20, 0}, step{30.01, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 3, bytes: 100, window: 10 << 7, rtt: 1}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"data that comes long after its ACK was sent again", after(shake,
			step{30, b, ack, 1, 0, 101, 20, 0}, step{45, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 3, bytes: 100, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"the ACK of a recovery is no round trip", after(shake,
			step{30, a, ack, 101, 100, 1, 10, 0}, step{30.1, a, ack, 201, 100, 1, 10, 0},
			step{50, a, ack, 1, 100, 1, 10, 0}, step{60, b, ack, 1, 0, 301, 20, 0},
			step{70, a, ack, 301, 100, 1, 10, 0}, step{80, b, ack, 1, 0, 401, 20, 0}),
			counts{packets: 6, bytes: 400, gaps: 1, retrans: 1, window: 10 << 7, rtt: 2}, counts{packets: 3, window: 20 << 2, rtt: 1}},

		{"without a handshake three milliseconds decide",
			[]step{{0, a, ack, 1, 100, 1, 10, 0}, {1, a, ack, 201, 100, 1, 10, 0}, {3.5, a, ack, 101, 50, 1, 10, 0}, {7, a, ack, 151, 50, 1, 10, 0}},
			counts{packets: 4, bytes: 300, gaps: 1, ooo: 1, retrans: 1, window: 10}, counts{}},

		{"duplicate ACKs count from the first, and two of them make a fast retransmission", after(shake,
			step{30, b, ack, 1, 100, 1, 20, 0}, step{30, b, ack, 101, 100, 1, 20, 0},
			step{31, a, ack, 1, 0, 1, 10, 0}, step{32, a, ack, 1, 0, 1, 10, 0},
			step{33, b, ack, 1, 100, 1, 20, 0}),
			counts{packets: 4, dups: 2, window: 10 << 7, rtt: 1}, counts{packets: 4, bytes: 300, retrans: 1, window: 20 << 2, rtt: 1}},

		{"data that repeats the ACK number is no duplicate ACK", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{31, a, ack, 101, 100, 1, 10, 0}, step{32, a, ack, 201, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 300, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a window update is no duplicate ACK", after(shake,
			step{30, a, ack, 1, 0, 1, 20, 0}, step{31, a, ack, 1, 0, 1, 30, 0}),
			counts{packets: 4, window: 30 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"keep-alives and their answers are neither repeats nor duplicates", after(shake,
			step{1000, a, ack, 0, 0, 1, 10, 0}, step{1010, b, ack, 1, 0, 1, 20, 0},
			step{2000, a, ack, 0, 1, 1, 10, 0}, step{2010, b, ack, 1, 0, 1, 20, 0},
			step{3000, a, ack, 0, 1, 1, 10, 0}, step{3010, b, ack, 1, 0, 1, 20, 0}),
			counts{packets: 5, bytes: 2, window: 10 << 7, rtt: 1}, counts{packets: 4, window: 20 << 2, rtt: 1}},

		{"a zero window, its probes and their answers", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{40, b, ack, 1, 0, 101, 0, 0},
			step{300, a, ack, 101, 1, 1, 10, 0}, step{310, b, ack, 1, 0, 101, 0, 0},
			step{600, a, ack, 101, 1, 1, 10, 0}, step{610, b, ack, 1, 0, 101, 0, 0},
			step{700, b, ack, 1, 0, 101, 50, 0}, step{710, a, ack, 101, 100, 1, 10, 0}),
			counts{packets: 6, bytes: 202, window: 10 << 7, rtt: 2}, counts{packets: 5, zero: 3, window: 50 << 2, rtt: 1}},

		{"a RST ends both directions, and its window 0 is no zero window", after(shake, step{30, b, rst, 1, 0, 0, 0, 0}),
			counts{packets: 2, window: 10 << 7, finalized: true, rtt: 1}, counts{packets: 2, resets: 1, finalized: true, rtt: 1}},

		{"a RST that is not acceptable ends nothing and says nothing", after(shake,
			step{30, b, rst | ack, 1001, 0, 500, 0, 0}, step{31, a, ack, 1, 1, 1, 10, 0}, step{32, b, ack, 1, 0, 2, 20, 0}),
			counts{packets: 3, bytes: 1, window: 10 << 7, rtt: 2}, counts{packets: 3, window: 20 << 2, resets: 1, rtt: 1}},

		{"a connection that is refused",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {1, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},

		{"a RST that answers another SYN refuses nothing",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {1, b, rst | ack, 0, 0, 7, 0, 0}},
			counts{packets: 1, window: 1000}, counts{packets: 1, resets: 1}},

		{"the window of a RST right after a SYN+ACK is scaled", after(shake[:2], step{11, b, rst, 1, 0, 0, 7, 0}),
			counts{packets: 1, window: 1000, finalized: true, rtt: 1}, counts{packets: 2, window: 7 << 2, resets: 1, finalized: true}},

		{"the sequence space wraps",
			[]step{{0, a, ack, 0xffffffc0, 100, 1, 10, 0}, {5, b, ack, 1, 0, 36, 10, 0},
				{10, a, ack, 36, 100, 1, 10, 0}, {400, a, ack, 36, 100, 1, 10, 0}, {410, a, ack, 236, 10, 1, 10, 0}},
			counts{packets: 4, bytes: 310, retrans: 1, gaps: 1, window: 10, rtt: 1}, counts{packets: 1, window: 10}},

		{"a stream first seen in the middle has no gap and no repeat",
			[]step{{0, a, ack, 777777, 100, 1, 10, 0}, {1, a, ack, 777877, 100, 1, 10, 0}},
			counts{packets: 2, bytes: 200, window: 10}, counts{}},

		{"an ACK beyond a timed segment's end ends its timing, the last one it covers gives the sample", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{31, a, ack, 101, 100, 1, 10, 0}, step{45, b, ack, 1, 0, 201, 20, 0}),
			counts{packets: 4, bytes: 200, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"of a burst longer than what is timed, the last segment is timed", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{30, a, ack, 101, 100, 1, 10, 0}, step{30, a, ack, 201, 100, 1, 10, 0},
			step{30, a, ack, 301, 100, 1, 10, 0}, step{30, a, ack, 401, 100, 1, 10, 0}, step{31, a, ack, 501, 100, 1, 10, 0},
			step{45, b, ack, 1, 0, 601, 20, 0}),
			counts{packets: 8, bytes: 600, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"new data after a RST makes the stream active again", after(shake,
			step{30, a, rst, 1, 0, 0, 0, 0}, step{40, a, ack, 1, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 100, resets: 1, window: 10 << 7, rtt: 1}, counts{packets: 1, window: 2000, finalized: true, rtt: 1}},

		{"an ACK after the FIN leaves it finalized", after(shake,
			step{30, a, fin | ack, 1, 0, 1, 10, 0}, step{40, b, fin | ack, 1, 0, 2, 20, 0}, step{50, a, ack, 2, 0, 2, 10, 0}),
			counts{packets: 4, window: 10 << 7, finalized: true, rtt: 2}, counts{packets: 2, window: 20 << 2, finalized: true, rtt: 2}},

		{"a SYN with a new number starts a half-open connection afresh",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {160, a, syn, 99, 0, 0, 900, 0}},
			counts{packets: 1, window: 900}, counts{}},

		{"a SYN with a new number replaces a finished connection", after(shake,
			step{30, a, fin | ack, 1, 0, 1, 10, 0}, step{31, b, fin | ack, 1, 0, 2, 10, 0}, step{500, a, syn, 99, 0, 0, 900, 0}),
			counts{packets: 1, window: 900}, counts{}},

		{"a forged SYN leaves a live connection alone", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{31, a, syn, 5555, 0, 0, 1, 0}, step{40, b, ack, 1, 0, 101, 20, 0}, step{50, a, ack, 101, 100, 1, 10, 0}),
			counts{packets: 5, bytes: 200, window: 10 << 7, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"a SYN that a SYN+ACK confirms replaces a live connection", after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0}, step{50, a, syn, 5555, 0, 0, 700, 0}, step{53, b, syn | ack, 900, 0, 5556, 800, 0}),
			counts{packets: 1, window: 700, rtt: 1}, counts{packets: 1, window: 800}},

		{"a SYN after the FIN of one side alone has to be confirmed", after(shake,
			step{30, a, fin | ack, 1, 0, 1, 10, 0}, step{50, a, syn, 5555, 0, 0, 700, 0}),
			counts{packets: 4, window: 10 << 7, finalized: true, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"after its FIN, when no other side was seen, it replaces the connection",
			[]step{{0, a, fin | ack, 1, 0, 1, 10, 0}, {50, a, syn, 5555, 0, 0, 700, 0}},
			counts{packets: 1, window: 700}, counts{}},

		{"a SYN waits no longer than 64 s", after(shake,
			step{50, a, syn, 5555, 0, 0, 700, 0}, step{64050, a, ack, 5556, 10, 901, 600, 0}),
			counts{packets: 4, bytes: 10, gaps: 1, window: 600 << 7, rtt: 1}, counts{packets: 1, window: 2000, rtt: 1}},

		{"a SYN is not confirmed by its own side once the other has gone on", after(shake,
			step{50, a, syn, 5555, 0, 0, 700, 0}, step{55, b, ack, 1, 10, 1, 20, 0}, step{60, a, ack, 5556, 10, 11, 600, 0}),
			counts{packets: 4, bytes: 10, gaps: 1, window: 600 << 7, rtt: 1}, counts{packets: 2, bytes: 10, window: 20 << 2, rtt: 2}},

		{"of two attempts the first is answered",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {160, a, syn, 99, 0, 0, 900, 0}, {200, b, syn | ack, 7, 0, 6, 500, 0}, {210, a, ack, 6, 100, 8, 10, 0}},
			counts{packets: 2, bytes: 100, window: 10}, counts{packets: 1, window: 500, rtt: 1}},

		{"both sides open",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {1, b, syn, 7, 0, 0, 900, 0}, {2, a, syn | ack, 5, 0, 8, 10, 0}, {3, b, syn | ack, 7, 0, 6, 10, 0}, {4, a, ack, 6, 10, 8, 10, 0}},
			counts{packets: 3, bytes: 10, window: 10, rtt: 1}, counts{packets: 2, window: 10, rtt: 1}},

		{"an open that is split",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {1, b, ack, 7, 0, 6, 900, 0}, {2, b, syn, 7, 0, 0, 900, 0}, {3, a, syn | ack, 5, 0, 8, 10, 0}, {4, b, ack, 8, 10, 6, 10, 0}},
			counts{packets: 2, window: 10, rtt: 1}, counts{packets: 3, bytes: 10, window: 10, rtt: 1}},

		{"a capture that begins with a keep-alive",
			[]step{{0, a, ack, 99, 0, 8, 10, 0}, {1, b, ack, 8, 0, 100, 20, 0}, {1000, a, ack, 99, 0, 8, 10, 0}, {1001, b, ack, 8, 0, 100, 20, 0}, {2000, a, ack, 100, 50, 8, 10, 0}},
			counts{packets: 3, bytes: 50, window: 10}, counts{packets: 2, window: 20}},

		{"a probe whose byte is taken", after(shake,
			step{40, b, ack, 1, 0, 1, 0, 0}, step{300, a, ack, 1, 1, 1, 10, 0}, step{310, b, ack, 1, 0, 2, 50, 0}, step{320, a, ack, 2, 100, 1, 10, 0}),
			counts{packets: 4, bytes: 101, window: 10 << 7, rtt: 1}, counts{packets: 3, zero: 1, window: 50 << 2, rtt: 1}},

		{"a single byte sent again is no keep-alive while it is not acknowledged", after(shake,
			step{30, a, ack, 1, 1, 1, 10, 0}, step{230, a, ack, 1, 1, 1, 10, 0}, step{240, b, ack, 1, 0, 2, 20, 0}),
			counts{packets: 4, bytes: 2, retrans: 1, window: 10 << 7, rtt: 1}, counts{packets: 2, window: 20 << 2, rtt: 1}},

		{"options that the capture has cut off say nothing of the scale",
			[]step{{0, a, syn, 0, 0, 0, 1000, parse.CutWScale + 1}, {1, b, syn | ack, 0, 0, 1, 2000, 1 + 2}, {2, a, ack, 1, 0, 1, 10, 0}, {3, b, ack, 1, 0, 1, 10, 0}},
			counts{packets: 2, window: 10, rtt: 1}, counts{packets: 2, window: 10 << 2, rtt: 1}},

		{"of two attempts the first is answered, though the second came twice",
			[]step{{0, a, syn, 5, 0, 0, 1000, 0}, {160, a, syn, 99, 0, 0, 900, 0}, {170, a, syn, 99, 0, 0, 900, 0}, {200, b, syn | ack, 7, 0, 6, 500, 0},
				{210, a, ack, 6, 100, 8, 10, 0}, {220, b, ack, 8, 0, 106, 10, 0}},
			counts{packets: 3, bytes: 100, retrans: 1, window: 10, rtt: 1}, counts{packets: 2, window: 10, rtt: 1}},

		{"a SYN that waits keeps its window scale", after(shake,
			step{50, a, syn, 5555, 0, 0, 700, 1 + 9}, step{53, b, syn | ack, 900, 0, 5556, 800, 1 + 3}, step{54, a, ack, 5556, 0, 901, 3, 0}),
			counts{packets: 2, window: 3 << 9, rtt: 1}, counts{packets: 1, window: 800, rtt: 1}},

		{"a SYN against the ACKs of the other side alone replaces nothing yet",
			[]step{{0, b, ack, 900, 10, 77, 10, 0}, {1, a, syn, 5555, 0, 0, 700, 0}, {2, b, ack, 910, 10, 77, 10, 0}},
			counts{packets: 1}, counts{packets: 2, bytes: 20, window: 10}},

		{"a SYN that its own side goes on from replaces a live connection", after(shake,
			step{50, a, syn, 5555, 0, 0, 700, 0}, step{60, a, ack, 5556, 10, 901, 600, 0}),
			counts{packets: 2, bytes: 10, window: 600}, counts{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, tally := fresh(), &Tally{}
			play(c, tally, tc.steps)
			if got := countsOf(c, a); got != tc.a {
				t.Errorf("client:\n%+v, want\n%+v", got, tc.a)
			}
			if got := countsOf(c, b); got != tc.b {
				t.Errorf("server:\n%+v, want\n%+v", got, tc.b)
			}
			streams, active := c.Live()
			if tally.Streams != int64(streams) || tally.Active != int64(active) {
				t.Errorf("tally says %d streams, %d active; the connection has %d, %d", tally.Streams, tally.Active, streams, active)
			}
		})
	}
}

func TestSegmentsOfUnknownLengthAreCountedOnly(t *testing.T) {
	c, tally := fresh(), &Tally{}
	play(c, tally, after(shake, step{30, a, ack, 1, 100, 1, 10, 0}))
	before := countsOf(c, a)
	c.Account(a, &parse.Segment{Seq: 4e9, Ack: 7, Flags: rst | ack | parse.LenUnknown}, 40e6, tally)
	before.packets++
	if got := countsOf(c, a); got != before {
		t.Errorf("%+v, want %+v", got, before)
	}
}

func TestMomentsEqualThePlainFiguresOfTheFirstSamples(t *testing.T) {
	var m moments
	var n uint8
	var sum, squares float64
	for i := range averageLen {
		x := math.Sin(float64(i))*400 + 700
		m.take(&n, float32(x))
		sum += x
		squares += x * x
		mean := sum / float64(i+1)
		dev := math.Sqrt(max(squares/float64(i+1)-mean*mean, 0))
		if math.Abs(float64(m.mean)-mean) > 1e-4*mean || math.Abs(float64(m.deviation())-dev) > 1e-3*(dev+1) {
			t.Fatalf("after %d samples: mean %v, deviation %v; want %v, %v", i+1, m.mean, m.deviation(), mean, dev)
		}
	}
	for range 1000 { // the average follows the latest samples
		m.take(&n, 50)
	}
	if math.Abs(float64(m.mean)-50) > 0.01 || m.deviation() > 0.1 {
		t.Errorf("after 1000 times 50: mean %v, deviation %v", m.mean, m.deviation())
	}
}

func TestSilentSecondsAllAtOnceEqualOneByOne(t *testing.T) {
	for _, busy := range []int64{10, 70} {
		for _, silent := range []int64{1, 2, 10, 11, 30, 59, 60, 61, 500} {
			silentSeconds(t, busy, silent)
		}
	}
}

// silentSeconds ends some seconds with bytes and then silent ones, all at once and one by one.
func silentSeconds(t *testing.T, busy, silent int64) {
	var once, single struct {
		Stream
		Detail
	}
	once.secondEnd, single.secondEnd = second, second
	for i := range busy {
		once.bytes += uint64(1000 * i)
		single.bytes = once.bytes
		once.closeSeconds(&once.Detail, (i+1)*second)
		single.closeSeconds(&single.Detail, (i+1)*second)
	}
	once.bytes += 5000
	single.bytes = once.bytes
	once.closeSeconds(&once.Detail, (busy+1+silent)*second)
	for i := range silent + 1 {
		single.closeSeconds(&single.Detail, (busy+1+i)*second)
	}
	if once.rateN != single.rateN || once.Stream != single.Stream || once.secondStart != single.secondStart || once.rateBytes != 0 || once.seconds != single.seconds ||
		math.Abs(float64(once.rate.mean-single.rate.mean)) > 1e-3*float64(single.rate.mean)+1e-9 ||
		math.Abs(float64(once.rate.deviation()-single.rate.deviation())) > 1e-3*float64(single.rate.deviation())+1e-9 {
		t.Errorf("%d silent seconds after %d: at once %+v (%d), one by one %+v (%d)", silent, busy, once.rate, once.rateN, single.rate, single.rateN)
	}
}

func TestView(t *testing.T) {
	c, tally := fresh(), &Tally{}
	play(c, tally, shake)
	for i := range 30 { // 1000 bytes every 100 ms, acknowledged 10 ms later
		ms := 100 + float64(i)*100
		seq := parse.Seq(1 + 1000*i)
		play(c, tally, []step{{ms, a, ack, seq, 1000, 1, 10, 0}, {ms + 10, b, ack, 1, 0, seq + 1000, 20, 0}})
	}
	var v View
	if !c.View(a, int64(3500*time.Millisecond), &v) {
		t.Fatal("no view")
	}
	near := func(what string, got, want, tolerance float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if v.Has != HasRate|HasDelay|HasBitrate|HasSize|HasInterarrival|HasReverse || v.Finalized || v.Health != 100 {
		t.Errorf("has %b, finalized %v, health %d", v.Has, v.Finalized, v.Health)
	}
	near("uptime", v.Uptime, 3.5, 1e-9)
	near("packet rate", v.PacketRate(), 32/3.5, 1e-9)
	near("bytes", float64(v.Bytes), 30_000, 0)
	near("average delay", float64(v.AvgDelay), 0.010, 1e-6)
	near("minimum delay", float64(v.MinDelay), 0.010, 1e-9)
	near("jitter", float64(v.Jitter), 0, 1e-6)
	near("bitrate", v.Bitrate, 80_000, 0)
	near("size variation", float64(v.SizeVariation), 0, 1e-6)
	near("window", float64(v.WindowBytes), 10<<7, 0)

	c.View(a, int64(60*time.Second), &v)
	near("bitrate of a stream that went quiet", v.Bitrate, 0, 0)
	near("uptime of a stream that went quiet", v.Uptime, 60, 1e-9)
	c.View(a, int64(3500*time.Millisecond), &v)
	near("bitrate, seen again at the earlier time", v.Bitrate, 80_000, 0)

	play(c, tally, []step{{4000, a, fin | ack, 30001, 0, 1, 10, 0}})
	c.View(a, int64(60*time.Second), &v)
	near("uptime of a finalized stream", v.Uptime, 4, 1e-9)
	if !v.Finalized {
		t.Error("not finalized")
	}
	if fresh().View(a, 0, &v) {
		t.Error("a direction without packets has a view")
	}
}

func TestHealth(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    Detail
		want uint8
	}{
		{"nothing wrong", Detail{}, 100},
		{"one retransmission", Detail{Eventual: Eventual{retransmits: 1}}, 95},
		{"retransmissions cost at most 30", Detail{Eventual: Eventual{retransmits: 1000}}, 70},
		{"one reset", Detail{Eventual: Eventual{resets: 1}}, 80},
		{"resets have no limit", Detail{Eventual: Eventual{resets: 9}}, 0},
		{"out of order costs at most 20", Detail{Eventual: Eventual{outOfOrder: 11}}, 80},
		{"duplicate ACKs cost at most 10", Detail{Eventual: Eventual{duplicateAcks: 4e9}}, 90},
		{"zero windows cost at most 20", Detail{Eventual: Eventual{zeroWindows: 3}}, 80},
		{"gaps cost at most 15", Detail{Eventual: Eventual{gaps: 6}}, 85},
		{"five seconds are too few for an uneven bitrate", Detail{InOrder{rateN: 5}, InFlight{rate: moments{10, 100}}, Eventual{}}, 100},
		{"an uneven bitrate", Detail{InOrder{rateN: 6}, InFlight{rate: moments{10, 100}}, Eventual{}}, 90},
		{"jitter of 60 ms", Detail{InOrder: InOrder{delayN: 6, delay: moments{1e9, 0.0036e18}}}, 95},
		{"everything at once", Detail{Eventual: Eventual{retransmits: 9, resets: 3, outOfOrder: 99, duplicateAcks: 99, gaps: 99}}, 0},
	} {
		if got := tc.d.health(); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestExpire(t *testing.T) {
	ages := &Ages{Stream: 5 * second, Finalized: second, Syn: 5 * second}
	c, tally := fresh(), &Tally{}
	play(c, tally, after(shake, step{1000, a, fin | ack, 1, 0, 1, 10, 0}, step{3000, b, ack, 1, 0, 2, 20, 0}))
	if got := c.Deadline(ages); got != 2*second {
		t.Fatalf("deadline %d", got)
	}
	if c.QuietSince(2*second-1-ages.Shortest()) && c.Expire(2*second-1, ages, tally) || tally.Streams != 2 {
		t.Fatalf("expired early: %+v", tally)
	}
	if !c.QuietSince(2*second-ages.Shortest()) || c.Expire(2*second, ages, tally) || tally.Streams != 1 || tally.Active != 1 {
		t.Fatalf("the finalized half should be gone: %+v", tally)
	}
	if got := c.Deadline(ages); got != 8*second {
		t.Fatalf("deadline %d", got)
	}
	if !c.Expire(8*second, ages, tally) || tally.Streams != 0 || tally.Active != 0 || tally.Expired != 2 {
		t.Fatalf("the connection should be empty: %+v", tally)
	}
}

func TestNoAllocation(t *testing.T) {
	c, tally := fresh(), &Tally{}
	steps := after(shake, step{30, a, ack, 1, 100, 1, 10, 0}, step{45, b, ack, 1, 0, 101, 20, 0}, step{46, a, fin | ack, 101, 0, 1, 10, 0}, step{47, a, syn, 77, 0, 0, 10, 0})
	segments := make([]*parse.Segment, len(steps))
	for i, s := range steps {
		segments[i] = s.segment()
	}
	var v View
	if n := testing.AllocsPerRun(100, func() {
		c.Reset()
		for i, s := range segments {
			c.Account(steps[i].dir, s, int64(steps[i].ms*1e6), tally)
		}
		c.View(a, 5*second, &v)
	}); n != 0 {
		t.Fatalf("%v allocations, want 0", n)
	}
}

// BenchmarkAccount takes data segments and the ACKs that answer them, in turn and in random order,
// everything in the first-level cache: what the second costs more is mispredicted branches.
func BenchmarkAccount(b *testing.B) {
	for _, order := range []string{"turn", "random"} {
		b.Run("order="+order, func(b *testing.B) {
			c, tally := fresh(), &Tally{}
			play(c, tally, shake)
			r := rand.New(rand.NewPCG(1, 2))
			isData := make([]bool, 1<<14)
			for i := range isData {
				isData[i] = order == "turn" && i%2 == 0 || order == "random" && (r.IntN(2) == 0 || i > 0 && !isData[i-1])
			}
			data := parse.Segment{Seq: 1, Ack: 1, Len: 1400, Flags: ack, Window: 500}
			answer := parse.Segment{Seq: 1, Flags: ack, Window: 500}
			now := int64(100e6)
			i := 0
			for b.Loop() {
				if isData[i&(len(isData)-1)] {
					c.Account(0, &data, now, tally)
					data.Seq += 1400
				} else {
					answer.Ack = data.Seq
					c.Account(1, &answer, now, tally)
				}
				i++
				now += 2000
			}
		})
	}
}
