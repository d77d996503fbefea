package stream

import (
	"testing"

	"tcp-stream-exporter/parse"
)

// Timestamps (RFC 7323) show what was sent after a hole was opened. The connection's round trip is 20 ms.
func TestTimestampsTellRepairs(t *testing.T) {
	const none = -1
	for _, tc := range []struct {
		name            string
		opener, filler  int64 // timestamps
		late            int64 // ns after the opening
		again, overtook bool
	}{
		{"sent after the hole was opened", 100, 101, 2e6, true, false},
		{"sent after it, where timestamps wrap", 1<<32 - 1, 0, 2e6, true, false},
		{"sent in the same tick", 100, 100, 2e6, false, true},
		{"sent before", 100, 99, 2e6, false, true},
		{"overtaken by less than three quarters of a round trip", 100, 100, 14.9e6, false, true},
		{"as the clock has not ticked, as late as a repair", 100, 100, 15.1e6, true, false},
		{"without timestamps, less than half a round trip late", none, none, 9.9e6, false, true},
		{"without timestamps, more than half a round trip late", none, none, 10.1e6, true, false},
		{"only what opened the hole has one", 100, none, 10.1e6, true, false},
		{"only what fills it has one", none, 101, 2e6, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, tally := fresh(), &Tally{}
			play(c, tally, shake)
			send := func(seq parse.Seq, ts, now int64) {
				seg := parse.Segment{Seq: seq, Ack: 1, Len: 100, Window: 10, Flags: ack}
				if ts != none {
					seg.Flags |= parse.Timestamped
					seg.Options = parse.Options(uint32(ts))
				}
				c.Account(a, &seg, now, tally)
			}
			const opened = 30e6
			send(201, tc.opener, opened)
			send(1, tc.filler, opened+tc.late)
			if d := &c.side[a].cold; (d.retransmits == 1) != tc.again || (d.outOfOrder == 1) != tc.overtook {
				t.Errorf("%d retransmissions, %d out of order", d.retransmits, d.outOfOrder)
			}
		})
	}
}

// Of three holes each has its own time, and of more the older ones have the oldest one's.
func TestHolesHaveTheirOwnTimes(t *testing.T) {
	const ms = 1e6
	for _, tc := range []struct {
		name   string
		seq    parse.Seq // of the segment that fills one of the holes at 39 ms
		bigger bool      // there are four holes
		again  bool
	}{
		{"the oldest of three, opened at 28 ms", 101, false, true},
		{"the second, opened at 31 ms", 301, false, false},
		{"the newest, opened at 34 ms", 501, false, false},
		{"the second of four, which has the first one's time", 301, true, true},
		{"the third of four", 501, true, false},
		{"the newest of four", 701, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, tally := fresh(), &Tally{}
			play(c, tally, shake)
			send := func(seq parse.Seq, now int64) {
				c.Account(a, &parse.Segment{Seq: seq, Ack: 1, Len: 100, Window: 10, Flags: ack}, now, tally)
			}
			send(1, 27*ms)
			send(201, 28*ms)
			send(401, 31*ms)
			send(601, 34*ms)
			if tc.bigger {
				send(801, 37*ms)
			}
			send(tc.seq, 39*ms)
			if d := &c.side[a].cold; (d.retransmits == 1) != tc.again || (d.outOfOrder == 0) != tc.again {
				t.Errorf("%d retransmissions, %d out of order", d.retransmits, d.outOfOrder)
			}
		})
	}
}

// The times of holes end before they could be taken for later ones.
func TestHolesEnd(t *testing.T) {
	for _, silence := range []int64{1e9, 20e9, 60e9, 80e9, 200e9, 400e9} {
		c, tally := fresh(), &Tally{}
		play(c, tally, shake)
		now := int64(30e6)
		send := func(seq parse.Seq, n uint32) {
			c.Account(a, &parse.Segment{Seq: seq, Ack: 1, Len: n, Window: 10, Flags: ack}, now, tally)
		}
		send(101, 100)
		// 2³² units of 64 ns are 274.9 s.
		for end := now + 274_878_000_000; now+silence < end; {
			now += silence
			send(201, 0)
		}
		now = 30e6 + 274_878_000_000
		send(1, 100)
		if d := &c.side[a].cold; d.retransmits != 1 || d.outOfOrder != 0 {
			t.Errorf("packets every %d s: %d retransmissions, %d out of order", silence/1e9, d.retransmits, d.outOfOrder)
		}
	}
}

// The identifications of IPv4 packets show what was sent after a hole was opened, also within a tick. The connection's
// round trip is 20 ms.
func TestIdentificationsTellRepairs(t *testing.T) {
	for _, tc := range []struct {
		name           string
		opener, filler uint16
		late           int64 // ns after the opening
		again          bool
	}{
		{"the packet after what opened the hole", 100, 101, 2e6, true},
		{"where they wrap", 0xffff, 2, 2e6, true},
		{"the packet before", 100, 99, 2e6, false},
		{"the packet before, as late as a repair", 100, 99, 10.1e6, true},
		{"none", 0, 0, 2e6, false},
		{"one for all packets", 7, 7, 2e6, false},
		{"numbers too far apart to count", 100, 10_000, 2e6, false},
		{"sooner than a repair is likely", 100, 101, 1.2e6, false},
		{"not quite so soon", 100, 101, 1.3e6, true},
	} {
		for _, stamp := range []parse.Flags{0, parse.Timestamped} {
			c, tally := fresh(), &Tally{}
			play(c, tally, shake)
			send := func(seq parse.Seq, id uint16, now int64) {
				c.Account(a, &parse.Segment{Seq: seq, Ack: 1, Len: 100, Window: 10, Flags: ack | stamp, Options: parse.SentOptions(id, 5)}, now, tally)
			}
			const opened = 30e6
			send(201, tc.opener, opened)
			send(1, tc.filler, opened+tc.late)
			again := tc.again && (stamp == 0 || tc.filler > 99 || tc.filler == 2) // the limit is later with timestamps
			if d := &c.side[a].cold; (d.retransmits == 1) != again || (d.outOfOrder == 1) == again {
				t.Errorf("%s, flags %v: %d retransmissions, %d out of order", tc.name, stamp, d.retransmits, d.outOfOrder)
			}
		}
	}
}
