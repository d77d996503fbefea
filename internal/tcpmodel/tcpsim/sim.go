// Package tcpsim simulates two TCP endpoints and the path between them. It returns the capture of a point on the
// path, together with the endpoints' knowledge: which segments were sent again, and which were overtaken.
//
// The senders repair losses by SACK with RACK's rule for what is lost (RFC 8985) and by timeout. That is
// enough for repairs to come a round trip after the loss, to be lost in turn, and to come late at the tail.
// Everything is drawn from one seed.
package tcpsim

import (
	"container/heap"
	"math/rand/v2"
	"slices"

	"tcp-stream-exporter/parse"
)

// Config describes a connection, its path and its capture. Times are in ns, shares between 0 and 1. A loss
// is "before" the capture point or "behind" it, as the segment travels.
type Config struct {
	Seed        uint64
	Left, Right int64     // one way: client to capture point, capture point to server
	ISN         [2]uint32 // initial sequence numbers of client and server
	Window      uint16    // advertised by both sides, as in the header

	Data     [2]int // bytes that client and server send
	Write    int    // bytes that the application writes at once; 0: all
	Pause    int64  // between two writes, at most
	MSS      int
	Flight   int   // segments in flight at most
	Spacing  int64 // between two segments of a sender, at least
	Rate     int   // bytes/s of a bottleneck behind the capture point, which queues without end; 0: none
	DelayACK int64 // how long a receiver may hold its ACK of a single segment

	DataLossBefore, DataLossBehind float64
	ACKLossBefore, ACKLossBehind   float64
	Held                           float64 // share of segments held back before the capture point
	HeldFor                        int64   // at most
	ACKEvery                       int     // of segments without payload in quick succession, only every n-th goes on; 0: all

	Skew       int64 // the client's segments are captured that much too late
	SkipFrames int   // the capture begins after that many
	OneWay     bool  // only the client's segments are captured
	ClockSteps bool  // the capture's clock goes back now and then
	Timestamps bool  // all segments but SYNs have timestamps, in ms
	IPv6       bool
	IDs        IDs // of IPv4
}

// IDs is what a sender does for the identification of its IP packets.
type IDs uint8

const (
	NoIDs      IDs = iota // it is 0
	CountedIDs            // each packet of the connection takes the next one
	RandomIDs
)

// Truth is the endpoints' knowledge of a segment.
type Truth uint8

const (
	NoSpace   Truth = iota // it takes no sequence space
	New                    // sent once, and nothing from behind it was captured before
	SentAgain              // some of its bytes, its SYN or its FIN had been sent before
	Overtaken              // sent once, and captured after something from behind it
)

func (t Truth) String() string { return [...]string{"no space", "new", "sent again", "overtaken"}[t] }

// Frame is a captured segment.
type Frame struct {
	Dir   uint32 // 0: from the client
	Now   int64  // ns
	Seg   parse.Segment
	Truth Truth
	// Hidden: nobody who sees no more than the capture can be sure. Nothing from behind a repair was
	// captured before it, or the sender repaired without knowing of anything received behind it (by its
	// timer, or because another repair sent later had arrived); or the first copy comes by after the
	// repair; or the segment lies before the first one captured.
	Hidden bool
}

type event struct {
	time  int64
	order int
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].time < e[j].time || e[i].time == e[j].time && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}

// message is a segment on its way. Offsets count from the initial sequence numbers.
type message struct {
	flags    parse.Flags
	seq, ack int64 // offsets
	size     int   // payload bytes
	again    bool  // some of it was sent before
	blind    bool  // sent again though nothing from behind it was known to have arrived
	sack     []span
	last     bool  // of ACKs, not to be left out
	sent     int64 // ns
	id       uint16
}

// thinTime is how long the ACK thinner waits for the next ACK, in ns.
const thinTime = 1e6

// end returns the offset behind the message.
func (m *message) end() int64 {
	if m.flags&(parse.SYN|parse.FIN) != 0 {
		return m.seq + int64(m.size) + 1
	}
	return m.seq + int64(m.size)
}

type captured struct {
	time  int64
	order int
	dir   uint32
	message
}

type sim struct {
	Config
	r        *rand.Rand
	now      int64
	order    int
	queue    events
	ends     [2]*endpoint
	lineFree [2]int64  // when the bottleneck of a direction is idle
	ids      [2]uint16 // the latest
	bare     [2]int    // segments without payload so far
	frames   []captured
}

// longest is the time after which a connection is given up, in ns.
const longest = 600e9

// Run plays a connection and returns what was captured of it, in the order of the capture.
func Run(c Config) []Frame {
	s := &sim{Config: c, r: rand.New(rand.NewPCG(c.Seed, 0x7c9))}
	for i := range s.ends {
		s.ends[i] = newEndpoint(s, i)
	}
	s.ends[0].open()
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		if s.now = e.time; s.now > longest {
			break
		}
		e.do()
	}
	return s.judge()
}

func (s *sim) after(delay int64, do func()) {
	s.order++
	heap.Push(&s.queue, event{s.now + delay, s.order, do})
}

func (s *sim) chance(p float64) bool { return p > 0 && s.r.Float64() < p }

// send puts a segment on the path.
func (s *sim) send(from int, m message) {
	m.sent = s.now
	switch s.IDs {
	case CountedIDs:
		s.ids[from]++
		m.id = s.ids[from]
	case RandomIDs:
		m.id = uint16(s.r.Uint32())
	}
	bare := m.end() == m.seq
	before, behind := s.Left, s.Right
	if from == 1 {
		before, behind = behind, before
	}
	lossBefore, lossBehind := s.DataLossBefore, s.DataLossBehind
	if bare {
		lossBefore, lossBehind = s.ACKLossBefore, s.ACKLossBehind
		s.bare[from]++
		if s.ACKEvery > 1 && s.bare[from]%s.ACKEvery != 0 && s.ends[from].isOpen && !m.last {
			number := s.bare[from]
			s.after(thinTime, func() {
				if s.bare[from] == number { // no other came since: this one is not left out
					m.last = true
					s.send(from, m)
				}
			})
			return
		}
	}
	if s.chance(lossBefore) {
		return
	}
	if s.chance(s.Held) {
		before += 1 + s.r.Int64N(s.HeldFor)
	}
	s.after(before, func() {
		time := s.now
		if from == 0 {
			time += s.Skew
		}
		s.frames = append(s.frames, captured{time, len(s.frames), uint32(from), m})
		if s.chance(lossBehind) {
			return
		}
		arrival := s.now + behind
		if s.Rate > 0 {
			s.lineFree[from] = max(s.lineFree[from], s.now) + int64(m.size+40)*1e9/int64(s.Rate)
			arrival = s.lineFree[from] + behind
		}
		s.after(arrival-s.now, func() { s.ends[1-from].receive(m) })
	})
}

// judge turns what passed the capture point into frames, and adds the truth.
func (s *sim) judge() []Frame {
	slices.SortFunc(s.frames, func(a, b captured) int {
		if a.time != b.time {
			return int(max(-1, min(1, a.time-b.time)))
		}
		return a.order - b.order
	})
	all := s.frames[min(s.SkipFrames, len(s.frames)):]
	var frames []Frame
	var seen [2]bool
	var first, highest [2]int64
	var again [2]map[int64]bool // offsets of repairs that were captured
	again[0], again[1] = map[int64]bool{}, map[int64]bool{}
	clock := int64(1e9)
	for _, c := range all {
		d := c.dir
		if s.OneWay && d == 1 {
			continue
		}
		if s.ClockSteps && s.r.IntN(200) == 0 {
			clock += s.r.Int64N(100e6) - 60e6
		}
		f := Frame{Dir: d, Now: clock + c.time, Seg: parse.Segment{
			Seq: parse.Seq(s.ISN[d]) + parse.Seq(c.seq), Len: uint32(c.size), Flags: c.flags,
			Window: s.Window, WireLen: uint32(c.size + 66),
		}}
		ts := uint32(0)
		if s.Timestamps && c.flags&parse.SYN == 0 {
			f.Seg.Flags |= parse.Timestamped
			ts = s.ISN[d] + uint32(c.sent/1e6)
		}
		switch {
		case s.IPv6:
			f.Seg.Flags |= parse.OverIPv6
			f.Seg.Options = parse.Options(ts)
		case c.flags&parse.SYN == 0:
			f.Seg.Options = parse.SentOptions(c.id, ts)
		}
		if c.flags&parse.ACK != 0 {
			f.Seg.Ack = parse.Seq(s.ISN[1-d]) + parse.Seq(c.ack)
		}
		passed := seen[d] && highest[d] > c.seq
		switch {
		case c.end() == c.seq:
		case c.again:
			f.Truth, f.Hidden = SentAgain, !passed || c.blind
			again[d][c.seq] = true
		case passed:
			f.Truth, f.Hidden = Overtaken, again[d][c.seq]
		default:
			f.Truth = New
		}
		if seen[d] {
			f.Hidden = f.Hidden || f.Truth != NoSpace && c.seq < first[d]
			highest[d] = max(highest[d], c.end())
		} else {
			seen[d], first[d], highest[d] = true, c.seq, c.end()
		}
		frames = append(frames, f)
	}
	return frames
}
