package stream

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tcp-stream-exporter/parse"
)

// download is a connection that goes its way undisturbed: a handshake, then data one way and an ACK
// for every second segment, 10 ms after it.
type download struct {
	c        *Conn
	tally    Tally
	now      int64
	data, rq parse.Seq // of the server, of the client
	acked    parse.Seq
	n        int
}

const segment = 1400

func newDownload() *download {
	d := &download{c: fresh(), data: 0xffffff00, rq: 5000} // across the wrap
	d.send(a, parse.Segment{Seq: d.rq, Flags: syn, Window: 64000, Options: parse.SYNOptions(0, 7)}, 0)
	d.send(b, parse.Segment{Seq: d.data, Ack: d.rq + 1, Flags: syn | ack, Window: 64000, Options: parse.SYNOptions(0, 7)}, 10)
	d.rq++
	d.data++
	d.acked = d.data
	d.send(a, parse.Segment{Seq: d.rq, Ack: d.data, Flags: ack, Window: 501}, 1)
	return d
}

func (d *download) send(dir uint32, seg parse.Segment, ms int64) {
	d.now += ms * 1e6
	d.c.Account(dir, &seg, d.now, &d.tally)
}

// step sends the next data segment, or the ACK for the two before.
func (d *download) step() {
	if d.n++; d.n%3 != 0 {
		d.send(b, parse.Segment{Seq: d.data, Ack: d.rq, Len: segment, Flags: ack, Window: 509}, 1)
		d.data = d.data.Add(segment)
		return
	}
	d.send(a, parse.Segment{Seq: d.rq, Ack: d.data, Flags: ack, Window: 501}, 10)
	d.acked = d.data
}

// far returns a distance that no window of the download reaches: 509 << 7 and leastReach are below 2^20.
func far(r *rand.Rand) parse.Seq {
	return parse.Seq(1<<20 + r.Uint32N(1<<32-1-(2<<20)))
}

// Segments that somebody forges into a live connection, without a sight of it, count for what they
// are and change nothing else: not one figure of the connection differs by more than their number
// from what it is without them.
func TestForgedSegmentsAddOnlyThemselves(t *testing.T) {
	kinds := []struct {
		name string
		make func(r *rand.Rand, d *download, dir uint32) parse.Segment
	}{
		{"SYN with a new sequence number", func(r *rand.Rand, d *download, _ uint32) parse.Segment {
			return parse.Segment{Seq: parse.Seq(r.Uint32()), Flags: syn, Window: 1000, Options: parse.SYNOptions(0, 3)}
		}},
		{"SYN+ACK with new numbers", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + far(r), Ack: parse.Seq(r.Uint32()), Flags: syn | ack, Window: 1000, Options: parse.SYNOptions(0, 3)}
		}},
		{"RST outside the window", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + far(r), Flags: rst}
		}},
		{"RST with ACK outside the window", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + far(r), Ack: d.at(1-dir) + far(r), Flags: rst | ack}
		}},
		{"FIN outside the window", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + far(r), Ack: d.at(1 - dir), Flags: fin | ack, Window: 500}
		}},
		{"data far ahead", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + 1<<30, Ack: d.at(1 - dir), Len: segment, Flags: ack, Window: 500}
		}},
		{"data far behind", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) - 1<<30, Ack: d.at(1 - dir), Len: segment, Flags: ack, Window: 500}
		}},
		{"data anywhere, one segment after the other", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			at := d.c.side[dir].cold.resync
			if d.c.side[dir].hot.flags&resync == 0 {
				at = d.at(dir) + far(r)
			}
			return parse.Segment{Seq: at, Ack: d.at(1 - dir), Len: segment, Flags: ack, Window: 500}
		}},
		{"data of absurd length", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir) + far(r), Ack: d.at(1 - dir), Len: 1 << (16 + r.Uint32N(14)), Flags: ack}
		}},
		{"data of unknown length", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir), Ack: d.at(1 - dir), Flags: fin | rst | ack | parse.LenUnknown}
		}},
		{"ACK of what was never sent", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{Seq: d.at(dir), Ack: d.at(1-dir) + far(r), Flags: ack, Window: 0}
		}},
		{"anything", func(r *rand.Rand, d *download, dir uint32) parse.Segment {
			return parse.Segment{
				Seq: d.at(dir) + far(r), Ack: d.at(1-dir) + far(r), Len: r.Uint32N(2) * r.Uint32N(1<<16), Flags: parse.Flags(r.Uint32N(64)) &^ syn,
				Window: uint16(r.Uint32()), Options: parse.Options(r.Uint32()),
			}
		}},
	}
	for _, kind := range kinds {
		for dir := range uint32(2) {
			t.Run(fmt.Sprintf("%s, direction %d", kind.name, dir), func(t *testing.T) {
				r := rand.New(rand.NewPCG(3, uint64(dir)))
				clean, live := newDownload(), newDownload()
				var forged, bytes uint64
				for range 3000 {
					clean.step()
					live.step()
					for range r.IntN(4) {
						seg := kind.make(r, live, dir)
						live.send(dir, seg, 0)
						forged++
						bytes += uint64(seg.Len)
					}
				}
				want, got := views(clean.c, clean.now), views(live.c, live.now)
				for i := range got {
					g, w := &got[i], &want[i]
					most := uint64(0)
					if i == int(dir) {
						most = forged
						w.Packets += forged
						w.Bytes += bytes
					}
					if g.Packets != w.Packets || i != int(dir) && g.Bytes != w.Bytes || g.Bytes > w.Bytes {
						t.Errorf("direction %d: %d packets, %d bytes; want %d, %d", i, g.Packets, g.Bytes, w.Packets, w.Bytes)
					}
					for _, f := range []struct {
						name      string
						got, want uint32
					}{
						{"retransmissions", g.Retransmits, w.Retransmits}, {"out of order", g.OutOfOrder, w.OutOfOrder},
						{"duplicate ACKs", g.DuplicateAcks, w.DuplicateAcks}, {"gaps", g.Gaps, w.Gaps},
						{"zero windows", g.ZeroWindows, w.ZeroWindows}, {"resets", g.Resets, w.Resets},
					} {
						if f.got < f.want || uint64(f.got) > uint64(f.want)+most {
							t.Errorf("direction %d: %d %s, without the %d forged ones %d", i, f.got, f.name, most, f.want)
						}
					}
					if g.Finalized || g.WindowBytes != w.WindowBytes || g.Has&HasDelay != w.Has&HasDelay ||
						g.AvgDelay != w.AvgDelay || g.MinDelay != w.MinDelay || g.MaxDelay != w.MaxDelay || g.Jitter != w.Jitter || g.Uptime != w.Uptime {
						t.Errorf("direction %d:\n%+v, without the forged ones\n%+v", i, *g, *w)
					}
				}
				if live.tally != clean.tally {
					t.Errorf("%+v, without the forged ones %+v", live.tally, clean.tally)
				}
			})
		}
	}
}

// at returns where direction dir stands.
func (d *download) at(dir uint32) parse.Seq {
	if dir == b {
		return d.data
	}
	return d.rq
}

// A stretch of the connection that was not captured, however long, is one gap: figures go on.
func TestFiguresGoOnAfterAnUncapturedStretch(t *testing.T) {
	for _, missed := range []uint32{1 << 16, 1 << 20, 1 << 28, 1 << 31, 3 << 30} {
		d := newDownload()
		for range 300 {
			d.step()
		}
		d.data = d.data.Add(missed)
		before := views(d.c, d.now)
		samples := d.c.side[b].cold.delayN
		for range 90 {
			d.step()
		}
		after := views(d.c, d.now)
		if after[b].Gaps > before[b].Gaps+1 || after[b].Retransmits > before[b].Retransmits+1 || after[b].OutOfOrder != before[b].OutOfOrder {
			t.Errorf("%d bytes missed: %+v", missed, after[b])
		}
		if n := d.c.side[b].cold.delayN - samples; n < 28 && samples < averageLen {
			t.Errorf("%d bytes missed: %d RTT samples after it, of 30 ACKs", missed, n)
		}
		if d.c.side[b].hot.nxt != d.data || d.c.side[a].hot.lastAck != d.acked {
			t.Errorf("%d bytes missed: stands at %d, %d acknowledged; want %d, %d", missed, d.c.side[b].hot.nxt, d.c.side[a].hot.lastAck, d.data, d.acked)
		}
	}
}

// The same where only one of the directions passes by.
func TestOneWayFiguresGoOnAfterAnUncapturedStretch(t *testing.T) {
	for dir := range uint32(2) {
		c, tally := fresh(), &Tally{}
		now, seq, number := int64(0), parse.Seq(7), parse.Seq(9)
		send := func() {
			seg := parse.Segment{Seq: seq, Ack: number, Flags: ack, Window: 500}
			if dir == b {
				seg.Len = segment
				seq = seq.Add(segment)
			} else {
				number = number.Add(segment)
			}
			now += 1e6
			c.Account(dir, &seg, now, tally)
		}
		for range 50 {
			send()
		}
		seq, number = seq.Add(1<<29), number.Add(1<<29)
		for range 50 {
			send()
		}
		d := &c.side[dir].cold
		if d.gaps > 1 || d.retransmits != 0 || d.outOfOrder != 0 || c.side[dir].hot.nxt != seq || c.side[dir].hot.packets != 100 {
			t.Errorf("direction %d: %+v, stands at %d, want %d", dir, *d, c.side[dir].hot.nxt, seq)
		}
	}
}
