package tsharkcmp

import (
	"path/filepath"
	"testing"

	"tcp-stream-exporter/internal/tcpmodel"
	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/table"
)

// modelled is a connection of the model with what its four-tuple counted before it.
type modelled struct {
	conn tcpmodel.Conn
	past [2]classes
}

// classes are the two that differ in how much is remembered.
type classes struct{ retransmissions, outOfOrder int }

func (c *classes) add(o classes) {
	c.retransmissions += o.retransmissions
	c.outOfOrder += o.outOfOrder
}

func (m *modelled) classes(dir uint32) classes {
	n := m.conn.Counts(dir)
	return classes{int(n.Retransmits), int(n.OutOfOrder)}
}

// TestAgainstModel holds each class apart against a model that remembers everything, file by file: tshark's
// verdicts give no more than their sum. The model takes every segment for the connection's; no sample
// capture has one that no receiver accepts (docs/analysis.md, "Unacceptable segments").
func TestAgainstModel(t *testing.T) {
	for capture := range sampleFiles(t) {
		name := filepath.Base(capture)
		t.Run(name, func(t *testing.T) {
			ours, err := RunExporter(capture)
			if err != nil {
				t.Fatal(err)
			}
			all := map[table.Key]*modelled{}
			if err := eachPacket(capture, func(p *pcapfile.Packet) error {
				var seg parse.Segment
				if parse.Frame(p.Link, p.Data, p.WireLen, &seg) != parse.OK || seg.Flags&parse.LenUnknown != 0 {
					return nil // the exporter does not look at the rest of such a segment either
				}
				m := all[seg.Conn()]
				if m == nil {
					m = &modelled{}
					all[seg.Conn()] = m
				}
				counted := [2]classes{m.classes(0), m.classes(1)}
				if m.conn.Account(seg.Dir(), &seg, p.Time).Begun {
					for dir := range counted {
						m.past[dir].add(counted[dir])
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			var sum, want classes
			for k, m := range all {
				for dir := range 2 {
					d := directionOfKey(k, dir)
					f := ours[d]
					if f == nil {
						continue
					}
					got := classes{int(f.Retransmissions), int(f.OutOfOrder)}
					model := m.past[dir]
					model.add(m.classes(uint32(dir)))
					if got != model {
						t.Logf("%v: exporter %+v, model %+v", d, got, model)
					}
					sum.add(got)
					want.add(model)
				}
			}
			near := func(a, b int) bool { return max(a-b, b-a) <= 1 } // the exporter keeps marks, no list of holes
			if !near(sum.retransmissions, want.retransmissions) || !near(sum.outOfOrder, want.outOfOrder) {
				t.Errorf("exporter %+v, model %+v: want each within one", sum, want)
			}
		})
	}
}
