package worker

import (
	"math"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
)

// Work of one piece of a reading of groups.
const (
	pieceSums    = 64  // combinations whose sums are made ready: 2 µs
	pieceMembers = 128 // records added up: 3 µs
	pieceRows    = 4   // combinations copied: 3 µs
)

// groupReading is the state of a reading. It has three parts, each taken in pieces:
//
//	ready      what the reading before has deferred is added to the sums, and the live sums are cleared
//	records    the figures of all records are added to the live sums, in order of their index
//	rows       histograms, lives, sums and live sums are copied
//
// Meanwhile connections end, move and begin. What record i loses (see sink) goes to the sums if the reading has yet to
// come to it, and else to those that the next one adds: the reading has it from the record. So each packet is in a
// reading once, and the sums stand still while they are copied. What is counted when it happens is copied as it is
// then. A reading that is given up leaves nothing to undo.
type groupReading struct {
	part   readingPart
	at     int
	passed uint32 // records below are in the reading under way; 0: there is none
}

type readingPart uint8

const (
	readingReady readingPart = iota
	readingRecords
	readingRows
)

// GroupsFrom goes on with a reading of groups, by one piece of work, and returns the position to go on from and whether
// that was all. A reading begins with pos 0; other positions are what the call before has returned. It is all, too, when
// into has no room for another row: then full is true, and the reading can go on once there is room. There is one reading
// at a time.
func (w *Worker) GroupsFrom(pos int, into *group.Reading) (next int, done, full bool) {
	g := w.groups
	if g == nil {
		return 0, true, false
	}
	q := &g.reading
	if pos == 0 {
		*q = groupReading{}
		into.Rows = into.Rows[:0]
	}
	switch q.part {
	case readingReady:
		end := min(q.at+pieceSums, len(g.keys))
		for ; q.at < end; q.at++ {
			g.sums[q.at].ready()
		}
		if end == len(g.keys) {
			q.part, q.at = readingRecords, 0
		}
	case readingRecords:
		w.addRecords(q)
	case readingRows:
		for end := min(q.at+pieceRows, len(g.keys)); q.at < end; q.at++ {
			if len(into.Rows) == cap(into.Rows) {
				return pos + 1, true, true
			}
			into.Rows = into.Rows[:len(into.Rows)+1]
			g.row(q.at, &into.Rows[len(into.Rows)-1])
		}
		if q.at == len(g.keys) {
			into.Overflow, into.Capacity, into.Used = g.overflow, g.capacity, g.used
			q.passed = 0
			return pos + 1, true, false
		}
	}
	return pos + 1, false, false
}

// allPassed is groupReading.passed once all records are in the reading.
const allPassed = math.MaxUint32

// ahead is how many records before its use one is prefetched.
const ahead = 8

// addRecords adds a piece of the records to the live sums.
func (w *Worker) addRecords(q *groupReading) {
	g, used := w.groups, w.table.Used()
	end := min(q.at+pieceMembers, used)
	for i := q.at; i < min(q.at+ahead, end); i++ {
		w.table.Prefetch(uint32(i))
	}
	for ; q.at < end; q.at++ {
		if q.at+ahead < end {
			w.table.Prefetch(uint32(q.at + ahead))
		}
		i := uint32(q.at)
		r := w.table.At(i)
		v := *g.of(i)
		s := &g.sums[v.number()]
		streams := 0
		for dir := range uint32(2) {
			if r.Packets(int(dir)) != 0 {
				var n stream.Counts
				r.AddCounts(int(dir), &n)
				v.clip(&n)
				fold(&s.live[v.role(dir)], &n)
				streams++
			}
		}
		if streams == 0 || v&ended != 0 {
			continue
		}
		switch {
		case v&established == established:
			s.establishedNow++
		case r.OneWay():
			s.oneWay++
		case r.HalfOpen() && r.Progress()&stream.ProgressSYN == 0: // a SYN+ACK alone
			s.oneWay++
		case r.HalfOpen():
			s.halfOpen++
		}
	}
	q.passed = uint32(q.at)
	if q.at == used {
		q.part, q.at, q.passed = readingRows, 0, allPassed
	}
}

// ready adds what was deferred and begins the live sums anew.
func (s *sums) ready() {
	for d := range s.folded {
		s.folded[d].Add(&s.deferred[d])
	}
	*s = sums{folded: s.folded}
}

// row copies combination n.
func (g *groups) row(n int, to *group.Row) {
	s := &g.sums[n]
	l := &g.lives[n]
	to.Key = g.keys[n]
	to.Opened, to.Established, to.Closed, to.Failed = l.opened, l.established, l.closed, l.failed
	to.Duration, to.Size = l.duration, l.size
	for leg := range group.Legs {
		to.RTT[leg] = g.hists.Values[n*kinds+rttHist+leg]
		to.Handshake[leg] = g.hists.Values[n*kinds+handshakeHist+leg]
	}
	to.Data = s.folded
	for d := range to.Data {
		to.Data[d].Add(&s.live[d])
	}
	to.HalfOpen, to.EstablishedNow, to.OneWay = s.halfOpen, s.establishedNow, s.oneWay
}

// GroupRows returns for how many rows a reading of groups should have room now. More may come until it is there. It may
// be called from any goroutine.
func (w *Worker) GroupRows() int {
	if w.groups == nil {
		return 0
	}
	return int(w.groups.count.Load()) + pieceRows
}

// Groups reads all combinations into into, on the worker's own goroutine.
func (w *Worker) Groups(into *group.Reading) {
	w.flush()
	into.Reset()
	into.Grow(w.GroupRows())
	for pos, done := 0, false; !done; {
		pos, done, _ = w.GroupsFrom(pos, into)
	}
}
