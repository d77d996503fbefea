package stream

import "math"

const second = int64(1e9) // ns

// The bitrate is measured in seconds that begin at the direction's first packet, see Stream.secondEnd.

// rateWeight returns the weight of the n-th second.
func rateWeight(n uint8) float32 {
	if n > rateAverageLen {
		return 2 / float32(rateAverageLen+1)
	}
	return 1 / float32(n)
}

// fade is the factor by which a silent second shrinks the mean once rateAverageLen seconds have ended.
const fade = 1 - 2/float64(rateAverageLen+1)

// fades[k] is fade to the power of k, for as many silent seconds as the fast path can find (maxGap): it has no time
// for math.Pow.
var fades = func() (all [maxGap/second + 1]float64) {
	for k := range all {
		all[k] = math.Pow(fade, float64(k))
	}
	return all
}()

// faded returns the factor by which silent seconds shrink the mean.
func faded(silent int64) float64 {
	if k := uint64(silent); k < uint64(len(fades)) {
		return fades[k]
	}
	return math.Pow(fade, float64(silent))
}

// closeSeconds ends the seconds that end by now: the current one with its bytes, then
// the silent ones after it, all at once however many they are.
//
// Not inlined: in Account it would take registers from those packets that end no second.
//
//go:noinline
func (s *Stream) closeSeconds(d *Detail, now int64) {
	if now < s.secondEnd {
		return
	}
	silent := (now - s.secondEnd) / second
	s.secondEnd += (silent + 1) * second
	d.seconds += uint32(silent) + 1
	done := (s.bytes - (uint64(s.secondStartHigh)<<32 | uint64(d.secondStart))) & (1<<40 - 1)
	s.secondStartHigh, d.secondStart = uint8(s.bytes>>32), uint32(s.bytes)
	s.rateBytesHigh, d.rateBytes = uint8(done>>32), uint32(done)
	if d.rateN <= rateAverageLen {
		d.rateN++
	}
	d.rate.add(float32(done)*8, rateWeight(d.rateN))
	if silent == 0 {
		return
	}
	s.rateBytesHigh, d.rateBytes = 0, 0
	// Zeros up to the average's length weigh 1/n each: together they scale the mean by n/(n+k).
	if n := int64(d.rateN); n < rateAverageLen {
		k := min(silent, rateAverageLen-n)
		d.rate.decay(float64(n) / float64(n+k))
		d.rateN += uint8(k)
		silent -= k
	}
	if silent > 0 {
		d.rateN = rateAverageLen + 1
		d.rate.decay(faded(silent))
	}
}

// firstTime returns when the direction's first packet was seen, in ns.
func (s *Stream) firstTime(d *Detail) int64 { return s.secondEnd - (int64(d.seconds)+1)*second }
