package stream

import (
	"math"
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/parse"
)

// A gap is the capture's if packets were lost after its stream's latest packet, and the stream's if not.
func TestGapsAcrossALossOfTheCapture(t *testing.T) {
	for _, c := range []struct {
		name          string
		lost          int64 // ms, 0: nothing
		gaps, capture int
	}{
		{"nothing was lost", 0, 2, 0},
		{"before the first packets", 20, 2, 0},
		{"right after the packet before the first gap", 31, 1, 1},
		{"just before the packet behind it", 39, 1, 1},
		{"between the gaps", 45, 0, 2}, // what was not seen until then may have been lost then
		{"after all of them", 60, 0, 2},
	} {
		conn, tally := fresh(), &Tally{}
		if c.lost != 0 {
			tally.Lost(c.lost * 1e6)
			tally.Lost(c.lost * 1e6 / 2) // an earlier one does not take that back
		}
		for _, s := range after(shake,
			step{30, a, ack, 1, 100, 1, 10, 0},
			step{40, a, ack, 201, 100, 1, 10, 0}, // a gap
			step{50, a, ack, 401, 0, 1, 10, 0}) { // a gap, seen by an empty segment
			conn.Account(s.dir, s.segment(), int64(s.ms*1e6), tally)
		}
		if got := countsOf(conn, a); int(got.gaps) != c.gaps || int(tally.CaptureGaps) != c.capture || got.retrans != 0 || got.ooo != 0 {
			t.Errorf("%s: %d gaps and %d of the capture, want %d and %d; %+v", c.name, got.gaps, tally.CaptureGaps, c.gaps, c.capture, got)
		}
	}
}

// A loss of the capture changes where gaps are counted, and nothing else.
func TestALossOfTheCaptureMovesGapsAlone(t *testing.T) {
	gaps := uint64(0)
	for seed := range uint64(200) {
		plain, lossy := fresh(), fresh()
		var plainTally, lossyTally Tally
		lossyTally.Lost(math.MaxInt64)
		g := traffic{r: rand.New(rand.NewPCG(seed, 3)), nxt: [2]parse.Seq{parse.Seq(seed << 24), 77}}
		want := uint64(0)
		for range 500 {
			dir, seg, now := g.next()
			before := [2]uint32{plain.side[0].cold.gaps, plain.side[1].cold.gaps}
			e1, rtt1 := plain.Account(dir, &seg, now, &plainTally)
			e2, rtt2 := lossy.Account(dir, &seg, now, &lossyTally)
			for d := range before {
				if after := plain.side[d].cold.gaps; e1&Renewed == 0 {
					want += uint64(after - before[d])
				} else {
					want += uint64(after) // of what came with the new connection
				}
			}
			expected := *plain
			expected.side[0].cold.gaps, expected.side[1].cold.gaps = 0, 0
			if *lossy != expected || e1 != e2 || rtt1 != rtt2 {
				t.Fatalf("seed %d, %+v:\n%+v\n%+v", seed, seg, *lossy, expected)
			}
		}
		if lossyTally.CaptureGaps != want || plainTally.CaptureGaps != 0 {
			t.Fatalf("seed %d: %d gaps of the capture, want %d; without a loss %d", seed, lossyTally.CaptureGaps, want, plainTally.CaptureGaps)
		}
		gaps += want
	}
	if gaps < 1000 {
		t.Errorf("only %d gaps: they show little", gaps)
	}
}
