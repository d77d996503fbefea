package stream

import "math"

// moments is a running mean and population variance. A sample weighs 1/n up to the window's
// length N, so that the first N samples give the plain population figures, and 2/(N+1) after it,
// so that the figure follows the recent window. Single precision: seven digits of an average.
type moments struct{ mean, variance float32 }

// Window lengths, in samples.
const (
	delayWindow = 100
	sizeWindow  = 100
	gapWindow   = 100
	rateWindow  = 60
)

// weights[n] is the weight of the n-th sample of a window of 100; the last entry serves all
// samples after the window.
var weights = func() (w [delayWindow + 2]float32) {
	for n := 1; n <= delayWindow; n++ {
		w[n] = 1 / float32(n)
	}
	w[delayWindow+1] = 2 / float32(delayWindow+1)
	return w
}()

// next counts a sample: it stays at window+1 once the window is full.
func next(n uint8, window uint8) uint8 {
	if n <= window {
		n++
	}
	return n
}

// add brings the sample x with weight w. With w = 1/n this is Welford's update.
func (m *moments) add(x, w float32) {
	d := x - m.mean
	m.mean += w * d
	m.variance = (1 - w) * (m.variance + w*d*d)
}

// decay scales mean and mean square by q, which is what a run of zero samples does to them.
func (m *moments) decay(q float64) {
	mean, square := float64(m.mean), float64(m.variance)+float64(m.mean)*float64(m.mean)
	mean, square = mean*q, square*q
	m.mean, m.variance = float32(mean), float32(max(square-mean*mean, 0))
}

// deviation is the population standard deviation.
func (m moments) deviation() float32 { return float32(math.Sqrt(float64(m.variance))) }

// variation is the coefficient of variation, deviation over mean; 0 for a mean of 0.
func (m moments) variation() float32 {
	if m.mean == 0 {
		return 0
	}
	return m.deviation() / m.mean
}
