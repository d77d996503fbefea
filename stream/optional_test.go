package stream

import (
	"math"
	"testing"

	"tcp-stream-exporter/parse"
)

// optionalOf plays steps whose frames have 60 bytes of headers, and SYNs an MSS of 1000 plus the
// sender's number.
func optionalOf(steps []step) *Optional {
	c, o := fresh(), &Optional{}
	for i := range o.side { // what another connection has left
		o.side[i] = optional{1, 2, 3, 4, 5, 6, 7, 8}
	}
	for _, s := range steps {
		seg := s.segment()
		seg.WireLen = 60 + seg.Len
		if seg.Flags&parse.SYN != 0 {
			seg.Options = parse.SYNOptions(uint16(1000+s.dir), seg.Options.WScale())
		}
		c.AccountOptional(o, s.dir, seg, int64(s.ms*1e6), &Tally{})
	}
	return o
}

func TestOptional(t *testing.T) {
	const ms = 1_000_000
	data := after(shake,
		step{30, a, ack, 1, 100, 1, 10, 0}, step{31, a, ack, 101, 100, 1, 10, 0}, step{45, b, ack, 1, 0, 201, 10, 0})
	again := step{500, a, ack, 101, 100, 1, 10, 0}
	for _, row := range []struct {
		says  string
		steps []step
		dir   int
		want  Extra // without what Conn.Extra has
	}{
		// The SYN's RTT is 10 ms on the client's side, the SYN+ACK's as much on the server's.
		{"a handshake, the client", shake, a, Extra{RTTs: 1, RTTSum: 10 * ms, Wire: 120, SYNs: 1, MSS: 1000}},
		{"a handshake, the server", shake, b, Extra{RTTs: 1, RTTSum: 10 * ms, Wire: 60, SYNs: 1, MSS: 1001}},
		{"data, and an ACK of the second segment", data, a, Extra{RTTs: 2, RTTSum: 24 * ms, Wire: 120 + 2*160, SYNs: 1, MSS: 1000}},
		{"a retransmission", after(data, again), a, Extra{RTTs: 2, RTTSum: 24 * ms, Wire: 120 + 3*160, SYNs: 1, MSS: 1000, Repeated: 100}},
		{"its duplicate", after(data, again, again), a, Extra{RTTs: 2, RTTSum: 24 * ms, Wire: 120 + 4*160, SYNs: 1, MSS: 1000, Repeated: 200}},
		{"the other side of it", after(data, again), b, Extra{RTTs: 1, RTTSum: 10 * ms, Wire: 120, SYNs: 1, MSS: 1001}},
		{"a SYN that comes twice", []step{{0, a, syn, 0, 0, 0, 1000, 1}, {100, a, syn, 0, 0, 0, 1000, 1}}, a, Extra{Wire: 120, SYNs: 2, MSS: 1000}},
		{"in mid-stream", []step{{0, a, ack, 1000, 10, 1, 10, 0}}, a, Extra{Wire: 70}},
		{"a connection in the place of one that has ended", after(data,
			step{50, a, ack | fin, 201, 0, 1, 10, 0}, step{51, b, ack | fin, 1, 0, 202, 10, 0},
			step{60, a, syn, 7000, 0, 0, 10, 1}), a, Extra{Wire: 60, SYNs: 1, MSS: 1000}},
		{"a SYN on a live connection counts for it", after(data, step{60, a, syn, 7000, 0, 0, 10, 1}), a,
			Extra{RTTs: 2, RTTSum: 24 * ms, Wire: 120 + 2*160 + 60, SYNs: 2, MSS: 1000}},
		{"until it is answered: it was the first of another", after(data,
			step{60, a, syn, 7000, 0, 0, 10, 1}, step{65, b, syn | ack, 9000, 0, 7001, 10, 1}), a,
			Extra{RTTs: 1, RTTSum: 5 * ms, Wire: 60, SYNs: 1, MSS: 1000}},
		{"what answers it", after(data,
			step{60, a, syn, 7000, 0, 0, 10, 1}, step{65, b, syn | ack, 9000, 0, 7001, 10, 1}), b,
			Extra{Wire: 60, SYNs: 1, MSS: 1001}},
	} {
		o := optionalOf(row.steps)
		var got Extra
		o.Extra(row.dir, &got)
		if got != row.want {
			t.Errorf("%s: %+v, want %+v", row.says, got, row.want)
		}
	}
}

// Account and AccountOptional do the same with the connection, and what is counted besides agrees
// with it, whatever comes.
func TestOptionalAgreesWithTheConnection(t *testing.T) {
	samples, repeats, syns, rejoins := 0, 0, 0, 0
	for seed := range uint64(300) {
		c, o, plain := fresh(), &Optional{}, fresh()
		var tally, plainTally Tally
		var shift parse.Seq
		for n, p := range exchange(seed, 400) {
			if n%50 == 30 && seed%2 == 0 { // from here on a side is somewhere else in its sequence space
				shift += 1 << 25
			}
			if p.dir == 0 {
				p.seg.Seq += shift
			} else {
				p.seg.Ack += shift
			}
			p.seg.WireLen = 1
			before := c.side[0].hot.flags&resync + c.side[1].hot.flags&resync
			ev, rtt := c.AccountOptional(o, p.dir, &p.seg, p.now, &tally)
			want, wantRTT := plain.Account(p.dir, &p.seg, p.now, &plainTally)
			if ev != want || rtt != wantRTT || *c != *plain || tally != plainTally {
				t.Fatalf("seed %d, packet %d: the connections differ", seed, n)
			}
			if before != 0 && c.side[0].hot.flags&resync+c.side[1].hot.flags&resync == 0 {
				rejoins++
			}
			for dir := range 2 {
				s, d := &c.side[dir].hot, &c.side[dir].cold
				if s.packets == 0 {
					continue
				}
				var e Extra
				o.Extra(dir, &e)
				if e.Wire != s.packets {
					t.Fatalf("seed %d, packet %d, direction %d: %d packets of one byte, %d bytes", seed, n, dir, s.packets, e.Wire)
				}
				if uint32(d.delayN) != e.RTTs && d.delayN <= averageLen {
					t.Fatalf("seed %d, packet %d, direction %d: %d RTT samples, the connection has %d", seed, n, dir, e.RTTs, d.delayN)
				}
				if mean := float64(e.RTTSum) / float64(e.RTTs); e.RTTs > 0 && d.delayN <= averageLen && math.Abs(mean-float64(d.delay.mean)) > 1e-4*mean+1 {
					t.Fatalf("seed %d, packet %d, direction %d: a mean RTT of %v ns, the connection has %v", seed, n, dir, mean, d.delay.mean)
				}
				if e.Repeated > s.bytes || e.Repeated > 0 && d.retransmits == 0 {
					t.Fatalf("seed %d, packet %d, direction %d: %d bytes repeated of %d, in %d segments", seed, n, dir, e.Repeated, s.bytes, d.retransmits)
				}
				samples, repeats, syns = max(samples, int(e.RTTs)), max(repeats, int(e.Repeated)), max(syns, int(e.SYNs))
			}
		}
	}
	if samples < 20 || repeats == 0 || syns < 2 || rejoins == 0 {
		t.Errorf("at most %d samples, %d bytes repeated, %d SYNs; %d times rejoined: too little to see anything", samples, repeats, syns, rejoins)
	}
}

// The number of samples and their sum begin again together, so that one over the other stays a mean.
func TestOptionalCountersThatAreFull(t *testing.T) {
	s := optional{rtts: math.MaxUint32 - 1, rttSum: 77}
	s.sample(3)
	if s.rtts != math.MaxUint32 || s.rttSum != 80 {
		t.Errorf("%d samples of %d ns", s.rtts, s.rttSum)
	}
	if s.sample(5); s.rtts != 1 || s.rttSum != 5 {
		t.Errorf("after the last one %d samples of %d ns, want 1 of 5", s.rtts, s.rttSum)
	}
	for range 3 {
		s.repeat(math.MaxUint32)
	}
	if got := s.repeated(); got != 3*math.MaxUint32 {
		t.Errorf("%d bytes repeated, want %d", got, uint64(3*math.MaxUint32))
	}
}
