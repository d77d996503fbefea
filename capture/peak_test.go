package capture

import (
	"net/netip"
	"testing"
	"time"

	"tcp-stream-exporter/internal/fakekernel"
	"tcp-stream-exporter/internal/packet"
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// A peak is seen for a minute, by everybody who looks, and then it is over.
func TestAPeakIsSeenForAMinute(t *testing.T) {
	var p peaks
	p.advance(5 * sec / 2)
	p.turn.note(7)
	for at := 5 * sec / 2; at < 70*sec; at += sec / 4 {
		p.advance(at)
		want := time.Duration(7)
		if at >= 63*sec { // the second in which it was, and 60 more
			want = 0
		}
		for range 2 {
			if got := p.turn.max(); got != want {
				t.Fatalf("%v after the start: %v, want %v", time.Duration(at), got, want)
			}
		}
	}
	if p.frameAge.max() != 0 || p.lag.max() != 0 {
		t.Error("a peak of one figure shows in another")
	}
}

func TestTheLargestOfAMinute(t *testing.T) {
	var p peaks
	at := int64(0)
	for i, c := range []struct {
		at, value int64
		stall     bool // nothing is done until then, otherwise a little each second
		want      time.Duration
	}{
		{1 * sec, 5, false, 5},
		{2 * sec, 9, false, 9},
		{2*sec + 1, 3, false, 9},
		{40 * sec, 8, false, 9},
		{62 * sec, 1, false, 9},
		{63 * sec, 1, false, 8},
		{101 * sec, 2, false, 2},
		{1000 * sec, 1, true, 2}, // it was noted at some time since
		{1060 * sec, 0, false, 1},
		{1061 * sec, 0, false, 0},
		{1200 * sec, 4, true, 4},
	} {
		for !c.stall && at+sec < c.at {
			at += sec
			p.advance(at)
		}
		at = c.at
		p.advance(at)
		p.lag.note(c.value)
		if got := p.lag.max(); got != c.want {
			t.Errorf("row %d: %v, want %v", i, got, c.want)
		}
	}
}

// handClock is a clock that the test sets.
type handClock struct{ mono, real, cpu int64 }

func (h *handClock) read() (mono, real int64) { return h.mono, h.real }

// pass lets d pass on both clocks.
func (h *handClock) pass(d int64) {
	h.mono += d
	h.real += d
}

func byHand(t *testing.T) (*Capture, *handClock) {
	h := &handClock{mono: 100 * sec, real: 1_700_000_000 * sec}
	c := New(newWorker(t, worker.Config{}), nil, nil, h.read, nil)
	c.cpuTime = func() int64 { return h.cpu }
	return c, h
}

// look is one look at the ring.
func (h *handClock) look(c *Capture) { c.beginTurn(h.mono, h.real) }

// What counts is the time between two looks at the ring, and from the last one to a wait; the wait
// itself does not.
func TestLongestTurn(t *testing.T) {
	c, h := byHand(t)
	wants := func(what string, want int64) {
		t.Helper()
		if got := c.peaks.turn.max(); got != time.Duration(want) {
			t.Errorf("%s: %v, want %v", what, got, time.Duration(want))
		}
	}
	h.pass(9 * sec)
	h.look(c)
	wants("the first look", 0)
	h.pass(3 * ms)
	h.look(c)
	wants("a look 3 ms after the first", 3*ms)
	h.pass(1 * ms)
	h.look(c)
	wants("one more 1 ms later", 3*ms)
	h.pass(4 * ms)
	c.endTurn()
	wants("4 ms of work before a wait", 4*ms)
	h.pass(2 * sec)
	h.look(c)
	wants("a look after a wait of 2 s", 4*ms)
	h.pass(5 * ms)
	h.look(c)
	wants("5 ms of work after the wait", 5*ms)
	h.real += 3600 * sec
	h.look(c)
	wants("the real-time clock stepping", 5*ms)

	h.pass(1 * sec)
	c.publish()
	if got := c.Stats().MaxTurn; got != 5*time.Millisecond {
		t.Errorf("published: %v, want 5 ms", got)
	}
	h.pass(61 * sec)
	c.turnBegan = noTurn
	c.publish()
	if got := c.Stats().MaxTurn; got != 0 {
		t.Errorf("published more than a minute later: %v, want 0", got)
	}
	h.look(c)
	h.pass(2 * ms)
	h.look(c)
	c.publish()
	if got := c.Stats().MaxTurn; got != 2*time.Millisecond {
		t.Errorf("published: %v, want 2 ms", got)
	}
}

// Of a turn in which others had the processor only the work counts as work.
func TestWorkOfATurn(t *testing.T) {
	c, h := byHand(t)
	h.cpu = 50 * sec
	for i, row := range []struct {
		time, work int64
		rests      bool
		want       int64 // the most work so far
	}{
		{1 * ms, 1 * ms, false, 0}, // before the first look nothing is known
		{9 * ms, 2 * ms, false, 2 * ms},
		{1 * ms, 1 * ms, false, 2 * ms},
		{3 * ms, 3 * ms, true, 3 * ms},
		{90 * ms, 5 * ms, false, 3 * ms}, // a wait
		{4 * ms, 4 * ms, true, 4 * ms},
	} {
		h.pass(row.time)
		h.cpu += row.work
		if row.rests {
			c.endTurn()
		} else {
			h.look(c)
		}
		if got := c.peaks.work.max(); got != time.Duration(row.want) {
			t.Errorf("row %d: %v, want %v", i, got, time.Duration(row.want))
		}
	}
	if got := c.peaks.turn.max(); got != 9*time.Millisecond {
		t.Errorf("the longest turn took %v, want 9 ms", got)
	}
}

// framesAt returns a block whose frames came at the given times.
func framesAt(times ...int64) ring.Block {
	data := packet.TCP{Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2"), Flags: packet.ACK}.Ethernet()
	var frames []fakekernel.Frame
	for _, at := range times {
		frames = append(frames, fakekernel.Frame{Data: data, Time: at, Hatype: 1})
	}
	mem, _ := fakekernel.Block(4096, frames)
	return ring.BlockOf(mem)
}

func TestAgeOfTheOldestFrame(t *testing.T) {
	c, h := byHand(t)
	wants := func(what string, want int64) {
		t.Helper()
		if got := c.peaks.frameAge.max(); got != time.Duration(want) {
			t.Errorf("%s: %v, want %v", what, got, time.Duration(want))
		}
	}
	h.look(c)
	c.noteAge(framesAt(h.real-20*ms, h.real-1*ms), h.real)
	wants("frames of 20 and 1 ms ago", 20*ms)
	c.noteAge(framesAt(h.real-3*ms), h.real)
	wants("one of 3 ms ago", 20*ms)
	c.noteAge(framesAt(), h.real)
	wants("a block without frames", 20*ms)
	c.noteAge(framesAt(h.real+5*sec), h.real)
	wants("a frame from the future", 20*ms)

	before := framesAt(h.real - 30*ms)
	h.pass(10 * ms)
	h.real += 3600 * sec
	h.look(c)
	c.noteAge(before, h.real)
	wants("a frame from before the clock was set on by an hour", 20*ms)
	came := h.real + 1*ms
	h.pass(50 * ms)
	h.look(c)
	c.noteAge(framesAt(came), h.real)
	wants("one that came after that", 49*ms)

	before = framesAt(h.real - 60*ms)
	h.real -= 7200 * sec
	h.look(c)
	c.noteAge(before, h.real)
	wants("a frame from before the clock was set back by two hours", 49*ms)
	came = h.real + 1*ms
	h.pass(80 * ms)
	h.look(c)
	c.noteAge(framesAt(came), h.real)
	wants("one that came after that", 79*ms)

	h.pass(100 * ms)
	h.real += 5 * ms // slewed meanwhile
	came = h.real - 90*ms
	h.look(c)
	c.noteAge(framesAt(came), h.real)
	wants("a clock that is slewed", 90*ms)

	b := framesAt(h.real)
	c.noteAge(b, h.real)
	if _, ok := b.Next(); !ok {
		t.Error("the look at its first frame has moved the block's walk")
	}
}

// Streams that expire later than the budget allows show as lag, in ticks, until they are gone.
func TestExpiryLag(t *testing.T) {
	c, h := byHand(t)
	const conns = 3 * expireBudget
	w := newWorker(t, worker.Config{MaxConnections: conns})
	c.worker = w
	start := h.mono
	for i := range conns {
		p := packet.TCP{Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1000), Dst: server, Flags: packet.ACK}
		send(w, p, start)
	}
	w.Tick(start + 5*sec) // their time has come just now
	if more := c.expire(); !more {
		t.Fatal("one turn was enough: the test shows nothing")
	}
	if got := c.peaks.lag.max(); got > 200*time.Millisecond {
		t.Errorf("lag %v at once", got)
	}
	w.Tick(start + 8*sec)
	more := c.expire()
	got := c.peaks.lag.max()
	if !more || got < 2800*time.Millisecond || got > 3200*time.Millisecond {
		t.Errorf("more %v, lag %v three seconds later, want 3 s", more, got)
	}
	for more {
		more = c.expire()
	}
	if w.Stats().Streams != 0 || w.Behind() != 0 {
		t.Errorf("%d streams are left, lag %v", w.Stats().Streams, time.Duration(w.Behind()))
	}
}

// What holds more payload than one segment counts as a super-packet, whatever its headers are.
func TestSuperPackets(t *testing.T) {
	c, h := byHand(t)
	w := c.worker
	block := func() {
		var frames []fakekernel.Frame
		for _, payload := range []int{0, 1, 1448, 1460, 1461, 2896, 60000} {
			for _, options := range [][]byte{nil, make([]byte, 12)} {
				p := packet.TCP{Src: client, Dst: server, Flags: packet.ACK, Options: options, Payload: payload}.Ethernet()
				frames = append(frames, fakekernel.Frame{Data: p[:min(len(p), 96)], WireLen: uint32(len(p)), Time: h.real, Hatype: 1})
			}
		}
		udp := packet.TCP{Src: client, Dst: server, Payload: 9000}.Ethernet()
		udp[14+9] = 17 // the IPv4 protocol
		frames = append(frames, fakekernel.Frame{Data: udp[:96], WireLen: uint32(len(udp)), Time: h.real, Hatype: 1})
		mem, used := fakekernel.Block(1<<14, frames)
		if used != len(frames) {
			t.Fatalf("%d of %d frames fit", used, len(frames))
		}
		b := ring.BlockOf(mem)
		c.walk.block(&b, h.mono, h.real)
	}
	block()
	if got := w.Stats().SuperPackets; got != 0 {
		t.Errorf("%d before the MTU is known, want 0", got)
	}
	w.SetSuperAbove(1500 - 40)
	block()
	if got := w.Stats().SuperPackets; got != 6 {
		t.Errorf("%d, want 6: those with 1461, 2896 and 60000 bytes", got)
	}
	// Twelve bytes of zeros are no timestamps: each segment may hold 1460 bytes.
	if got := w.Stats().SuperSegments; got != 2*(2+2+42) {
		t.Errorf("%d segments in them, want 92", got)
	}
}
