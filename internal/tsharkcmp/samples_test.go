package tsharkcmp

import (
	"path/filepath"
	"slices"
	"testing"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/worker"
)

// streamLife tells a stream of a capture from those before it on the same addresses and ports.
type streamLife struct {
	stream.Ends
	srcPort, dstPort uint16
	first            int64
}

// TestGroupsHaveEverySample wants the RTT histograms of groups to be, bucket by bucket, those of the samples that the
// streams of a capture have counted, frame by frame. IPv6 is hidden from the streams that are exported.
func TestGroupsHaveEverySample(t *testing.T) {
	found := 0
	for path := range sampleFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			w, err := worker.New(worker.Config{MaxConnections: 1 << 12, StreamAge: endless, FinalizedAge: endless, Optional: true, GroupMax: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			s := worker.Snapshot{WithHidden: true, WithExtras: true}
			defer s.Close()
			counted := map[streamLife]stream.Extra{}
			var samples []uint64 // ns
			if err := eachPacket(path, func(p *pcapfile.Packet) error {
				w.Frame(p.Link, p.Data, p.WireLen, p.Time)
				if err := w.Snapshot(&s); err != nil {
					return err
				}
				for i := range s.Views {
					v, e := &s.Views[i], s.Extras[i]
					life := streamLife{v.Ends(s.Wide), v.SrcPort, v.DstPort, e.First}
					before := counted[life]
					if n := e.RTTs - before.RTTs; n > 1 {
						t.Fatalf("one frame has given %d samples", n)
					} else if n == 1 {
						samples = append(samples, e.RTTSum-before.RTTSum)
						counted[life] = e
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			found += len(samples)
			var r group.Reading
			w.Groups(&r)
			h := r.Rows[0].RTT[group.ClientLeg]
			h.Add(&r.Rows[0].RTT[group.ServerLeg])
			slices.Sort(samples)
			at := 0
			bounds, cells := h.Cells()
			for i, bound := range bounds {
				for at < len(samples) && float64(samples[at])/1e9 <= bound {
					at++
				}
				if cells[i] != uint64(at) {
					t.Errorf("%d samples up to %v s, want %d", cells[i], bound, at)
				}
			}
			if at != len(samples) || h.Count() != uint64(at) {
				t.Errorf("%d samples, want %d, and the last bound above them", h.Count(), len(samples))
			}
		})
	}
	if found < 500 {
		t.Errorf("only %d samples in all captures", found)
	}
}
