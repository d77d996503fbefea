package stream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/internal/tcpmodel"
	"tcp-stream-exporter/internal/tcpmodel/tcpsim"
	"tcp-stream-exporter/parse"
)

// paths are the kinds of connections, paths and captures that the model and the truth are compared on. What
// a kind leaves open is drawn.
var paths = []struct {
	name   string
	change func(*tcpsim.Config)
}{
	{"clean", func(*tcpsim.Config) {}},
	{"lost before the capture point", func(c *tcpsim.Config) { c.DataLossBefore = .01 }},
	{"lost behind the capture point", func(c *tcpsim.Config) { c.DataLossBehind = .01 }},
	{"lost everywhere", func(c *tcpsim.Config) {
		c.DataLossBefore, c.DataLossBehind, c.ACKLossBefore, c.ACKLossBehind = .02, .02, .03, .03
	}},
	{"thinned ACKs", func(c *tcpsim.Config) { c.DataLossBefore, c.ACKEvery = .01, 8 }},
	{"overtaken", func(c *tcpsim.Config) { c.Held, c.HeldFor = .01, 300e3 }},
	{"overtaken and lost", func(c *tcpsim.Config) {
		c.Held, c.HeldFor, c.DataLossBefore, c.DataLossBehind = .01, 300e3, .01, .01
	}},
	{"many overtaken", func(c *tcpsim.Config) { c.Held, c.HeldFor, c.Spacing = .05, 2e6, 125e3 }},
	{"many overtaken, and lost", func(c *tcpsim.Config) {
		c.Held, c.HeldFor, c.Spacing, c.DataLossBefore, c.DataLossBehind = .05, 2e6, 125e3, .01, .01
	}},
	{"overtaken and lost on a short path", func(c *tcpsim.Config) {
		c.Left, c.Right, c.Spacing, c.Timestamps = 100e3, 100e3, 5e3, true
		c.Held, c.HeldFor, c.DataLossBefore, c.DataLossBehind = .01, 280e3, .01, .01
	}},
	{"overtaken for long, and lost", func(c *tcpsim.Config) {
		c.Left, c.Right, c.Timestamps = 8e6, 12e6, true
		c.Held, c.HeldFor, c.DataLossBefore, c.DataLossBehind = .01, 28e6, .01, .01
	}},
	{"writes and pauses", func(c *tcpsim.Config) {
		c.Data = [2]int{200e3, 200e3}
		c.Write, c.Pause, c.DataLossBefore, c.DataLossBehind = 3000, 20e6, .01, .01
	}},
	{"a queue", func(c *tcpsim.Config) { c.Rate, c.DataLossBefore, c.Flight = 4e6, .001, 160 }},
	{"in mid-stream", func(c *tcpsim.Config) { c.SkipFrames, c.DataLossBefore, c.DataLossBehind = 200, .01, .01 }},
	{"one way", func(c *tcpsim.Config) {
		c.OneWay, c.Data = true, [2]int{1e6, 1000}
		c.DataLossBefore, c.DataLossBehind, c.Held, c.HeldFor = .01, .01, .01, 300e3
	}},
	{"ACKs before their data", skewed},
	{"a clock that goes back", stepping},
}

func skewed(c *tcpsim.Config) {
	c.Left, c.Right, c.Skew = 20e6, 5e3, 50e3
	c.Data, c.DataLossBefore = [2]int{1e6, 1000}, .01
}

func stepping(c *tcpsim.Config) {
	c.ClockSteps, c.DataLossBefore, c.DataLossBehind = true, .01, .01
}

// connectionOn draws a connection.
func connectionOn(change func(*tcpsim.Config), seed uint64) tcpsim.Config {
	r := rand.New(rand.NewPCG(seed, 0xc0))
	c := tcpsim.Config{
		Seed: seed, Left: 2e6 + r.Int64N(10e6), Right: 2e6 + r.Int64N(10e6), ISN: [2]uint32{r.Uint32(), -r.Uint32N(1e6)},
		Window: 500, Data: [2]int{2000, 1.5e6}, MSS: 1448, Flight: 30 + r.IntN(100), Spacing: 20e3, DelayACK: 30e6,
		Timestamps: seed%2 == 1, IPv6: seed%5 == 4, IDs: tcpsim.IDs(seed % 3),
	}
	if seed%3 == 0 {
		c.Data = [2]int{600e3, 900e3}
	}
	change(&c)
	return c
}

// both accounts the same segments with the Conn of this package and with the model.
type both struct {
	conn     Conn
	optional Optional
	tally    Tally
	model    tcpmodel.Conn
	last     [2]View
	apart    [2]int // late segments by the model, less those by Conn, where the threshold decides if they are late
}

func newBoth() *both {
	b := &both{}
	b.conn.Reset()
	return b
}

// account returns the class that Conn gives a segment, New standing for None too, and the model's verdict.
// It fails if counts differ that must not.
func (b *both) account(dir uint32, seg *parse.Segment, now int64) (tcpmodel.Class, tcpmodel.Verdict, error) {
	ev, _ := b.conn.AccountOptional(&b.optional, dir, seg, now, &b.tally)
	v := b.model.Account(dir, seg, now)
	if begun := ev&Renewed != 0; begun != v.Begun {
		return 0, v, fmt.Errorf("a new connection began: %t, by the model %t", begun, v.Begun)
	}
	if v.Begun {
		b.last, b.apart = [2]View{}, [2]int{}
	}
	class, before := tcpmodel.New, b.last[dir]
	got := &b.last[dir]
	b.conn.View(int(dir), now, got)
	switch {
	case got.Retransmits != before.Retransmits:
		class = tcpmodel.Retransmission
	case got.OutOfOrder != before.OutOfOrder:
		class = tcpmodel.OutOfOrder
	}
	if v.Acknowledged && v.Timed {
		b.apart[dir] += lateness(v.Class) - lateness(class)
	}
	want := b.model.Counts(dir)
	type counts struct {
		packets, bytes                       uint64
		gaps, duplicateACKs, windows, resets uint32
		late                                 int
	}
	g := counts{got.Packets, got.Bytes, got.Gaps, got.DuplicateAcks, got.ZeroWindows, got.Resets, int(got.Retransmits+got.OutOfOrder) + b.apart[dir]}
	w := counts{want.Packets, want.Bytes, want.Gaps, want.DuplicateACKs, want.ZeroWindows, want.Resets, int(want.Retransmits + want.OutOfOrder)}
	if g != w {
		return class, v, fmt.Errorf("\n%+v, by the model\n%+v", g, w)
	}
	return class, v, nil
}

func lateness(c tcpmodel.Class) int {
	if c == tcpmodel.Retransmission || c == tcpmodel.OutOfOrder {
		return 1
	}
	return 0
}

// shares counts segments by whether their class is right.
type shares struct{ segments, late, wrong int }

func (s *shares) add(late, wrong bool) {
	s.segments++
	if late {
		s.late++
	}
	if wrong {
		s.wrong++
	}
}

func (s shares) String() string {
	return fmt.Sprintf("%d segments, %d late, %d wrong", s.segments, s.late, s.wrong)
}

// check fails if there are fewer than enough late segments, or if more than the share of them are wrong.
func (s shares) check(t *testing.T, enough int, share float64) {
	t.Helper()
	t.Log(s)
	if s.late < enough {
		t.Errorf("%d late segments are too few to tell anything", s.late)
	}
	if float64(s.wrong) > share*float64(s.late) {
		t.Errorf("%d of %d late segments are in the wrong class", s.wrong, s.late)
	}
}

// againstModel sorts the differences from the model's classes by why they may be.
type againstModel struct {
	several    shares // several holes are open within half a round trip: which bytes are missing is not known
	trailing   shares // of the two below: an empty segment overtook what is missing
	straddling shares // likewise: it begins in a hole and ends behind it
	threshold  shares // half the round trip decides, which is taken from fewer samples than the model has
	certain    shares // nothing is left to chance
}

func (a *againstModel) add(class tcpmodel.Class, v *tcpmodel.Verdict) {
	s := &a.certain
	switch {
	case v.Holes >= 2:
		s = &a.several
	case v.Timed:
		s = &a.threshold
	}
	late, wrong := lateness(v.Class) != 0, v.Class != class
	s.add(late, wrong)
	if v.Holes < 2 && v.Trailing {
		a.trailing.add(late, wrong)
	}
	if v.Holes < 2 && v.Straddling {
		a.straddling.add(late, wrong)
	}
}

// The figures of Conn are those of a plain model of the same definitions that keeps everything.
func TestModel(t *testing.T) {
	const seeds = 40
	var classes againstModel
	t.Run("equal counts", func(t *testing.T) {
		for _, p := range paths {
			t.Run(p.name, func(t *testing.T) {
				for seed := range uint64(seeds) {
					b := newBoth()
					for i, f := range tcpsim.Run(connectionOn(p.change, seed)) {
						class, v, err := b.account(f.Dir, &f.Seg, f.Now)
						if err != nil {
							t.Fatalf("seed %d, segment %d of direction %d, %+v, %+v: %v", seed, i, f.Dir, f.Seg, v, err)
						}
						if v.Class != tcpmodel.None {
							classes.add(class, &v)
						}
					}
				}
			})
		}
	})
	t.Run("equal classes where no time decides", func(t *testing.T) { classes.certain.check(t, 3000, 0) })
	t.Run("equal classes where half a round trip decides", func(t *testing.T) { classes.threshold.check(t, 1000, .01) })
	t.Run("nearly equal classes where several holes are open", func(t *testing.T) { classes.several.check(t, 1000, .01) })
	t.Run("equal classes of what an empty segment overtook", func(t *testing.T) { classes.trailing.check(t, 10, 0) })
}

// Odd flags, probes, SYNs and RSTs in and out of place: the counts are the model's.
func TestModelOddTraffic(t *testing.T) {
	var classes againstModel
	for seed := range uint64(400) {
		b, o := newBoth(), tcpsim.NewOdd(seed)
		for i := range 500 {
			f := o.Next()
			class, v, err := b.account(f.Dir, &f.Seg, f.Now)
			if err != nil {
				t.Fatalf("seed %d, segment %d of direction %d, %+v, %+v: %v", seed, i, f.Dir, f.Seg, v, err)
			}
			if v.Class != tcpmodel.None {
				classes.add(class, &v)
			}
		}
	}
	t.Run("equal classes where no time decides", func(t *testing.T) { classes.certain.check(t, 5000, 0) })
	t.Run("nearly equal classes elsewhere", func(t *testing.T) {
		s := classes.threshold
		s.late += classes.several.late
		s.wrong += classes.several.wrong
		s.check(t, 300, .05)
	})
	t.Run("equal classes of what reaches from a hole to behind it", func(t *testing.T) { classes.straddling.check(t, 50, 0) })
}

// Conn's verdicts equal the endpoints' knowledge where both halves' round trips are known.
func TestModelTruth(t *testing.T) {
	classOf := [...]tcpmodel.Class{tcpsim.New: tcpmodel.New, tcpsim.SentAgain: tcpmodel.Retransmission, tcpsim.Overtaken: tcpmodel.OutOfOrder}
	var one, several, hidden, skew shares
	for _, p := range paths {
		for seed := range uint64(40) {
			c := connectionOn(p.change, 1000+seed)
			if c.OneWay || c.ClockSteps {
				continue
			}
			b := newBoth()
			for _, f := range tcpsim.Run(c) {
				class, v, _ := b.account(f.Dir, &f.Seg, f.Now)
				if f.Truth == tcpsim.NoSpace || !v.Known {
					continue
				}
				s := &one
				switch {
				case f.Hidden:
					s = &hidden
				case v.Holes >= 2:
					s = &several
				case c.Skew != 0:
					s = &skew
				}
				s.add(f.Truth != tcpsim.New, class != classOf[f.Truth])
			}
		}
	}
	t.Run("one hole at most", func(t *testing.T) {
		one.check(t, 1000, 0)
		if one.segments < 100e3 {
			t.Errorf("%d segments are too few", one.segments)
		}
	})
	t.Run("several holes", func(t *testing.T) { several.check(t, 1000, .005) })
	t.Run("ACKs captured before their data", func(t *testing.T) { skew.check(t, 100, .02) })
	t.Run("left out", func(t *testing.T) {
		t.Logf("cannot be known: %v", hidden)
		if all := one.late + several.late; hidden.late*20 > all {
			t.Errorf("more than one in twenty of %d late segments", all)
		}
	})
}

// rtts compares the average round-trip time of each direction of connections with the one of a list of all
// segments in flight. It returns how many directions have enough samples, and how many of them are within
// 5% and 25%.
func rtts(t *testing.T, connections ...tcpsim.Config) (directions, near, far int) {
	for _, c := range connections {
		b := newBoth()
		for _, f := range tcpsim.Run(c) {
			b.account(f.Dir, &f.Seg, f.Now) //nolint:errcheck // TestModel looks at the counts
		}
		for dir := range uint32(2) {
			want := b.model.Counts(dir).RTT
			if want.N < 20 {
				continue
			}
			var e Extra
			b.optional.Extra(int(dir), &e)
			directions++
			off := math.Abs(float64(e.RTTSum)/float64(max(e.RTTs, 1))/want.Mean() - 1)
			if off <= .05 {
				near++
			}
			if off <= .25 {
				far++
			}
		}
	}
	t.Logf("%d directions, %d within 5%%, %d within 25%%", directions, near, far)
	return directions, near, far
}

// The average round-trip time is that of all segments in flight, not only of those that Conn times.
func TestModelRTT(t *testing.T) {
	var steady, bursts []tcpsim.Config
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 0xc1))
		few := connectionOn(func(c *tcpsim.Config) {
			c.Data, c.Flight, c.DataLossBefore, c.DataLossBehind = [2]int{2000, 300e3}, 1+r.IntN(8), .003, .003
		}, 2000+seed)
		queue := connectionOn(func(c *tcpsim.Config) {
			c.Data, c.Flight, c.Rate, c.DataLossBefore = [2]int{2000, 2e6}, 80+r.IntN(120), 1e6+r.IntN(4e6), .003*float64(seed%2)
		}, 3000+seed)
		requests := connectionOn(func(c *tcpsim.Config) {
			c.Data, c.Write, c.Pause, c.DataLossBehind = [2]int{200e3, 200e3}, 100+r.IntN(3000), 60e6, .003
		}, 4000+seed)
		steady = append(steady, few, queue, requests)
	}
	for _, p := range paths {
		for seed := range uint64(20) {
			if c := connectionOn(p.change, 2000+seed); !c.ClockSteps {
				bursts = append(bursts, c)
			}
		}
	}
	t.Run("few segments in flight, or a queue that spaces them", func(t *testing.T) {
		if directions, near, _ := rtts(t, steady...); directions < 300 || near*100 < directions*99 {
			t.Error("the mean must be within 5% in 99% of the directions")
		}
	})
	// Each round trip brings several bursts with pauses of a good part of the round trip in between, more than
	// there are stretches.
	t.Run("several bursts a round trip", func(t *testing.T) {
		if directions, near, far := rtts(t, bursts...); directions < 300 || near*100 < directions*99 || far != directions {
			t.Error("the mean must be within 5% in 99% of the directions, and within 25% in all")
		}
	})
}
