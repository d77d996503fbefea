package tsharkcmp

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/pcapfile"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/worker"
)

// endless is an age that no capture reaches and that can be added to any of its times.
const endless = 80 * 365 * 24 * time.Hour

// RunExporter lets the exporter's worker account a capture file: without a filter, IPv6 included,
// no stream ever too old. A file that is damaged is accounted up to the damage, as tshark does.
//
// The exporter starts a four-tuple that is used again from zero. Such connections are run a second
// time, alone, and their figures noted each time that a new connection replaces the old one.
func RunExporter(path string) (Table, error) {
	w, err := newWorker(1 << 18)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	reused := map[table.Key]bool{}
	replaced := uint64(0)
	if err := eachPacket(path, func(p *pcapfile.Packet) error {
		w.Frame(p.Link, p.Data, p.WireLen, p.Time)
		if n := w.Stats().Replaced; n != replaced {
			replaced = n
			if k, _, ok := keyOf(p); ok {
				reused[k] = true
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if n := w.Stats().NoRoom; n > 0 {
		return nil, fmt.Errorf("%s: %d segments found no room: too many connections", path, n)
	}
	t := Table{}
	if err := eachView(w, func(d Direction, v *stream.View) {
		f := figuresOf(v)
		f.Connections = 1
		t[d] = &f
	}); err != nil {
		return nil, err
	}
	return t, sumReused(path, reused, t)
}

func newWorker(connections int) (*worker.Worker, error) {
	return worker.New(worker.Config{
		MaxConnections: connections, StreamAge: endless, FinalizedAge: endless, IPv6: true,
	})
}

// eachPacket calls f for every packet up to the end of the file or its damage.
func eachPacket(path string, f func(*pcapfile.Packet) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := pcapfile.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var p pcapfile.Packet
	for {
		switch err := r.Next(&p); {
		case err == nil:
		case err == io.EOF, errors.As(err, new(*pcapfile.DamageError)):
			return nil
		default:
			return err
		}
		if err := f(&p); err != nil {
			return err
		}
	}
}

// keyOf decodes a packet's connection and direction.
func keyOf(p *pcapfile.Packet) (k table.Key, dir int, ok bool) {
	var seg parse.Segment
	if parse.Frame(p.Link, p.Data, p.WireLen, &seg) != parse.OK {
		return k, 0, false
	}
	return seg.Conn(), int(seg.Dir()), true
}

// lone is one connection in a worker of its own.
type lone struct {
	worker *worker.Worker
	now    [2]Figures // of the connection that the four-tuple carries at present
	past   [2][]Figures
}

// sumReused runs the connections of the given four-tuples alone and replaces their figures in t by
// the sums.
func sumReused(path string, reused map[table.Key]bool, t Table) error {
	if len(reused) == 0 {
		return nil
	}
	all := map[table.Key]*lone{}
	defer func() {
		for _, l := range all {
			l.worker.Close()
		}
	}()
	err := eachPacket(path, func(p *pcapfile.Packet) error {
		k, dir, ok := keyOf(p)
		if !ok || !reused[k] {
			return nil
		}
		l := all[k]
		if l == nil {
			w, err := newWorker(1)
			if err != nil {
				return err
			}
			l = &lone{worker: w}
			all[k] = l
		}
		if err := l.frame(p, k, dir); err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k, l := range all {
		for dir := range 2 {
			d := directionOfKey(k, dir)
			if last := t[d]; last != nil && !last.sameCounts(&l.now[dir]) {
				return fmt.Errorf("%v: alone %+v, among others %+v", d, l.now[dir], *last)
			}
			if f := l.sum(dir); f.Packets > 0 {
				t[d] = &f
			} else {
				delete(t, d)
			}
		}
	}
	return nil
}

// frame accounts one packet and notes the figures of a connection that it replaces.
func (l *lone) frame(p *pcapfile.Packet, k table.Key, dir int) error {
	before := l.worker.Stats().Replaced
	l.worker.Frame(p.Link, p.Data, p.WireLen, p.Time)
	var now [2]Figures
	if err := eachView(l.worker, func(d Direction, v *stream.View) {
		i := 0
		if d != directionOfKey(k, 0) {
			i = 1
		}
		now[i] = figuresOf(v)
	}); err != nil {
		return err
	}
	if l.worker.Stats().Replaced != before {
		for i := range l.now {
			// A SYN that waited for its confirmation has been counted with the old connection and
			// again with the new one.
			twice := now[i].Packets
			if i == dir {
				twice--
			}
			l.now[i].Packets -= twice
			if l.now[i].Packets > 0 {
				l.past[i] = append(l.past[i], l.now[i])
			}
		}
	}
	l.now = now
	return nil
}

// sum adds up a direction's figures over all of its connections.
func (l *lone) sum(dir int) Figures {
	each := l.past[dir]
	if l.now[dir].Packets > 0 {
		each = append(each, l.now[dir])
	}
	var f Figures
	for i := range each {
		f.merge(&each[i])
	}
	f.Each = each
	return f
}

// eachView calls f for every stream of w.
func eachView(w *worker.Worker, f func(d Direction, v *stream.View)) error {
	var s worker.Snapshot
	if err := w.Snapshot(&s); err != nil {
		return err
	}
	for i := range s.Views {
		v := &s.Views[i]
		e := v.Ends(s.Wide)
		f(Direction{netip.AddrPortFrom(e.Src.Netip(), v.SrcPort), netip.AddrPortFrom(e.Dst.Netip(), v.DstPort)}, v)
	}
	return s.Close()
}

func directionOfKey(k table.Key, dir int) Direction {
	src, dst, srcPort, dstPort := k.Endpoints(dir)
	return Direction{netip.AddrPortFrom(src.Netip(), srcPort), netip.AddrPortFrom(dst.Netip(), dstPort)}
}

func figuresOf(v *stream.View) Figures {
	f := Figures{
		Packets: v.Packets, Bytes: v.Bytes, Retransmissions: uint64(v.Retransmits),
		OutOfOrder: uint64(v.OutOfOrder), Gaps: uint64(v.Gaps), DuplicateACKs: uint64(v.DuplicateAcks),
		ZeroWindows: uint64(v.ZeroWindows), Resets: uint64(v.Resets), Window: uint64(v.WindowBytes),
		Connections: 1,
	}
	if v.Has&stream.HasDelay != 0 {
		f.RTT = Samples{N: 1, Avg: float64(v.AvgDelay), Min: float64(v.MinDelay), Max: float64(v.MaxDelay)}
	}
	return f
}
