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

// closeWindows ends the one-second windows that lie wholly before elapsed, the time in ns since
// the stream's first packet: the current one with its bytes, then the silent ones after it, all
// at once however many they are.
func (d *Detail) closeWindows(elapsed int64) {
	done := elapsed / second
	if done <= int64(d.winDone) {
		return
	}
	silent := done - int64(d.winDone) - 1
	d.rateN = next(d.rateN, rateWindow)
	d.rate.add(float32(d.winBytes)*8, rateWeight(d.rateN))
	d.rateBytes, d.winBytes = d.winBytes, 0
	d.winDone = uint32(min(done, math.MaxUint32))
	if silent == 0 {
		return
	}
	d.rateBytes = 0
	// Zeros up to the window's length weigh 1/n each: together they scale the mean by n/(n+k).
	if n := int64(d.rateN); n < rateWindow {
		k := min(silent, rateWindow-n)
		d.rate.decay(float64(n) / float64(n+k))
		d.rateN += uint8(k)
		silent -= k
	}
	if silent > 0 {
		d.rateN = rateWindow + 1
		d.rate.decay(math.Pow(1-2/float64(rateWindow+1), float64(silent)))
	}
}
