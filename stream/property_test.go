package stream

import (
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/parse"
)

type sent struct {
	dir uint32
	seg parse.Segment
	now int64
}

// exchange draws a random exchange of n packets.
func exchange(seed uint64, n int) []sent {
	g := traffic{r: rand.New(rand.NewPCG(seed, 7)), nxt: [2]parse.Seq{parse.Seq(seed * 0x9e3779b9), 77}}
	all := make([]sent, n)
	for i := range all {
		all[i].dir, all[i].seg, all[i].now = g.next()
	}
	return all
}

func feed(packets []sent) (*Conn, Tally) {
	c, t := fresh(), Tally{}
	for i := range packets {
		c.Account(packets[i].dir, &packets[i].seg, packets[i].now, &t)
	}
	return c, t
}

// views returns the exported figures of both directions at now.
func views(c *Conn, now int64) (v [2]View) {
	for dir := range v {
		c.View(dir, now, &v[dir])
	}
	return v
}

// Nothing depends on where in the circle of sequence numbers a connection lies: not on the wrap,
// nor on numbers that are zero. The one number with a meaning is the 0 of a RST that answers a
// segment without ACK (RFC 9293 section 3.10.7.1).
func TestShiftedSequenceSpaceGivesTheSameFigures(t *testing.T) {
	for seed := range uint64(200) {
		packets := exchange(seed, 400)
		end := packets[len(packets)-1].now
		for i := range packets {
			if p := &packets[i].seg; p.Flags&parse.RST != 0 && p.Len == 0 {
				p.Len = 1 // no RST here is the special one
			}
			if p := &packets[i].seg; p.Flags&parse.ACK == 0 {
				p.Ack = 0
			}
		}
		c, tally := feed(packets)
		want := views(c, end)
		r := rand.New(rand.NewPCG(seed, 8))
		for _, shift := range [][2]parse.Seq{{1, 1}, {1 << 31, 0}, {-packets[0].seg.Seq, 0}, {parse.Seq(r.Uint32()), parse.Seq(r.Uint32())}} {
			moved := append([]sent(nil), packets...)
			for i := range moved {
				p := &moved[i]
				p.seg.Seq += shift[p.dir]
				if p.seg.Flags&parse.ACK != 0 {
					p.seg.Ack += shift[1-p.dir]
				}
			}
			c, other := feed(moved)
			if got := views(c, end); got != want || other != tally {
				t.Fatalf("seed %d, shifted by %d:\n%+v\n%+v, want\n%+v\n%+v", seed, shift, got, other, want, tally)
			}
		}
	}
}

// A packet that comes twice, as from a mirror of both sides of a link, adds to counters and never
// takes from them.
func TestDuplicatedPacketsNeverLowerACounter(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		c, tally := fresh(), Tally{}
		var before [2]View
		for _, p := range exchange(seed, 400) {
			times := 1
			if r.IntN(5) == 0 {
				times = 3
			}
			for n := range times {
				ev, _ := c.Account(p.dir, &p.seg, p.now, &tally)
				after := views(c, p.now)
				if ev&Renewed != 0 { // other streams
					before = after
					continue
				}
				for dir := range after {
					a, b := &after[dir], &before[dir]
					if a.Packets < b.Packets || a.Bytes < b.Bytes || a.Retransmits < b.Retransmits || a.OutOfOrder < b.OutOfOrder ||
						a.DuplicateAcks < b.DuplicateAcks || a.Gaps < b.Gaps || a.ZeroWindows < b.ZeroWindows || a.Resets < b.Resets {
						t.Fatalf("seed %d, copy %d of %+v:\n%+v after\n%+v", seed, n, p, *a, *b)
					}
				}
				before = after
			}
		}
	}
}

// classesAreExclusive wants a segment of direction dir to have been counted once, and as sent again or late,
// or as neither.
func classesAreExclusive(t *testing.T, dir uint32, was, is [2]View) {
	t.Helper()
	for d := range uint32(2) {
		packets := is[d].Packets - was[d].Packets
		classes := is[d].Retransmits - was[d].Retransmits + is[d].OutOfOrder - was[d].OutOfOrder
		if d == dir && packets != 1 || d != dir && packets != 0 || uint64(classes) > packets {
			t.Fatalf("direction %d, a packet of direction %d:\n%+v after\n%+v", d, dir, is[d], was[d])
		}
	}
}

// checkConn wants the state that the analysis keeps to make sense.
func checkConn(t *testing.T, c *Conn) {
	t.Helper()
	for dir := range c.side {
		s, d := &c.side[dir].hot, &c.side[dir].cold
		if uint64(d.retransmits)+uint64(d.outOfOrder) > s.packets || uint64(d.gaps) > s.packets || uint64(d.duplicateAcks)+uint64(d.zeroWindows) > s.packets || uint64(d.resets) > s.packets {
			t.Fatalf("direction %d: more events than packets: %+v, %+v", dir, *s, d.Eventual)
		}
		if s.flags&nxtKnown == 0 {
			continue
		}
		if s.contig.After(s.nxt) {
			t.Fatalf("direction %d: all is there up to %d, and the next is %d", dir, s.contig, s.nxt)
		}
		if h := &d.hole; s.contig != s.nxt && (!h.start.Before(h.end) || !s.contig.Before(h.end) || h.end.After(s.nxt) || h.middle.After(h.start)) {
			t.Fatalf("direction %d: all is there up to %d, a hole %+v, the next is %d", dir, s.contig, *h, s.nxt)
		}
		if s.timed&timedCount > timedStretches || s.timed&^(timedCount|timedAmbiguous) != 0 {
			t.Fatalf("direction %d: stretches %#x", dir, s.timed)
		}
	}
}

// FuzzAccount takes packets from the fuzzer's bytes: no panic, gauges that agree with the
// connection, figures that can be exported, state that makes sense.
func FuzzAccount(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0, 0, 0, 1, 1, 1, 18, 0, 0, 0, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, tally := fresh(), &Tally{}
		now := int64(0)
		for ; len(b) >= 9; b = b[9:] {
			seg := parse.Segment{
				Flags: parse.Flags(b[1]), Seq: parse.Seq(int8(b[2])) << (b[3] & 31), Ack: parse.Seq(int8(b[4])) << (b[5] & 31),
				Len: uint32(b[6]) << (b[7] & 23), Window: uint16(b[8] & 3),
			}
			if b[0]&0x40 != 0 {
				seg.Flags |= parse.LenUnknown
			}
			switch {
			case seg.Flags&parse.SYN != 0:
				seg.Options = parse.SYNOptions(0, min(int8(b[8]>>4)-1, 14))
			case b[8]&0x80 != 0:
				seg.Flags |= parse.Timestamped
				seg.Options = parse.Options(int32(int8(b[8]<<1)) << (b[7] & 24))
			}
			now += int64(int8(b[0])) << (b[3] & 37)
			dir, was := uint32(b[0])&1, views(c, now)
			if ev, rtt := c.Account(dir, &seg, now, tally); ev&(Renewed|Opened) == 0 {
				classesAreExclusive(t, dir, was, views(c, now))
			} else if rtt < noSample {
				t.Fatalf("an RTT sample of %d ns", rtt)
			}
			checkConn(t, c)
			if streams, active := c.Live(); int64(streams) != tally.Streams || int64(active) != tally.Active {
				t.Fatalf("%d streams, %d active; tally %+v", streams, active, tally)
			}
			for _, v := range views(c, now) {
				if v.Health > 100 || v.Uptime < 0 || v.Bitrate < 0 || v.MinDelay < 0 || v.MaxDelay < v.MinDelay {
					t.Fatalf("%+v", v)
				}
			}
		}
	})
}
