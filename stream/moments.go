package stream

import "math"

// moments is a running mean and population variance. A sample weighs 1/n up to the window's
// length N, so that the first N samples give the plain population figures, and 2/(N+1) after it,
// so that the figure follows the recent window. Single precision: seven digits of an average.
type moments struct{ mean, variance float32 }

// Window lengths, in samples.
const (
	window     = 100 // RTT, payload sizes, gaps between packets
	rateWindow = 60  // one-second windows
)

// sampleWeight is the weight of a sample once a window of 100 is full, steady the weight of what was
// there before.
const (
	sampleWeight float32 = 2.0 / (window + 1)
	steady       float32 = 1 - sampleWeight
)

// take brings the sample x of a window of 100. n is how many samples there were, and stays at
// window+1 once the window is full: follow does the same then, without a division and a count.
func (m *moments) take(n *uint8, x float32) {
	if *n > window {
		m.follow(x)
		return
	}
	*n++
	w := sampleWeight
	if *n <= window {
		w = 1 / float32(*n)
	}
	m.add(x, w)
}

// follow is add with the weight of a full window of 100.
func (m *moments) follow(x float32) {
	d := x - m.mean
	wd := sampleWeight * d
	m.mean += wd
	m.variance = steady * (m.variance + wd*d)
}

// add brings the sample x with weight w. With w = 1/n this is Welford's update.
func (m *moments) add(x, w float32) {
	d := x - m.mean
	wd := w * d
	m.mean += wd
	m.variance = (1 - w) * (m.variance + wd*d)
}

// decay scales mean and mean square by q, as a run of zero samples does.
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
