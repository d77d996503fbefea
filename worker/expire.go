package worker

import (
	"math"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/stream"
	"tcp-stream-exporter/table"
	"tcp-stream-exporter/wheel"
)

// Tick moves the worker's clock to now, in ns, when no frame does it: all that came before have been accounted.
func (w *Worker) Tick(now int64) {
	w.setNow(now)
	w.caughtUp = w.now
}

// setNow moves the clock forward; a file's clock that steps back does not take it along.
func (w *Worker) setNow(now int64) {
	if w.now == math.MinInt64 {
		w.wheel.Reset(tick(now))
	}
	w.now = max(w.now, now)
}

// tick returns the last tick that has begun at time t.
func tick(t int64) uint32 { return uint32(t / tickTime) }

// mostAhead is the farthest, in ns, that a connection is armed ahead: ticks farther apart than the wheel
// can compare would count as passed.
const mostAhead = wheel.MaxAhead * tickTime

// arm puts connection i into the wheel at the first tick by which its deadline has passed, or StreamAge, whichever is
// first.
func (w *Worker) arm(i uint32, r *table.Record) {
	ahead := mostAhead
	if due := r.Deadline(&w.ages); due != stream.Never {
		ahead = min(ahead, due-w.now)
	}
	// It is not armed again when it is established, when what was finalized goes on, or when its other direction comes,
	// which all may bring the deadline nearer, to StreamAge from then on.
	ahead = min(ahead, w.ages.Stream)
	w.wheel.Arm(i, tick(w.now+ahead+tickTime-1))
}

// Expire lets go of streams whose time has come, doing at most budget connections' work, and
// reports whether more is due. A worker that is behind, because it has lost the processor for a while, goes by the
// frames that it has come to: streams that look old by the clock may go on in those that wait. A connection that has
// been heard of since it was armed is armed again at its true deadline: packets never touch the wheel.
func (w *Worker) Expire(budget int) (more bool) {
	w.flush()
	if w.caughtUp == math.MinInt64 {
		return false // nothing has come yet
	}
	now := tick(w.caughtUp)
	for budget > 0 {
		due := w.due[:min(budget, len(w.due))]
		n, more := w.wheel.Advance(now, due)
		due = due[:n]
		for _, i := range due { // let the misses of all of them overlap
			w.touch += w.table.At(i).Bytes(0)
		}
		for _, i := range due {
			r := w.table.At(i)
			empty := r.Expire(w.caughtUp, &w.ages, w.tallyOf(&r.Key))
			if w.groups != nil {
				w.groups.settle(i, empty, group.ClosedTimeout)
			}
			if empty {
				w.remove(i)
			} else {
				w.lists.file(i, classOf(&r.Conn), false)
				w.arm(i, r)
			}
		}
		if !more {
			return false
		}
		budget -= n
	}
	return true
}

// Behind returns the lateness in ns of the streams that come next, after an Expire that has left some:
// none of them has been due for longer.
func (w *Worker) Behind() int64 { return int64(w.wheel.Behind(tick(w.now))) * tickTime }

// NextDue returns the earliest time at which Expire, which has left nothing, may find a stream, or never.
func (w *Worker) NextDue() int64 {
	ahead, ok := w.wheel.Next()
	if !ok {
		return math.MaxInt64
	}
	return (int64(tick(w.caughtUp)) + int64(ahead)) * tickTime
}
