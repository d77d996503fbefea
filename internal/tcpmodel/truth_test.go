package tcpmodel_test

import (
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/internal/tcpmodel"
	"tcp-stream-exporter/internal/tcpmodel/tcpsim"
)

// The model's verdicts equal the endpoints' knowledge, whichever way segments are lost or overtaken.
func TestModelFindsTheTruth(t *testing.T) {
	class := [...]tcpmodel.Class{tcpsim.New: tcpmodel.New, tcpsim.SentAgain: tcpmodel.Retransmission, tcpsim.Overtaken: tcpmodel.OutOfOrder}
	for _, p := range []struct {
		name   string
		lossy  bool
		change tcpsim.Config
	}{
		{"clean", false, tcpsim.Config{}},
		{"lost before the capture point", true, tcpsim.Config{DataLossBefore: .01}},
		{"lost behind the capture point", true, tcpsim.Config{DataLossBehind: .01}},
		{"lost everywhere", true, tcpsim.Config{DataLossBefore: .02, DataLossBehind: .02, ACKLossBefore: .02, ACKLossBehind: .02}},
		{"thinned ACKs", true, tcpsim.Config{DataLossBefore: .01, ACKEvery: 8}},
		{"overtaken and lost", true, tcpsim.Config{DataLossBefore: .01, DataLossBehind: .01, Held: .01, HeldFor: 300e3}},
		{"many overtaken, and lost", true, tcpsim.Config{DataLossBefore: .01, DataLossBehind: .01, Held: .05, HeldFor: 2e6, Spacing: 125e3}},
	} {
		t.Run(p.name, func(t *testing.T) {
			segments, late, hidden := 0, 0, 0
			for seed := range uint64(15) {
				r := rand.New(rand.NewPCG(seed, 3))
				c := p.change
				c.Seed, c.Left, c.Right = seed, 2e6+r.Int64N(10e6), 2e6+r.Int64N(10e6)
				c.ISN = [2]uint32{r.Uint32(), -r.Uint32N(1e6)}
				c.Data, c.Window, c.MSS, c.Flight, c.DelayACK = [2]int{400e3, 800e3}, 500, 1448, 100, 30e6
				c.Spacing = max(c.Spacing, 20e3)
				var m tcpmodel.Conn
				for i, f := range tcpsim.Run(c) {
					v := m.Account(f.Dir, &f.Seg, f.Now)
					switch {
					case f.Truth == tcpsim.NoSpace:
						continue
					case f.Hidden:
						hidden++
						continue
					case v.Class != class[f.Truth]:
						t.Errorf("seed %d, segment %d of direction %d: %v, the truth is %v: %+v", seed, i, f.Dir, v.Class, f.Truth, v)
					}
					segments++
					if f.Truth != tcpsim.New {
						late++
					}
				}
				for dir := range uint32(2) {
					if s := m.Counts(dir).RTT; s.N < 20 || s.Mean() > 60e6 {
						t.Errorf("seed %d, direction %d: %d round trips of %.3f ms", seed, dir, s.N, s.Mean()/1e6)
					}
				}
			}
			t.Logf("%d segments, %d late, %d more cannot be known", segments, late, hidden)
			if segments < 10e3 || p.lossy && late < 100 {
				t.Error("too few to tell anything")
			}
		})
	}
}
