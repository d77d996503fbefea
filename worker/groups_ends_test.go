package worker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/internal/packet"
)

const (
	endsStreamAge    = 20 * sec
	endsFinalizedAge = 4 * sec
	endsSYNWaits     = 64 * sec // docs/analysis.md: a SYN that waits
	endsRepeats      = 2        // of a SYN, so few that none waits for endsSYNWaits
)

// follower follows the connections of one pair of endpoints by the rules of docs/analysis.md, "Connections and streams"
// and "Reset", from packets and times alone. Of what a packet does it knows only what decides how a connection ends.
// Directions are 0, the client's, and 1.
type follower struct {
	*endCounts
	ages  Config
	alive bool // there is a connection
	side  [2]side
	syn   bool // a SYN without ACK was seen
	more  bool // a segment without SYN and RST was seen
	ended bool // the end was counted
	spoke [2]bool
	waits *synThatWaits

	class class
	order int // the place among those of its class: lower ones are recycled first
}

// side is what was seen of a direction, as far as it is a stream, and of what the other one acknowledged.
type side struct {
	stream, finalized bool
	last              int64 // ns
	syn, synACK       bool
	isn, nxt, ack     *uint32 // nil: unknown
}

type synThatWaits struct {
	dir   int
	isn   uint32
	at    int64 // ns
	heard bool  // the other side has sent something since
}

// endCounts are what Totals counts of connections when it happens.
type endCounts struct {
	opened, established uint64
	closed              [group.ClosedReasons]uint64
	failed              [group.FailedReasons]uint64
}

// begin begins a connection.
func (f *follower) begin() {
	*f = follower{endCounts: f.endCounts, ages: f.ages, alive: true, order: -1}
	f.opened++
}

// end counts the end of the connection, once.
func (f *follower) end(why int) {
	if f.ended {
		return
	}
	f.ended = true
	switch {
	case f.spoke[0] && f.spoke[1]:
		f.closed[why]++
	case f.more: // of one direction
	case f.syn && (f.spoke[0] || f.spoke[1]):
		f.failed[group.FailedUnfinished]++
	case f.syn && why == group.ClosedByServer:
		f.failed[group.FailedRefused]++
	case f.syn:
		f.failed[group.FailedUnanswered]++
	}
}

// expire lets streams go whose age has passed at now, and the connection with the last one.
func (f *follower) expire(now int64) {
	if !f.alive {
		return
	}
	for d := range f.side {
		s := &f.side[d]
		age := int64(f.ages.StreamAge)
		switch {
		case s.finalized:
			age = int64(f.ages.FinalizedAge)
		case !f.more:
			age = int64(f.ages.SynAge)
		}
		if s.stream && now-s.last >= age {
			*s = side{}
		}
	}
	if !f.side[0].stream && !f.side[1].stream {
		f.end(group.ClosedTimeout)
		f.alive = false
	}
}

// over reports whether all streams are finalized.
func (f *follower) over() bool {
	for _, s := range f.side {
		if s.stream && !s.finalized {
			return false
		}
	}
	return f.side[0].stream || f.side[1].stream
}

// anotherAttempt reports whether nothing was seen but SYNs of direction dir.
func (f *follower) anotherAttempt(dir int) bool {
	s := &f.side[dir]
	return !f.more && s.syn && !s.synACK && f.side[1-dir].nxt == nil
}

// first reports whether a SYN of direction dir is its first one: no number is known, neither by a segment of its own nor,
// once its stream has gone for its age, by the other side's SYN+ACK.
func (f *follower) first(dir int, number uint32) bool {
	answer := f.side[1-dir].ack
	return f.side[dir].isn == nil && !f.more && (answer == nil || is(answer, number+1))
}

// holds reports whether a SYN of direction dir and of a number that is not known waits.
func (f *follower) holds(dir int, number uint32) bool {
	return f.alive && !f.over() && !f.first(dir, number) && !f.anotherAttempt(dir)
}

// is reports whether a number is known and is n.
func is(known *uint32, n uint32) bool { return known != nil && *known == n }

// renew begins the connection of the SYN that waited.
func (f *follower) renew() {
	w, last := f.waits, f.waits.at
	if s := f.side[w.dir]; s.stream {
		last = s.last
	}
	f.end(group.ClosedTimeout)
	f.begin()
	f.syn = true
	isn, nxt := w.isn, w.isn+1
	f.side[w.dir] = side{stream: true, last: last, syn: true, isn: &isn, nxt: &nxt}
}

// packet brings f up to date by a packet of direction dir. The caller has dealt with ages, and with a table that is full.
func (f *follower) packet(dir int, p *packet.TCP, now int64) {
	if !f.alive {
		f.begin()
	}
	syn, ack, rst, fin := p.Flags&packet.SYN != 0, p.Flags&packet.ACK != 0, p.Flags&packet.RST != 0, p.Flags&packet.FIN != 0
	if w := f.waits; w != nil {
		s := &f.side[dir]
		own, young := w.dir == dir, now-w.at < endsSYNWaits
		answers := !own && ack && p.Ack == w.isn+1 && (syn || rst)
		goesOn := own && ack && !syn && !rst && !w.heard && p.Seq == w.isn+1 && !is(s.nxt, p.Seq)
		switch {
		case young && (answers || goesOn):
			f.renew()
		case rst: // of the connection that is known
		case !young || own && is(s.nxt, p.Seq):
			f.waits = nil
		case !own:
			w.heard = true
		}
	}
	s, r := &f.side[dir], &f.side[1-dir]
	if syn && !ack && !is(s.isn, p.Seq) {
		switch {
		case f.over():
			f.end(group.ClosedTimeout) // not counted before if the other stream's age has passed
			f.begin()
		case f.first(dir, p.Seq):
		case f.anotherAttempt(dir): // another attempt
			f.end(group.ClosedTimeout)
			f.begin()
		default:
			if w := f.waits; w == nil || w.dir != dir || w.isn != p.Seq {
				f.waits = &synThatWaits{dir: dir, isn: p.Seq, at: now}
			}
			f.waits.heard = false
			f.syn = true
			s.stream, s.last = true, now
			return
		}
	}
	takesPart := !rst && (!syn || ack) || rst && f.more && !f.syn && !s.synACK && !r.synACK
	s.stream, s.last = true, now
	finalizes := false
	finalize := func(s *side) {
		if s.stream && !s.finalized {
			s.finalized, finalizes = true, true
		}
	}
	if rst {
		answersSYN := s.nxt == nil && r.syn && ack && is(r.nxt, p.Ack)
		if is(s.nxt, p.Seq) || is(r.ack, p.Seq) || answersSYN {
			finalize(s)
			finalize(r)
		}
	} else {
		f.take(s, r, p, syn, ack)
		if fin {
			finalize(s)
		}
	}
	first := takesPart && !f.spoke[dir]
	if first {
		f.spoke[dir] = true
		if f.spoke[1-dir] && !f.ended {
			f.established++
		}
	}
	if (finalizes || first) && f.over() && (rst || f.spoke[0] && f.spoke[1]) {
		why := group.ClosedFIN
		if rst {
			why = group.ClosedByClient + dir
		}
		f.end(why)
	}
}

// take takes the numbers of a segment of side s that is no RST.
func (f *follower) take(s, r *side, p *packet.TCP, syn, ack bool) {
	end := p.Seq + uint32(p.Payload)
	if p.Flags&(packet.SYN|packet.FIN) != 0 {
		end++
	}
	if s.isn == nil || syn && !ack {
		isn := p.Seq
		if !syn {
			isn--
		}
		s.isn = &isn
	}
	if s.nxt == nil || int32(end-*s.nxt) > 0 {
		if s.nxt != nil && p.Payload > 0 && p.Flags&(packet.SYN|packet.FIN) == 0 {
			s.finalized = false // goes on after its end
		}
		s.nxt = &end
	}
	if ack {
		n := p.Ack
		s.ack = &n
		if r.isn == nil {
			isn := n - 1
			r.isn = &isn
		}
	}
	switch {
	case syn && ack:
		s.synACK = true
	case syn:
		s.syn, f.syn = true, true
	default:
		f.more = true
	}
}

// file gives f its place among those that may be recycled, if what it is has changed.
func (f *follower) file(next *int) {
	c := live
	switch {
	case !f.more:
		c = halfOpen
	case f.over():
		c = finalized
	}
	if f.order < 0 || c != f.class {
		f.class, f.order = c, *next
		*next++
	}
}

// script writes the packets of one pair of endpoints, one connection after the other.
type script struct {
	tuple
	phase   endsPhase
	answers bool  // the server has sent its number, so that more may come of the connection once it is over
	repeats int   // SYNs of this attempt that were sent again
	until   int64 // ns, silent up to then
}

type endsPhase int

const (
	phaseClosed endsPhase = iota
	phaseSYNSent
	phaseSYNReceived
	phaseOpen
	phaseClientDone // has sent its FIN
	phaseServerDone
)

// next returns who sends next, and what: ok is false if nobody does.
func (s *script) next(r *rand.Rand, f *follower, now int64) (from int, p packet.TCP, ok bool) {
	if now < s.until {
		return 0, p, false
	}
	send := func(from int, flags uint8, size int) (int, packet.TCP, bool) {
		p := s.segment(from, s.nxt[from], s.nxt[1-from], flags, size)
		s.nxt[from] += uint32(size)
		if flags&packet.FIN != 0 {
			s.nxt[from]++
		}
		return from, p, true
	}
	open := func() (int, packet.TCP, bool) { // an attempt
		s.isn[0] = r.Uint32()
		if s.phase != phaseSYNSent {
			s.isn[1] = r.Uint32()
		}
		s.nxt = [2]uint32{s.isn[0] + 1, s.isn[1] + 1}
		s.phase, s.answers, s.repeats = phaseSYNSent, false, 0
		return 0, s.segment(0, s.isn[0], 0, packet.SYN, 0), true
	}
	from = r.IntN(2)
	n := r.IntN(100)
	switch s.phase {
	case phaseClosed:
		switch {
		case n < 10 && s.answers:
			return send(from, packet.RST|packet.ACK, 0)
		case n < 20 && s.answers: // nobody has told this side of the end, or the capture begins here
			s.phase = phaseOpen
			return send(from, packet.ACK, 100)
		case n < 25 && s.answers:
			return send(from, packet.ACK, 0)
		case n < 40:
			s.until = now + r.Int64N(2*endsFinalizedAge)
			return 0, p, false
		}
		return open()
	case phaseSYNSent:
		switch {
		case n < 20 && s.repeats < endsRepeats:
			s.repeats++
			return 0, s.segment(0, s.isn[0], 0, packet.SYN, 0), true
		case n < 65:
			s.phase, s.answers = phaseSYNReceived, true
			return 1, s.segment(1, s.isn[1], s.nxt[0], packet.SYN|packet.ACK, 0), true
		case n < 80:
			s.phase = phaseClosed
			return 1, s.segment(1, 0, s.nxt[0], packet.RST|packet.ACK, 0), true
		case n < 86:
			s.phase = phaseClosed
			return send(0, packet.RST, 0)
		case n < 90:
			return open()
		case n < 93: // the SYN+ACK was lost before the capture
			s.phase, s.answers = phaseOpen, true
			return send(0, packet.ACK, 100)
		}
		s.phase = phaseClosed
		s.until = now + r.Int64N(2*endsStreamAge)
		return 0, p, false
	case phaseSYNReceived:
		switch {
		case n < 15:
			return 1, s.segment(1, s.isn[1], s.nxt[0], packet.SYN|packet.ACK, 0), true
		case n < 20:
			return 0, s.segment(0, s.isn[0], 0, packet.SYN, 0), true
		case n < 70:
			s.phase = phaseOpen
			return send(0, packet.ACK, 100*r.IntN(2))
		case n < 85:
			s.phase = phaseClosed
			return send(from, packet.RST|packet.ACK, 0)
		}
		s.phase = phaseClosed
		s.until = now + r.Int64N(2*endsStreamAge)
		return 0, p, false
	}
	done := map[endsPhase]int{phaseClientDone: 0, phaseServerDone: 1}
	gone, half := done[s.phase]
	if half && from == gone && n < 90 { // acknowledges, or sends its FIN again
		if n < 20 {
			return from, s.segment(from, s.nxt[from]-1, s.nxt[1-from], packet.FIN|packet.ACK, 0), true
		}
		return send(from, packet.ACK, 0)
	}
	switch {
	case n < 55:
		return send(from, packet.ACK, 100*r.IntN(3))
	case n < 60: // lost before the capture
		s.nxt[from] += 100
		return send(from, packet.ACK, 100)
	case n < 66:
		return from, s.segment(from, s.nxt[from]-100, s.nxt[1-from], packet.ACK, 100), true
	case n < 71: // forged
		return from, s.segment(from, s.nxt[from]+50_000, s.nxt[1-from], packet.RST|packet.ACK, 0), true
	case n < 73:
		if number := r.Uint32(); f.holds(0, number) { // forged
			return 0, s.segment(0, number, 0, packet.SYN, 0), true
		}
		return 0, p, false
	case n < 75: // again: one side has lost its state
		return open()
	case n < 80:
		s.phase = phaseClosed
		return send(from, packet.RST|packet.ACK, 0)
	case n < 83:
		s.phase = phaseClosed
		s.until = now + r.Int64N(2*endsStreamAge)
		return 0, p, false
	case n < 86:
		s.until = now + r.Int64N(2*endsStreamAge)
		return 0, p, false
	}
	switch {
	case half:
		s.phase = phaseClosed
	case from == 0:
		s.phase = phaseClientDone
	default:
		s.phase = phaseServerDone
	}
	return send(from, packet.FIN|packet.ACK, 0)
}

// TestGroupsCountEndsByReason wants the connections that groups have counted, over all combinations, to be those of
// follower, by the reason of their end: fin, reset_by_client, reset_by_server, timeout, recycled, and of those that were
// never established unanswered, refused, unfinished. Ports are used again, connections expire and are recycled, and the
// groups are replaced again and again. In a table that is too small follower knows which one gives way; there the clock
// moves by ticks of the wheel, so that no stream may stay for longer than its age.
func TestGroupsCountEndsByReason(t *testing.T) {
	for _, x := range []struct {
		name         string
		packets      int
		pairs, room  int
		syn          time.Duration
		max, subnets int
	}{
		{"room for all", 30_000, 80, 200, 7 * time.Second, 64, 64},
		{"too few combinations", 30_000, 80, 200, 7 * time.Second, 6, 5},
		{"a table too small", 60_000, 80, 40, 7 * time.Second, 64, 64},
		{"a table far too small", 100_000, 80, 8, time.Duration(endsStreamAge), 64, 64}, // few packets find room
	} {
		small := x.room < x.pairs
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s, seed %d", x.name, seed), func(t *testing.T) {
				t.Parallel()
				sets := setsOfTest(t)
				cfg := Config{MaxConnections: x.room, StreamAge: time.Duration(endsStreamAge), FinalizedAge: time.Duration(endsFinalizedAge), SynAge: x.syn, Optional: true,
					GroupMax: x.max, GroupMaxSubnets: x.subnets, Groups: sets[1]}
				w, r := newWorker(t, cfg), rand.New(rand.NewPCG(seed, uint64(x.room)))
				var want endCounts
				pairs, follow := make([]script, x.pairs), make([]follower, x.pairs)
				for i := range pairs {
					port := uint16(443)
					if i%3 == 0 {
						port = 9000
					}
					pairs[i].client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % 4), byte(i * 3)}), uint16(20_000+i))
					pairs[i].server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 7)}), port)
					pairs[i].isn = [2]uint32{r.Uint32(), r.Uint32()}
					pairs[i].nxt, pairs[i].answers = pairs[i].isn, true
					follow[i] = follower{endCounts: &want, ages: cfg}
				}
				now, order, noRoom := 1000*tickTime, 0, uint64(0)
				pass := func(ns int64) { // lets time pass
					if !small {
						now += ns
						w.Tick(now)
						w.Expire(r.IntN(10))
						return
					}
					for range 1 + ns/tickTime {
						now += tickTime
						w.Tick(now)
						for w.Expire(100) {
						}
						for i := range follow {
							if follow[i].expire(now); follow[i].alive {
								follow[i].file(&order)
							}
						}
					}
				}
				// makesRoom has a connection give way, as docs/analysis.md says under "Full table".
				makesRoom := func() bool {
					tracked, gives := 0, -1
					for i := range follow {
						f := &follow[i]
						if !f.alive {
							continue
						}
						tracked++
						if f.class != live && (gives < 0 || f.class < follow[gives].class || f.class == follow[gives].class && f.order < follow[gives].order) {
							gives = i
						}
					}
					if tracked < x.room {
						return true
					}
					if gives < 0 {
						return false
					}
					follow[gives].end(group.ClosedRecycled)
					follow[gives].alive = false
					return true
				}
				var into group.Reading
				compare := func(when string) {
					t.Helper()
					w.Groups(&into)
					g := total(&into)
					if got := (endCounts{g.Opened, g.Established, g.Closed, g.Failed}); got != want {
						t.Fatalf("%s: groups have counted\n%+v, want\n%+v", when, got, want)
					}
				}
				for n := range x.packets {
					pass(r.Int64N(tickTime / 2))
					switch r.IntN(100) {
					case 0:
						w.SetGroups(sets[r.IntN(len(sets))])
					case 1, 2, 3:
						w.Regroup()
					case 4:
						if r.IntN(20) == 0 {
							pass(r.Int64N(2 * endsFinalizedAge))
						}
					}
					i := r.IntN(x.pairs)
					follow[i].expire(now)
					from, p, ok := pairs[i].next(r, &follow[i], now)
					if !ok {
						continue
					}
					f := &follow[i]
					if f.alive || makesRoom() {
						f.packet(from, &p, now)
						f.file(&order)
					} else {
						noRoom++
					}
					send(w, p, now)
					if small && n%50 == 0 {
						compare(fmt.Sprintf("after packet %d, %+v", n, p))
					}
				}
				if s := w.Stats(); s.NoRoom != noRoom || s.Skipped != [len(s.Skipped)]uint64{} {
					t.Errorf("%d packets found no room, want %d; skipped %v", s.NoRoom, noRoom, s.Skipped)
				}
				now += 2 * endsStreamAge
				w.Tick(now)
				for w.Expire(100) {
				}
				for i := range follow {
					follow[i].expire(now)
				}
				compare("at the end")
				for reason, n := range want.closed {
					if (n < 10) != (reason == group.ClosedRecycled && !small) {
						t.Errorf("%d connections were closed for reason %d: too few show nothing", n, reason)
					}
				}
				for reason, n := range want.failed {
					if n < 10 {
						t.Errorf("%d connections failed for reason %d: too few show nothing", n, reason)
					}
				}
				t.Logf("%+v", want)
			})
		}
	}
}
