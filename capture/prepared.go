package capture

import (
	"tcp-stream-exporter/ring"
	"tcp-stream-exporter/worker"
)

// Prepared accounts blocks that lie in ordinary memory as a Capture does those of its ring, to measure what a packet
// costs on this machine. It belongs to one goroutine.
type Prepared struct{ at walk }

// PreparedIndex is the interface index that frames in prepared blocks have.
const PreparedIndex = 1

// NewPrepared returns what accounts blocks with w.
func NewPrepared(w *worker.Worker) *Prepared {
	p := &Prepared{at: walk{worker: w}}
	if w.ByInterfaceAlone() {
		p.at.interfaces = NewInterfaces(map[int]int32{PreparedIndex: 1}, false)
	}
	return p
}

// Block accounts one block, as if the clock stood at now, in ns since the epoch, and does one turn's share of expiring.
func (p *Prepared) Block(b ring.Block, now int64) {
	p.at.block(&b, now, now)
	p.at.worker.Expire(expireBudget)
}
