package worker

import (
	"math/bits"

	"tcp-stream-exporter/parse"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
)

// accountOne accounts a segment of record i, and counts its events in tally.
func (w *Worker) accountOne(i uint32, r *table.Record, seg *parse.Segment, now int64, tally *stream.Tally) (ev stream.Event, rtt int64) {
	if w.optional {
		return r.AccountOptional(w.table.Optional(i), seg.Dir(), seg, now, tally)
	}
	return r.Account(seg.Dir(), seg, now, tally)
}

// sample counts an RTT sample that a segment of record i has given, if it is one, with the connection's groups.
func (w *Worker) sample(i uint32, seg *parse.Segment, rtt int64) {
	if w.groups != nil && rtt >= 0 {
		w.groups.noteRTT(i, seg.Dir(), rtt)
	}
}

// accountFoundOptional is accountFound with the optional figures: a loop of its own, because asking for each packet
// cost 3 ns at 1,000 streams.
func (w *Worker) accountFoundOptional(x *Batch, set uint32, next *[]uint32, bound *bounds) {
	t := w.table
	for ; set != 0; set &= set - 1 {
		i := bits.TrailingZeros32(set) % BatchSize
		seg, now := &x.Segs[i], bound.time(x.Times[i])
		if seg.Len > w.superAbove {
			w.supers |= 1 << i
		}
		if r := *next; len(r) != 0 {
			t.Prefetch(r[0])
			*next = r[1:]
		}
		index := x.records[i]
		r := t.AtUnchecked(index)
		if r.QuietSince(now - w.shortest) {
			w.late(index, seg, now)
			continue
		}
		ev, rtt := w.accountOne(index, r, seg, now, &w.tally)
		if ev != 0 {
			w.event(index, ev, seg, now, false, false)
		}
		w.sample(index, seg, rtt)
	}
	if w.supers != 0 {
		w.superPackets(x)
	}
}

// accountFoundGroups is accountFound with groups.
func (w *Worker) accountFoundGroups(x *Batch, set uint32, next *[]uint32, bound *bounds) {
	t, shortest, hists := w.table, w.shortest, w.groups.hists.Values
	for ; set != 0; set &= set - 1 {
		i := bits.TrailingZeros32(set) % BatchSize
		seg, now := &x.Segs[i], bound.time(x.Times[i])
		if seg.Len > w.superAbove {
			w.supers |= 1 << i
		}
		if r := *next; len(r) != 0 {
			t.Prefetch(r[0])
			*next = r[1:]
		}
		index := x.records[i]
		r := t.AtUnchecked(index)
		if r.QuietSince(now - shortest) {
			w.late(index, seg, now)
			continue
		}
		ev, rtt := r.Account(seg.Dir(), seg, now, &w.tally)
		if ev != 0 {
			w.event(index, ev, seg, now, false, false)
		}
		if rtt >= 0 {
			hists[grouping(r.Tag).histogramOf(seg.Dir())].NoteSample(rtt) // stream gives none above 137 s
		}
	}
	if w.supers != 0 {
		w.superPackets(x)
	}
}
