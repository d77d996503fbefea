package capture

import (
	"testing"

	"tcp-stream-exporter/worker"
)

// interrupted is a clock whose reader loses the processor between the two readings: for so many ns each time, from the
// next reading on, and for none when the list is at its end.
type interrupted struct {
	*handClock
	pauses []int64
	reads  int
}

func (i *interrupted) read() (mono, real int64) {
	i.reads++
	real = i.real
	if len(i.pauses) > 0 {
		i.pass(i.pauses[0])
		i.pauses = i.pauses[1:]
	}
	return i.mono, real
}

// The two clocks are those of one moment also where the reader was interrupted in between. Otherwise all frames of a
// block would be late by the interruption, and a delay that ends or begins in it wrong by as much.
func TestClocksOfOneMoment(t *testing.T) {
	for _, row := range []struct {
		name   string
		first  int64   // ns, the interruption of the reading that New makes
		pauses []int64 // ns, later ones
		step   int64   // ns, by which the real-time clock is set before
		reads  int     // how many may be needed
	}{
		{name: "not interrupted", reads: 1},
		{name: "interrupted once", pauses: []int64{5 * ms}, reads: 2},
		{name: "interrupted twice", pauses: []int64{5 * ms, 80 * ms}, reads: 3},
		{name: "interrupted at the start", first: 7 * ms, reads: 2},
		{name: "set forward", step: 3600 * sec, reads: 2},
		{name: "set back", step: -3600 * sec, reads: 2},
		{name: "set back and interrupted", step: -20 * ms, pauses: []int64{3 * ms}, reads: 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := &interrupted{handClock: &handClock{mono: 100 * sec, real: 1_700_000_000 * sec}}
			if row.first > 0 {
				h.pauses = []int64{row.first}
			}
			want := h.mono - h.real
			c := New(newWorker(t, worker.Config{}), nil, nil, h.read, nil)
			h.pass(sec)
			h.real += row.step
			h.pauses, h.reads = row.pauses, 0
			mono, real := c.now()
			if got := mono - real; got != want-row.step {
				t.Errorf("the clocks are %d ns further apart than they are", got-want+row.step)
			}
			if h.reads > row.reads {
				t.Errorf("%d readings, want %d", h.reads, row.reads)
			}
		})
	}
}

// A reader that is interrupted every time ends all the same.
func TestClocksThatAreNeverOfOneMoment(t *testing.T) {
	h := &interrupted{handClock: &handClock{mono: 100 * sec, real: 1_700_000_000 * sec}}
	c := New(newWorker(t, worker.Config{}), nil, nil, h.read, nil)
	want := h.mono - h.real
	for range 100 {
		h.pauses = append(h.pauses, 9*ms, 4*ms)
	}
	h.reads = 0
	if mono, real := c.now(); mono-real-want != 4*ms {
		t.Errorf("%d ns too far apart, want the least of what was read", mono-real-want)
	}
	if h.reads > clockReads {
		t.Errorf("%d readings, want %d at most", h.reads, clockReads)
	}
}
