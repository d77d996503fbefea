package stream

import "testing"

// A connection that is refused has no handshake and no round trip, and the RST that refuses it ends both of
// its streams. A RST that its receiver ignores refuses nothing (RFC 9293 section 3.10.7.3).
func TestRefusedConnections(t *testing.T) {
	const ms = int64(1e6)
	old := after(shake, step{30, a, ack, 1, 100, 1, 10, 0}, step{40, b, ack, 1, 0, 101, 20, 0})
	fastOpen := step{0, a, syn, 5, 100, 0, 1000, 0} // RFC 7413: a SYN with data
	for _, row := range []struct {
		says  string
		steps []step
		a, b  counts
	}{
		{"RST with ACK answers the SYN",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"the SYN's number is the last one before the wrap",
			[]step{{0, a, syn, 0xffffffff, 0, 0, 1000, 8}, {1, b, rst | ack, 0, 0, 0, 0, 0}},
			counts{packets: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"the SYN came twice before it",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1000, a, syn, 5, 0, 0, 1000, 8}, {1001, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 2, retrans: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"the SYN comes again behind it: the connection stays over",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst | ack, 0, 0, 6, 0, 0}, {1000, a, syn, 5, 0, 0, 1000, 8}},
			counts{packets: 2, retrans: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"both copies of the SYN are refused",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst | ack, 0, 0, 6, 0, 0}, {1000, a, syn, 5, 0, 0, 1000, 8}, {1001, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 2, retrans: 1, window: 1000, finalized: true}, counts{packets: 2, resets: 2, finalized: true}},
		{"the next attempt from the same port is another connection, and refused as well",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst | ack, 0, 0, 6, 0, 0}, {100, a, syn, 77, 0, 0, 1000, 8}, {101, b, rst | ack, 0, 0, 78, 0, 0}},
			counts{packets: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"of two attempts in a row the latest one counts: its sender drops the answer to the first",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {100, a, syn, 77, 0, 0, 1000, 8}, {101, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 1, window: 1000}, counts{packets: 1, resets: 1}},
		{"until the latest is refused too",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {100, a, syn, 77, 0, 0, 1000, 8}, {101, b, rst | ack, 0, 0, 6, 0, 0}, {102, b, rst | ack, 0, 0, 78, 0, 0}},
			counts{packets: 1, window: 1000, finalized: true}, counts{packets: 2, resets: 2, finalized: true}},

		{"RST without ACK in answer to a SYN: the client drops it",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst, 0, 0, 0, 0, 0}},
			counts{packets: 1, window: 1000}, counts{packets: 1, resets: 1}},
		{"the number of the SYN in a field that does not count does not change that",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, b, rst, 0, 0, 6, 0, 0}},
			counts{packets: 1, window: 1000}, counts{packets: 1, resets: 1}},
		{"RST without ACK answers the SYN+ACK", after(shake[:2], step{11, a, rst, 1, 0, 0, 0, 0}),
			counts{packets: 2, resets: 1, finalized: true, rtt: 1}, counts{packets: 1, window: 2000, finalized: true}},
		{"RST with ACK answers the SYN+ACK", after(shake[:2], step{11, a, rst | ack, 1, 0, 1, 0, 0}),
			counts{packets: 2, resets: 1, finalized: true, rtt: 1}, counts{packets: 1, window: 2000, finalized: true}},
		{"RST without ACK behind the server's own SYN+ACK", after(shake[:2], step{11, b, rst, 1, 0, 0, 0, 0}),
			counts{packets: 1, window: 1000, finalized: true, rtt: 1}, counts{packets: 2, resets: 1, finalized: true}},
		{"the client gives up its SYN with a RST without ACK",
			[]step{{0, a, syn, 5, 0, 0, 1000, 8}, {1, a, rst, 6, 0, 0, 0, 0}},
			counts{packets: 2, resets: 1, finalized: true}, counts{}},

		{"captured before its SYN, a RST has no SYN to answer: the age of half-open streams ends both",
			[]step{{0, b, rst | ack, 0, 0, 6, 0, 0}, {1, a, syn, 5, 0, 0, 1000, 8}},
			counts{packets: 1, window: 1000}, counts{packets: 1, resets: 1}},
		{"captured between two copies of the SYN",
			[]step{{0, b, rst | ack, 0, 0, 6, 0, 0}, {1, a, syn, 5, 0, 0, 1000, 8}, {2, a, syn, 5, 0, 0, 1000, 8}, {3, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 2, retrans: 1, window: 1000, finalized: true}, counts{packets: 2, resets: 2, finalized: true}},

		{"a SYN with data is refused whole",
			[]step{fastOpen, {1, b, rst | ack, 0, 0, 106, 0, 0}},
			counts{packets: 1, bytes: 100, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"a SYN with data comes again without it, and only that is refused",
			[]step{fastOpen, {1000, a, syn, 5, 0, 0, 1000, 0}, {1001, b, rst | ack, 0, 0, 6, 0, 0}},
			counts{packets: 2, bytes: 100, retrans: 1, window: 1000, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"nothing of a SYN with data is refused by the number of the SYN itself",
			[]step{fastOpen, {1, b, rst | ack, 0, 0, 5, 0, 0}},
			counts{packets: 1, bytes: 100, window: 1000}, counts{packets: 1, resets: 1}},
		{"nor by one behind its data",
			[]step{fastOpen, {1, b, rst | ack, 0, 0, 107, 0, 0}},
			counts{packets: 1, bytes: 100, window: 1000}, counts{packets: 1, resets: 1}},

		{"the port is used again before the old connection's end was seen", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{1001, b, rst | ack, 0, 0, 5556, 0, 0}),
			counts{packets: 1, window: 700, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"and the SYN comes twice", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{2000, a, syn, 5555, 0, 0, 700, 8}, step{2001, b, rst | ack, 0, 0, 5556, 0, 0}),
			counts{packets: 1, window: 700, finalized: true}, counts{packets: 1, resets: 1, finalized: true}},
		{"a RST that answers another SYN leaves the old connection alone", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{1001, b, rst | ack, 0, 0, 5557, 0, 0}),
			counts{packets: 4, bytes: 100, window: 10 << 7, rtt: 2}, counts{packets: 3, window: 20 << 2, resets: 1, rtt: 1}},
		{"so does one of the SYN's own side", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{1001, a, rst | ack, 0, 0, 5556, 0, 0}),
			counts{packets: 5, bytes: 100, window: 10 << 7, resets: 1, rtt: 2}, counts{packets: 2, window: 20 << 2, rtt: 1}},
		{"one without ACK", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{1001, b, rst, 0, 0, 5556, 0, 0}),
			counts{packets: 4, bytes: 100, window: 10 << 7, rtt: 2}, counts{packets: 3, window: 20 << 2, resets: 1, rtt: 1}},
		{"and one that comes when the SYN has waited for 64 s", after(old,
			step{1000, a, syn, 5555, 0, 0, 700, 8}, step{65000, b, rst | ack, 0, 0, 5556, 0, 0}),
			counts{packets: 4, bytes: 100, window: 10 << 7, rtt: 2}, counts{packets: 3, window: 20 << 2, resets: 1, rtt: 1}},
	} {
		c, tally := fresh(), &Tally{}
		play(c, tally, row.steps)
		for dir, want := range []counts{row.a, row.b} {
			if got := countsOf(c, dir); got != want {
				t.Errorf("%s: direction %d is\n%+v, want\n%+v", row.says, dir, got, want)
			}
		}
		refused := row.a.finalized
		if streams, active := c.Live(); refused && (active != 0 || tally.Active != 0 || tally.Streams != int64(streams)) {
			t.Errorf("%s: %d active streams of %d; the totals have %d of %d", row.says, active, streams, tally.Active, tally.Streams)
		}
		var e Extra
		if c.Extra(a, 0, &e); refused && e.Handshake >= 0 {
			t.Errorf("%s: a handshake of %v ms, want none", row.says, float64(e.Handshake)/float64(ms))
		}
	}
}

// Refused streams go when the age of finalized ones has passed, whatever the other ages are; those that
// nobody refused go with the age of half-open ones.
func TestRefusedConnectionsExpire(t *testing.T) {
	ages := &Ages{Stream: 100e9, Syn: 50e9, Finalized: 10e9}
	for _, row := range []struct {
		says  string
		steps []step
		age   int64
	}{
		{"refused", []step{{0, a, syn, 5, 0, 0, 1000, 8}, {0, b, rst | ack, 0, 0, 6, 0, 0}}, ages.Finalized},
		{"the RST came first", []step{{0, b, rst | ack, 0, 0, 6, 0, 0}, {0, a, syn, 5, 0, 0, 1000, 8}}, ages.Syn},
		{"a RST that refuses nothing", []step{{0, a, syn, 5, 0, 0, 1000, 8}, {0, b, rst, 0, 0, 0, 0, 0}}, ages.Syn},
	} {
		c, tally := fresh(), &Tally{}
		play(c, tally, row.steps)
		if got := c.Deadline(ages); got != row.age {
			t.Errorf("%s: deadline at %d s, want %d s", row.says, got/1e9, row.age/1e9)
		}
		if c.Expire(row.age-1, ages, tally) {
			t.Errorf("%s: gone before its age", row.says)
		}
		if !c.Expire(row.age, ages, tally) || tally.Streams != 0 || tally.Active != 0 || tally.Expired != 2 {
			t.Errorf("%s: still there after its age: %+v", row.says, *tally)
		}
	}
}
