package stream

import "math"

const second = int64(1e9) // ns

// rateWeight is the weight of the n-th one-second window.
func rateWeight(n uint8) float32 {
	if n > rateWindow {
		return 2 / float32(rateWindow+1)
	}
	return 1 / float32(n)
}

// fade is the factor by which a silent window shrinks the mean once rateWindow windows have ended.
const fade = 1 - 2/float64(rateWindow+1)

// fades[k] is fade to the power of k, for as many silent windows as the fast path can find (maxGap): it has no time
// for math.Pow.
var fades = func() (all [maxGap/second + 1]float64) {
	for k := range all {
		all[k] = math.Pow(fade, float64(k))
	}
	return all
}()

// faded returns the factor by which silent windows shrink the mean.
func faded(silent int64) float64 {
	if k := uint64(silent); k < uint64(len(fades)) {
		return fades[k]
	}
	return math.Pow(fade, float64(silent))
}

// closeWindows ends the one-second windows that end by now: the current one with its bytes, then
// the silent ones after it, all at once however many they are.
//
// Not inlined: in Account it would take registers from those packets that end no window.
//
//go:noinline
func (s *Stream) closeWindows(d *Detail, now int64) {
	if now < s.winEnd {
		return
	}
	silent := (now - s.winEnd) / second
	s.winEnd += (silent + 1) * second
	d.windows += uint32(silent) + 1
	done := (s.bytes - (uint64(s.winStartHigh)<<32 | uint64(d.winStart))) & (1<<40 - 1)
	s.winStartHigh, d.winStart = uint8(s.bytes>>32), uint32(s.bytes)
	s.rateBytesHigh, d.rateBytes = uint8(done>>32), uint32(done)
	if d.rateN <= rateWindow {
		d.rateN++
	}
	d.rate.add(float32(done)*8, rateWeight(d.rateN))
	if silent == 0 {
		return
	}
	s.rateBytesHigh, d.rateBytes = 0, 0
	// Zeros up to the window's length weigh 1/n each: together they scale the mean by n/(n+k).
	if n := int64(d.rateN); n < rateWindow {
		k := min(silent, rateWindow-n)
		d.rate.decay(float64(n) / float64(n+k))
		d.rateN += uint8(k)
		silent -= k
	}
	if silent > 0 {
		d.rateN = rateWindow + 1
		d.rate.decay(faded(silent))
	}
}

// firstTime is when the direction's first packet was seen, in ns.
func (s *Stream) firstTime(d *Detail) int64 { return s.winEnd - (int64(d.windows)+1)*second }
