package offline

import (
	"io"
	"math"
	"runtime"
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/worker"
)

// heldPacket is a packet in memory. It holds no pointer: with millions of them the garbage collector
// would take part in what is measured.
type heldPacket struct {
	time       int64
	chunk, off uint32 // where its bytes begin
	len        uint32
	wireLen    uint32
	link       parse.Link
}

// heldFile is all files in memory: of each packet what the kernel would copy in a live capture, which
// is all that the accounting looks at.
type heldFile struct {
	decoder parse.Decoder
	packets []heldPacket
	chunks  [][]byte
	last    int64 // the latest time in the files
}

const chunkSize = 4 << 20 // bytes, more than any packet has

func (h *heldFile) hold(p *pcapfile.Packet) {
	data := p.Data
	for _, snapLen := range []int{worker.SnapLen, worker.TunnelSnapLen} {
		if len(data) > snapLen && h.sameCut(p, snapLen) {
			data = data[:snapLen]
		}
	}
	at := len(h.chunks) - 1
	if at < 0 || len(h.chunks[at])+len(data) > chunkSize {
		h.chunks = append(h.chunks, make([]byte, 0, chunkSize))
		at++
	}
	off := len(h.chunks[at])
	h.chunks[at] = append(h.chunks[at], data...)
	h.packets = append(h.packets, heldPacket{p.Time, uint32(at), uint32(off), uint32(len(data)), p.WireLen, p.Link})
}

// sameCut reports whether a packet cut to snapLen bytes decodes to the same.
func (h *heldFile) sameCut(p *pcapfile.Packet, snapLen int) bool {
	var whole, cut parse.Segment
	why := h.decoder.Frame(p.Link, p.Data, p.WireLen, &whole)
	return why == h.decoder.Frame(p.Link, p.Data[:snapLen], p.WireLen, &cut) && (why != parse.OK || whole == cut)
}

// readRepeatedly reads the packets that the filter accepts into memory, then accounts them
// o.Repeat times, each time with a worker that starts empty, and notes the times in report. The
// last worker is returned.
func (o *Options) readRepeatedly(in *input, filter *fileFilter, progress *progress, report *fileReport) (w *worker.Worker, err error) {
	held := heldFile{last: math.MinInt64, decoder: parse.Decoder{Tunnels: o.Tunnels}}
	for {
		var p pcapfile.Packet
		if in.Next(&p) == io.EOF {
			break
		}
		held.last = max(held.last, p.Time)
		accepted, err := filter.accepts(&p)
		if err != nil {
			return nil, err
		}
		if accepted {
			held.hold(&p)
		}
		progress.at(in)
	}
	report.runs, report.best = o.Repeat, math.MaxInt64
	var total time.Duration
	for run := range o.Repeat {
		if run > 0 {
			w.Close()
		}
		if w, err = o.NewWorker(); err != nil {
			return nil, err
		}
		runtime.GC() // what came before is not this run's to collect
		started := time.Now()
		held.account(w)
		took := time.Since(started)
		total += took
		report.best = min(report.best, took)
	}
	report.took = total / time.Duration(o.Repeat)
	return w, nil
}

// account brings every packet to w.
func (h *heldFile) account(w *worker.Worker) {
	next := int64(math.MinInt64)
	for i := range h.packets {
		p := &h.packets[i]
		w.Frame(p.link, h.chunks[p.chunk][p.off:p.off+p.len], p.wireLen, p.time)
		if p.time >= next {
			for w.Expire(math.MaxInt) {
			}
			next = p.time + expireEvery
		}
	}
	if h.last != math.MinInt64 {
		w.Tick(h.last)
	}
	for w.Expire(math.MaxInt) {
	}
}
