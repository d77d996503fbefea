package capture

import "time"

// Clock reads the monotonic and the real-time clock at the same moment, in ns. Between its two readings the caller may
// lose the processor; then mono is later than real by that long.
type Clock func() (mono, real int64)

const (
	// clockReads is how often the clocks are read, at most, until they are those of one moment.
	clockReads = 4
	// clocksAgree is how much two readings may differ in how far the clocks are apart, in ns. Without an interruption
	// it is less than 1 µs; the kernel slews the real-time clock by up to 500 µs in a second (adjtimex(2)), which then
	// takes a second reading.
	clocksAgree = int64(20 * time.Microsecond)
)

// now reads the clocks that frames' times are made from: the kernel gives them by the real-time clock, and streams go by
// the monotonic one. A reading that puts the two further apart or nearer than before is right only if the next one says
// so too (the real-time clock was set), or else the one that puts them nearest is. On a machine with more to do than
// processors, 35 of a million readings were wrong by more than 0.1 ms, and 6 by more than 1 ms, as all delays would be
// that begin or end in the block of frames at hand.
func (c *Capture) now() (mono, real int64) {
	mono, real = c.clock()
	if agree(mono-real, c.shift) {
		return mono, real
	}
	for range clockReads - 1 {
		m, r := c.clock()
		agreed := agree(m-r, mono-real)
		if agreed || m-r < mono-real {
			mono, real = m, r
		}
		if agreed || agree(m-r, c.shift) {
			break
		}
	}
	return mono, real
}

// agree reports whether two differences of the clocks are one, but for the time that reading takes.
func agree(a, b int64) bool { return a-b < clocksAgree && b-a < clocksAgree }
