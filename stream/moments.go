package stream

import "math"

// moments holds a running mean and population variance. A sample weighs 1/n up to the length N of
// the average, so that the first N samples give the plain population figures, and 2/(N+1) after it
// (an exponential moving average), so that the figure follows the latest samples. Single precision:
// seven digits of an average.
type moments struct{ mean, variance float32 }

// Lengths N of the averages, in samples.
const (
	averageLen     = 100 // RTT, payload sizes, gaps between packets
	rateAverageLen = 60  // bitrates of a second
)

// sampleWeight is the weight of a sample after the first averageLen, steady the weight of those
// before it.
const (
	sampleWeight float32 = 2.0 / (averageLen + 1)
	steady       float32 = 1 - sampleWeight
)

// take adds the sample x to an average of length averageLen. n counts the samples and stays at
// averageLen+1 after that: follow does the same then, without a division and a count.
func (m *moments) take(n *uint8, x float32) {
	if *n > averageLen {
		m.follow(x)
		return
	}
	*n++
	w := sampleWeight
	if *n <= averageLen {
		w = 1 / float32(*n)
	}
	m.add(x, w)
}

// follow is add with sampleWeight.
func (m *moments) follow(x float32) {
	d := x - m.mean
	wd := sampleWeight * d
	m.mean += wd
	m.variance = steady * (m.variance + wd*d)
}

// add takes in the sample x with weight w. With w = 1/n this is Welford's update.
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

// deviation returns the population standard deviation.
func (m moments) deviation() float32 { return float32(math.Sqrt(float64(m.variance))) }

// variation returns the coefficient of variation, deviation over mean; 0 for a mean of 0.
func (m moments) variation() float32 {
	if m.mean == 0 {
		return 0
	}
	return m.deviation() / m.mean
}
